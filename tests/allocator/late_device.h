// LateDevice: another device, of whose events one learns late. An event that has completed says so only at the nth
// question, n by a seed, so that events are seen to complete out of order; that they are waited for on a stream is
// passed on as it is. Counts what it did.
//
// Thread-safety: as the contract says.
#ifndef TIERLIB_TESTS_ALLOCATOR_LATE_DEVICE_H_
#define TIERLIB_TESTS_ALLOCATOR_LATE_DEVICE_H_

#include <atomic>
#include <map>
#include <random>

#include "allocator/forwarding_device.h"
#include "base/mutex.h"

namespace tierlib {

class LateDevice : public ForwardingDevice {
 public:
  // REQUIRES: `device` outlives it.
  LateDevice(DeviceBackend& device, std::uint64_t seed, unsigned most_questions)
      : ForwardingDevice(device), most_questions_(most_questions), random_(seed) {}

  struct Counts {
    std::uint64_t late = 0;          // answers that an event has not completed, which it had
    std::uint64_t out_of_order = 0;  // events that were seen to complete while an earlier recording was not
    std::uint64_t waits = 0;         // of streams
  };
  Counts counts() const {
    MutexLock lock(mutex_);
    return counts_;
  }

  Status RecordEvent(EventId event, Stream stream) override {
    {
      MutexLock lock(mutex_);
      unseen_[event] = {++recordings_, static_cast<unsigned>(random_() % (most_questions_ + 1))};
    }
    return below().RecordEvent(event, stream);
  }
  Status WaitEvent(Stream stream, EventId event) override {
    {
      MutexLock lock(mutex_);
      ++counts_.waits;
    }
    return below().WaitEvent(stream, event);
  }
  StatusOr<bool> EventDone(EventId event) override {
    StatusOr<bool> done = below().EventDone(event);
    if (!done.ok() || !*done) return done;
    MutexLock lock(mutex_);
    const auto unseen = unseen_.find(event);
    if (unseen == unseen_.end()) return true;
    if (unseen->second.questions > 0) {
      --unseen->second.questions;
      ++counts_.late;
      return false;
    }
    Seen(unseen);
    return true;
  }
  Status SynchronizeEvent(EventId event) override {
    TIERLIB_RETURN_IF_ERROR(below().SynchronizeEvent(event));
    MutexLock lock(mutex_);
    const auto unseen = unseen_.find(event);
    if (unseen != unseen_.end()) Seen(unseen);
    return OkStatus();
  }
  void DestroyEvent(EventId event) override {
    {
      MutexLock lock(mutex_);
      unseen_.erase(event);
    }
    below().DestroyEvent(event);
  }

 private:
  struct Unseen {
    std::uint64_t recording = 0;
    unsigned questions = 0;  // that are still answered with no
  };

  void Seen(std::map<EventId, Unseen>::iterator unseen) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const auto& [event, other] : unseen_) {
      if (other.recording >= unseen->second.recording) continue;
      ++counts_.out_of_order;
      break;
    }
    unseen_.erase(unseen);
  }

  const unsigned most_questions_;
  mutable Mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t recordings_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<EventId, Unseen> unseen_ ABSL_GUARDED_BY(mutex_);  // recorded, and not seen to have completed
  Counts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib

#endif  // TIERLIB_TESTS_ALLOCATOR_LATE_DEVICE_H_
