// LateEvents: which events are said to be complete, where a plan has them late or in another order.
//
// What is said is what a slower device could have done. Each recording carries, per stream, how much of that stream's
// work comes before it (a vector clock). Once a recording was said or waited for to be complete, so is all that comes
// before it, and stays so.
//
//   I1  a recording is said to be complete only where its device said so
//   I2  what was said to be complete, with what comes before it, is complete whenever asked
//
// Thread-safety: all functions lock.
#ifndef TIERLIB_SRC_ALLOCATOR_LATE_EVENTS_H_
#define TIERLIB_SRC_ALLOCATOR_LATE_EVENTS_H_

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "allocator/device_backend.h"
#include "base/mutex.h"
#include "tierlib/faults.h"

namespace tierlib {

class LateEvents {
 public:
  // REQUIRES: `faults` outlives it.
  explicit LateEvents(const Faults& faults) : faults_(faults) {}

  // Recordings made so far of each stream: the work up to them.
  using Clock = absl::flat_hash_map<std::uintptr_t, std::uint64_t>;

  void Recorded(EventId event, Stream stream);
  void Waits(Stream stream, EventId event);
  void Destroyed(EventId event);
  // Whether an event that the device says is complete is to be said to be.
  bool Say(EventId event);

  // What a wait that begins now waits for; once it has ended, Settle.
  Clock Before(EventId event) const;
  Clock Before(Stream stream) const;
  Clock Everything() const;
  void Settle(const Clock& clock);

 private:
  struct Recording {
    std::uint64_t number = 0;   // over all events
    std::uintptr_t stream = 0;  // handle
    Clock clock;                // itself included
    std::uint32_t queries = 0;  // that were told it is not complete
    std::int64_t done_ns = 0;   // when it was first found to be
  };
  void SettleLocked(const Clock& clock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Faults& faults_;
  mutable Mutex mutex_;
  absl::flat_hash_map<EventId, Recording> recordings_ ABSL_GUARDED_BY(mutex_);  // the latest of each event
  absl::flat_hash_map<std::uintptr_t, Clock> streams_
      ABSL_GUARDED_BY(mutex_);             // what comes before a stream's next work
  Clock settled_ ABSL_GUARDED_BY(mutex_);  // complete for good, per stream
  std::uint64_t recorded_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_LATE_EVENTS_H_
