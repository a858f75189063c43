// StallWatch: measures waits that the runtime inserted into a stream of the program, by a timed event before and after
// each. Does nothing without a trace.
//
// Thread-safety: not synchronised; the store's lock guards it.
#ifndef TIERLIB_SRC_STORAGE_STALL_WATCH_H_
#define TIERLIB_SRC_STORAGE_STALL_WATCH_H_

#include <cstdint>
#include <deque>

#include "allocator/device_backend.h"
#include "storage/event_pool.h"
#include "tierlib/storage_id.h"
#include "trace/recorder.h"

namespace tierlib {

class StallWatch {
 public:
  explicit StallWatch(trace::Recorder* recorder) : recorder_(recorder) {}

  // Call before and after enqueuing the wait; the result of Before goes into After.
  MarkRef Before(EventPool& events, Stream stream);
  void After(MarkRef before, DeviceBackend& device, EventPool& events, StorageId storage, std::uint32_t label,
             trace::StallCause cause);

  // Writes the stalls whose waits have ended.
  void Poll();

 private:
  struct Stall {
    DeviceBackend* device;
    MarkRef before;
    MarkRef after;
    StorageId storage;
    std::uint32_t label;
    trace::StallCause cause;
  };
  trace::Recorder* const recorder_;
  std::deque<Stall> open_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_STALL_WATCH_H_
