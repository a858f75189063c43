// StreamClocks: who must wait for whom before a piece of freed memory may be touched again.
//
// Each stream that frees has a clock. A free on it gets the next clock value; the value is reached by an event recorded
// on the stream afterwards (a mark), so one mark covers all frees before it. A Stamp holds, per clock, the value after
// which memory may be touched. Order makes a stream wait for marks until it is ordered after a stamp, and remembers
// what it is ordered after, also through the streams that it waited for.
//
// Clocks go by the streams' numbers, as a handle may come back as another stream. A stream that the program made may be
// destroyed as soon as the call that names it returns: it is marked within that call, and not touched again.
//
//   I1  marks of a clock ascend; the newest has value `marked`; a stamp's value is at most marked + 1
//   I2  for every value in (completed, marked] there is a mark at or above it
//   I3  only clocks of the device's own streams have frees without a mark
//
// Thread-safety: none; the pool locks.
#ifndef TIERLIB_SRC_ALLOCATOR_STREAM_CLOCKS_H_
#define TIERLIB_SRC_ALLOCATOR_STREAM_CLOCKS_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "allocator/device_backend.h"
#include "tierlib/status.h"

namespace tierlib {

// Told of the waits that order a stream of the device after work of another one.
class WaitWatch {
 public:
  virtual ~WaitWatch() = default;
  virtual void WaitBegins(Stream stream) = 0;                   // right before it is enqueued on `stream`
  virtual void WaitEnds(Stream stream, Stream waited_for) = 0;  // right after
};

class StreamClocks {
 public:
  // Value per clock, by index; a missing one is 0, which every stream is ordered after.
  static constexpr std::size_t kInStamp = 4;  // clocks for which a stamp needs no memory of its own
  using Stamp = absl::InlinedVector<std::uint64_t, kInStamp>;

  // `watch` may be null; it outlives the clocks.
  explicit StreamClocks(DeviceBackend& device, WaitWatch* watch = nullptr)
      : device_(device), watch_(watch), destroyed_(device.destroyed_streams()) {}
  ~StreamClocks();
  StreamClocks(const StreamClocks&) = delete;
  StreamClocks& operator=(const StreamClocks&) = delete;

  // Raises `stamp` so that it comes after the work enqueued on `stream` so far; what that implies is left out of it.
  // Blocks until that work has ended where a stream of the program takes no mark, and where there is no memory to note
  // it. REQUIRES: a stream of the device (aborts otherwise: nothing here could keep the memory from being used too
  // early).
  void StampFree(Stamp& stamp, Stream stream);
  // Raises `stamp` to the elementwise maximum.
  static void Join(Stamp& stamp, const Stamp& other) {
    for (std::size_t i = 0; i < other.size(); ++i) Raise(stamp, i, other[i]);
  }
  // The same, for an `other` that nobody needs any more: needs no memory.
  static void JoinLast(Stamp& stamp, Stamp& other) {
    if (other.size() > stamp.size()) Swap(stamp, other);
    Join(stamp, other);
  }
  // The same as stamp = other, faster where both have as many clocks.
  static void Assign(Stamp& stamp, const Stamp& other) {
    if (stamp.size() != other.size()) {
      stamp = other;
    } else {
      std::copy(other.begin(), other.end(), stamp.begin());
    }
  }

  // Makes `stream` wait until it is ordered after `stamp`. On an error it may wait for a part of it.
  Status Order(Stream stream, const Stamp& stamp);
  // Notices what has ended, as far as marks tell, and records a mark where there is none yet.
  void Poll();
  // True where the work before `stamp` has ended, as far as Poll has noticed.
  bool Reached(const Stamp& stamp) const;
  // Calls `each` with every stream whose work before `stamp` has not ended, as far as Poll has noticed.
  template <typename Each>
  void ForEachPending(const Stamp& stamp, Each&& each) const {
    for (std::size_t i = 0; i < stamp.size(); ++i) {
      if (stamp[i] > clocks_[i].completed) each(clocks_[i].stream);
    }
  }
  // True where Order would make the stream wait for work that has not ended.
  bool WouldWait(Stream stream, const Stamp& stamp);
  // True where `stream` is ordered after `stamp` already.
  bool IsOrdered(Stream stream, const Stamp& stamp);
  // Records a mark where a free on `stream` has none yet.
  void Tick(Stream stream);
  // Blocks until the work before `stamp` has ended.
  Status Synchronize(const Stamp& stamp);
  // The stream's work has ended, and it will not be used again. REQUIRES: it still exists.
  void Forget(Stream stream);

  std::size_t events() const { return events_; }  // that exist now
  std::size_t clocks() const { return clocks_.size(); }
  void CheckInvariants() const;

 private:
  struct Mark {
    std::uint64_t value = 0;
    EventId event = 0;
    Stamp seen;  // what the stream was ordered after when it was recorded, itself included
  };
  struct Clock {
    Stream stream;
    std::uint64_t number = 0;     // of the stream
    std::uint64_t destroyed = 0;  // of the device's streams, when the number was last looked up
    bool own = false;             // the device's, so that it may be marked later
    bool retired = false;         // its stream is gone
    std::uint64_t marked = 0;     // value of the newest mark
    bool unmarked_frees = false;  // frees with value marked + 1
    std::uint64_t completed = 0;  // memory stamped up to this may be touched by anyone
    std::deque<Mark> marks;
    Stamp seen;
  };

  static void Swap(Stamp& a, Stamp& b);
  static void Raise(Stamp& stamp, std::size_t index, std::uint64_t value) {
    if (stamp.size() <= index) stamp.resize(index + 1, 0);
    stamp[index] = std::max(stamp[index], value);
  }
  // Index of the clock of a stream, where the device need not be asked which one it is; clocks() otherwise.
  std::size_t FindKnown(Stream stream) const;
  // Index of the clock of a stream, or clocks() where it has none (yet). An error where the device does not know it.
  StatusOr<std::size_t> Find(Stream stream);
  // The same; makes one where there is none.
  StatusOr<std::size_t> IndexOf(Stream stream);
  void NoteFree(Stamp& stamp, Stream stream);
  void NoteFree(Stamp& stamp, std::size_t index);
  Status OrderAfter(std::size_t first, const Stamp& stamp, Stream stream);
  // True where the stream of clock `self`, or one without a clock, is ordered after value `value` of clock `index`.
  bool IsAfter(std::size_t self, std::size_t index, std::uint64_t value) const;
  Status RecordMark(std::size_t index);
  Status Record(EventId event, Stream stream);
  bool TryMark(std::size_t index);  // false where that fails, for want of memory too
  StatusOr<EventId> TakeEvent();
  // Drops marks that have completed, and so many of the oldest that kMarkLimit hold.
  void DropMarks(Clock& clock);
  void Retire(Clock& clock);
  bool Idle(Clock& clock);

  DeviceBackend& device_;
  WaitWatch* const watch_;
  const std::atomic<std::uint64_t>& destroyed_;
  std::vector<Clock> clocks_;
  std::vector<EventId> spare_;
  std::size_t events_ = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_STREAM_CLOCKS_H_
