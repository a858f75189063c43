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

#include "allocator/device_backend.h"
#include "base/mutex.h"

namespace tierlib {

class LateDevice : public DeviceBackend {
 public:
  // REQUIRES: `device` outlives it.
  LateDevice(DeviceBackend& device, std::uint64_t seed, unsigned most_questions)
      : device_(device), most_questions_(most_questions), random_(seed) {}

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
    return device_.RecordEvent(event, stream);
  }
  Status WaitEvent(Stream stream, EventId event) override {
    {
      MutexLock lock(mutex_);
      ++counts_.waits;
    }
    return device_.WaitEvent(stream, event);
  }
  StatusOr<bool> EventDone(EventId event) override {
    StatusOr<bool> done = device_.EventDone(event);
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
    TIERLIB_RETURN_IF_ERROR(device_.SynchronizeEvent(event));
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
    device_.DestroyEvent(event);
  }

  const DeviceInfo& info() const override { return device_.info(); }
  StatusOr<void*> Reserve(std::size_t bytes) override { return device_.Reserve(bytes); }
  Status Release(void* base, std::size_t bytes) override { return device_.Release(base, bytes); }
  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    device_.NoteBlock(base, bytes, live, stream);
  }
  Status PinHost(void* base, std::size_t bytes) override { return device_.PinHost(base, bytes); }
  Status UnpinHost(void* base, std::size_t bytes) override { return device_.UnpinHost(base, bytes); }
  StatusOr<Stream> CreateStream(std::string_view name) override { return device_.CreateStream(name); }
  Status DestroyStream(Stream stream) override { return device_.DestroyStream(stream); }
  Status SynchronizeStream(Stream stream) override { return device_.SynchronizeStream(stream); }
  Status Synchronize() override { return device_.Synchronize(); }
  StatusOr<std::uint64_t> StreamNumber(Stream stream) override { return device_.StreamNumber(stream); }
  bool Owns(Stream stream) const override { return device_.Owns(stream); }
  const std::atomic<std::uint64_t>& destroyed_streams() const override { return device_.destroyed_streams(); }
  StatusOr<EventId> CreateEvent() override { return device_.CreateEvent(); }
  std::int64_t EventTimeNs(EventId event) override { return device_.EventTimeNs(event); }
  Status Copy(absl::Span<const CopyRun> runs, CopyDirection direction, Stream stream) override {
    return device_.Copy(runs, direction, stream);
  }
  Status Fill(void* base, std::uint8_t value, std::size_t bytes, Stream stream) override {
    return device_.Fill(base, value, bytes, stream);
  }
  Status Launch(Stream stream, HostKernel kernel) override { return device_.Launch(stream, std::move(kernel)); }
  std::uint64_t CopiedBytes(CopyDirection direction) const override { return device_.CopiedBytes(direction); }
  Status health() const override { return device_.health(); }

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

  DeviceBackend& device_;
  const unsigned most_questions_;
  mutable Mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t recordings_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<EventId, Unseen> unseen_ ABSL_GUARDED_BY(mutex_);  // recorded, and not seen to have completed
  Counts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib

#endif  // TIERLIB_TESTS_ALLOCATOR_LATE_DEVICE_H_
