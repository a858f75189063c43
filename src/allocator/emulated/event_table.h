// EventTable: the events of an emulated device, by id. An id has a generation, so a destroyed event is never mistaken
// for a later one.
//
// Thread-safety: all functions lock.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_EVENT_TABLE_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_EVENT_TABLE_H_

#include <cstdint>
#include <vector>

#include "allocator/emulated/work.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib::emulated {

class EventTable {
 public:
  EventId Create();
  void Destroy(EventId event);  // does nothing for an unknown id
  // InvalidArgument for an id that Create did not return or that was destroyed; the same below.
  Status Check(EventId event) const;
  Status SetRecording(EventId event, RecordingRef recording);
  // The most recent recording; null where there was none yet.
  StatusOr<RecordingRef> Find(EventId event) const;

 private:
  struct Slot {
    std::uint32_t generation = 1;
    bool used = false;
    RecordingRef recording;
  };
  const Slot* Lookup(EventId event) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> unused_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_EVENT_TABLE_H_
