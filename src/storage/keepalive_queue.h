// KeepaliveQueue: references on the program's memory that the device may still read.
//
// A reference comes in what it waits in (Held), made when the memory was taken over: letting go of it needs no memory.
//
// Thread-safety: all functions may be called from any thread.
#ifndef TIERLIB_SRC_STORAGE_KEEPALIVE_QUEUE_H_
#define TIERLIB_SRC_STORAGE_KEEPALIVE_QUEUE_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "allocator/device_backend.h"
#include "base/mutex.h"
#include "storage/deferred.h"
#include "storage/event_pool.h"
#include "tierlib/status.h"
#include "tierlib/storage_id.h"
#include "tierlib/stream.h"

namespace tierlib {

class KeepaliveQueue {
 public:
  // REQUIRES: all three outlive the queue.
  KeepaliveQueue(DeviceBackend& device, EventPool& events, Deferred& deferred)
      : device_(device), events_(events), deferred_(deferred) {}
  // Lets go of what is left. REQUIRES: the device's work has ended.
  ~KeepaliveQueue();

  // A reference, and what will be waited for before it goes.
  class Held : public Deferred::Work {
   public:
    // On std::bad_alloc the reference is still the caller's.
    static std::unique_ptr<Held> Of(Keepalive&& keepalive) {
      auto held = std::make_unique<Held>();
      held->keepalive_ = std::move(keepalive);
      return held;
    }
    void Run() override { keepalive_.reset(); }

   private:
    friend class KeepaliveQueue;
    Keepalive keepalive_;
    absl::InlinedVector<MarkRef, 2> readers_;
    std::unique_ptr<Held> next_;
  };

  // Drops what `held` holds, through the deferred work, once a Poll finds that the work enqueued so far on every one of
  // `streams` has ended; without streams at once. References go in the order in which they came. Where there is no
  // memory for a mark of a stream the host waits for that stream. REQUIRES: `held` is not null.
  void DropAfter(std::unique_ptr<Held> held, absl::Span<const Stream> streams) noexcept;
  void Poll();
  // What the next reference to go still waits for: it goes with the Poll after these. Empty where nothing is left.
  absl::InlinedVector<MarkRef, 2> Oldest() const;
  // Polls until nothing is left, or until the clock reaches `deadline_ns` (DeadlineExceeded).
  Status Drain(std::int64_t deadline_ns);

 private:
  void DropOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool empty() const;

  DeviceBackend& device_;
  EventPool& events_;
  Deferred& deferred_;
  mutable Mutex mutex_;
  std::unique_ptr<Held> oldest_ ABSL_GUARDED_BY(mutex_);  // which has the next one, and so on
  Held* newest_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_KEEPALIVE_QUEUE_H_
