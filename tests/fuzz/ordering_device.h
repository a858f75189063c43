// OrderingDevice: a device of which only the order of work is kept. Streams are sequences of numbered items, events are
// what a stream was ordered after when they were recorded, and nothing ends but at the harness's word. The memory is
// addresses without bytes. No call allocates once the event table has grown, so that a fuzzer runs fast.
//
// A Moment says, for every stream that ever was, up to which item something is ordered. Streams live in slots: a slot's
// handle stays, and comes back as another stream after Destroy, with another number.
//
// Checked at every call (aborts): an event is recorded again only after it completed; a destroyed event is not used; a
// range that is released is the one reserved last.
//
// Thread-safety: none.
#ifndef TIERLIB_TESTS_FUZZ_ORDERING_DEVICE_H_
#define TIERLIB_TESTS_FUZZ_ORDERING_DEVICE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "allocator/device_backend.h"

namespace tierlib::fuzz {

inline constexpr std::size_t kStreamsMost = 16;  // that ever live in one run
inline constexpr std::size_t kSlots = 6;         // that live at the same time

using Moment = std::array<std::uint16_t, kStreamsMost>;  // by stream; items up to this one

inline void Raise(Moment& moment, const Moment& other) {
  for (std::size_t i = 0; i < kStreamsMost; ++i) moment[i] = moment[i] < other[i] ? other[i] : moment[i];
}
// Whether all that `moment` names lies in `a` or in `b`.
inline bool Covered(const Moment& moment, const Moment& a, const Moment& b) {
  bool covered = true;
  for (std::size_t i = 0; i < kStreamsMost; ++i) covered &= moment[i] <= a[i] || moment[i] <= b[i];
  return covered;
}

class OrderingDevice : public DeviceBackend {
 public:
  // As new: slots 0 to 3 are streams of the device, 4 and 5 are streams of the program.
  void Reset(std::uint64_t capacity, std::size_t granularity);

  // --- The harness's side
  Stream StreamOf(std::size_t slot) const { return Stream{0, slot + 1}; }
  bool exists(std::size_t slot) const { return slots_[slot].exists; }
  bool own(std::size_t slot) const { return slots_[slot].own; }
  std::size_t NumberOf(std::size_t slot) const { return slots_[slot].number; }
  // Makes a stream in an empty slot; false where there were kStreamsMost already.
  bool Create(std::size_t slot, bool own);
  // The stream is gone. Of a stream of the device the work has ended with that, as its contract says.
  void Destroy(std::size_t slot);
  void Work(std::size_t slot) { ++seen_[slots_[slot].number][slots_[slot].number]; }  // enqueues an item
  // The program makes one stream wait for all that another one was given so far; no pool is told.
  void Follow(std::size_t slot, std::size_t other);
  // What the stream in the slot is ordered after, itself included.
  const Moment& Seen(std::size_t slot) const { return seen_[slots_[slot].number]; }
  const Moment& done() const { return done_; }  // what has ended
  void Complete(const Moment& moment);
  void CompleteAll();
  // Completes the pending event of the table at or behind position `which`, with what it is ordered after.
  void CompleteEvent(std::size_t which);

  std::size_t reserved() const { return reserved_; }
  std::size_t events() const { return existing_; }
  const Moment& noted() const { return noted_; }  // what the stream of the last NoteBlock was ordered after
  std::uint64_t notes() const { return notes_; }

  std::uint64_t reserve_limit = 0;  // Reserve is ResourceExhausted beyond it
  int events_left = 0;              // how many calls of CreateEvent and RecordEvent succeed
  bool broken() const { return events_left <= 0; }

  // --- The contract
  const DeviceInfo& info() const override { return info_; }
  StatusOr<void*> Reserve(std::size_t bytes) override;
  Status Release(void* base, std::size_t bytes) override;
  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override;
  Status PinHost(void*, std::size_t) override { return OkStatus(); }
  Status UnpinHost(void*, std::size_t) override { return OkStatus(); }
  StatusOr<Stream> CreateStream(std::string_view) override { return UnimplementedError("Create makes them"); }
  Status DestroyStream(Stream) override { return UnimplementedError("Destroy does"); }
  Status SynchronizeStream(Stream stream) override;
  Status Synchronize() override;
  StatusOr<std::uint64_t> StreamNumber(Stream stream) override;
  bool Owns(Stream stream) const override;
  const std::atomic<std::uint64_t>& destroyed_streams() const override { return destroyed_streams_; }
  StatusOr<EventId> CreateEvent() override;
  void DestroyEvent(EventId event) override;
  Status RecordEvent(EventId event, Stream stream) override;
  Status WaitEvent(Stream stream, EventId event) override;
  StatusOr<bool> EventDone(EventId event) override { return Done(At(event)); }
  Status SynchronizeEvent(EventId event) override;
  std::int64_t EventTimeNs(EventId) override { return 0; }
  Status Copy(absl::Span<const CopyRun>, CopyDirection, Stream) override { return UnimplementedError("no bytes"); }
  Status Fill(void*, std::uint8_t, std::size_t, Stream) override { return UnimplementedError("no bytes"); }
  Status Launch(Stream, HostKernel) override { return UnimplementedError("no kernels"); }
  std::uint64_t CopiedBytes(CopyDirection) const override { return 0; }
  Status health() const override { return OkStatus(); }

 private:
  struct Slot {
    bool exists = false;
    bool own = false;
    std::size_t number = 0;
  };
  struct Event {
    bool exists = false;
    bool recorded = false;
    Moment moment{};
  };

  Event& At(EventId event);
  bool Done(const Event& event) const { return Covered(event.moment, done_, done_); }
  bool Exists(Stream stream) const { return stream.device == 0 && slots_[stream.handle - 1].exists; }

  DeviceInfo info_;
  std::array<Slot, kSlots> slots_{};
  std::size_t streams_ = 0;  // numbers given out
  std::atomic<std::uint64_t> destroyed_streams_{0};
  std::array<Moment, kStreamsMost> seen_{};
  Moment done_{};
  std::vector<Event> events_;  // by id - 1
  std::size_t existing_ = 0;
  std::vector<std::size_t> pieces_;  // reserved, in ascending order
  std::size_t reserved_ = 0;
  Moment noted_{};
  std::uint64_t notes_ = 0;
};

}  // namespace tierlib::fuzz

#endif  // TIERLIB_TESTS_FUZZ_ORDERING_DEVICE_H_
