// EventPool: device events, made once and used again. Mark: a point in a stream's work that others can wait for.
//
// Thread-safety: all functions may be called from any thread.
#ifndef TIERLIB_SRC_STORAGE_EVENT_POOL_H_
#define TIERLIB_SRC_STORAGE_EVENT_POOL_H_

#include <memory>
#include <vector>

#include "allocator/device_backend.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib {

class EventPool;

// The work that was enqueued on `stream` when the mark was made. Its event goes back to the pool with the last
// reference; waits that were enqueued before keep their meaning (device contract, WaitEvent).
struct Mark {
  Mark(EventPool& owner, EventId recorded, Stream of) : pool(owner), event(recorded), stream(of) {}
  ~Mark();
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;

  EventPool& pool;
  const EventId event;
  const Stream stream;
};
using MarkRef = std::shared_ptr<const Mark>;

class EventPool {
 public:
  // REQUIRES: `device` outlives the pool, the pool its marks.
  explicit EventPool(DeviceBackend& device) : device_(device) {}
  ~EventPool();

  StatusOr<MarkRef> MarkNow(Stream stream);
  // The same for memory that is about to go, which cannot fail: null where no work is left to wait for, as the stream
  // is gone or, where it takes no mark, as the host waited for it.
  MarkRef MarkOrWait(Stream stream);
  // Later work of `stream` starts after the mark. Does nothing where the mark is of the same stream.
  Status WaitOn(Stream stream, const Mark& mark);
  // Later work of `later` starts after the work enqueued on `earlier` so far. For memory that is about to go, so it
  // cannot fail: where the one cannot be made to wait for the other, or takes no mark, the host waits.
  void Order(Stream later, Stream earlier);

 private:
  friend struct Mark;
  StatusOr<EventId> Take();
  void Return(EventId event);  // allocates nothing: it runs in destructors

  DeviceBackend& device_;
  Mutex mutex_;
  std::size_t made_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<EventId> idle_ ABSL_GUARDED_BY(mutex_);  // has room for all that were made
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_EVENT_POOL_H_
