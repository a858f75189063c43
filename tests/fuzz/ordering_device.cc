#include "fuzz/ordering_device.h"

#include "base/check.h"

namespace tierlib::fuzz {
namespace {

// Where the memory would be: nobody touches it.
std::byte* Base() { return reinterpret_cast<std::byte*>(std::uintptr_t{1} << 40); }

}  // namespace

void OrderingDevice::Reset(std::uint64_t capacity, std::size_t granularity) {
  info_.capacity = capacity;
  info_.granularity = granularity;
  info_.base_alignment = 4096;
  info_.notes_blocks = true;
  streams_ = 0;
  seen_ = {};
  done_ = {};
  events_.clear();
  existing_ = 0;
  pieces_.clear();
  reserved_ = 0;
  notes_ = 0;
  reserve_limit = capacity;
  events_left = 1 << 30;
  slots_ = {};
  for (std::size_t slot = 0; slot < kSlots; ++slot) (void)Create(slot, slot < 4);
}

bool OrderingDevice::Create(std::size_t slot, bool own) {
  if (streams_ == kStreamsMost) return false;
  slots_[slot] = {true, own, streams_++};
  return true;
}

void OrderingDevice::Destroy(std::size_t slot) {
  slots_[slot].exists = false;
  if (!slots_[slot].own) return;  // the device does not get to know
  Complete(Seen(slot));
  destroyed_streams_.fetch_add(1, std::memory_order_release);
}

void OrderingDevice::Follow(std::size_t slot, std::size_t other) {
  Work(slot);
  Raise(seen_[NumberOf(slot)], Seen(other));
}

void OrderingDevice::Complete(const Moment& moment) { Raise(done_, moment); }

void OrderingDevice::CompleteAll() {
  for (std::size_t i = 0; i < streams_; ++i) Complete(seen_[i]);
}

void OrderingDevice::CompleteEvent(std::size_t which) {
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const Event& event = events_[(which + i) % events_.size()];
    if (!event.exists || !event.recorded || Done(event)) continue;
    Complete(event.moment);
    return;
  }
}

StatusOr<void*> OrderingDevice::Reserve(std::size_t bytes) {
  TIERLIB_CHECK(bytes > 0 && bytes % info_.granularity == 0, "Reserve of no whole granules");
  if (reserved_ + bytes > info_.capacity || reserved_ + bytes > reserve_limit) {
    return Status(StatusCode::kResourceExhausted);
  }
  void* const piece = Base() + reserved_;
  pieces_.push_back(bytes);
  reserved_ += bytes;
  return piece;
}

Status OrderingDevice::Release(void* base, std::size_t bytes) {
  TIERLIB_CHECK(!pieces_.empty() && pieces_.back() == bytes && base == Base() + reserved_ - bytes,
                "Release of a range that was not reserved last");
  pieces_.pop_back();
  reserved_ -= bytes;
  return OkStatus();
}

void OrderingDevice::NoteBlock(void*, std::size_t, bool, Stream stream) {
  noted_ = Exists(stream) ? Seen(stream.handle - 1) : done_;
  ++notes_;
}

Status OrderingDevice::SynchronizeStream(Stream stream) {
  if (!Exists(stream)) return NotFoundError("no such stream");
  Complete(Seen(stream.handle - 1));
  return OkStatus();
}

Status OrderingDevice::Synchronize() {
  CompleteAll();
  return OkStatus();
}

StatusOr<std::uint64_t> OrderingDevice::StreamNumber(Stream stream) {
  if (!Exists(stream)) return Status(StatusCode::kNotFound);
  return std::uint64_t{100} + NumberOf(stream.handle - 1);
}

bool OrderingDevice::Owns(Stream stream) const { return Exists(stream) && own(stream.handle - 1); }

StatusOr<EventId> OrderingDevice::CreateEvent() {
  if (events_left-- <= 0) return Status(StatusCode::kUnavailable);
  events_.push_back({true, false, {}});
  ++existing_;
  return events_.size();
}

OrderingDevice::Event& OrderingDevice::At(EventId event) {
  TIERLIB_CHECK(event >= 1 && event <= events_.size() && events_[event - 1].exists, "an event that does not exist");
  return events_[event - 1];
}

void OrderingDevice::DestroyEvent(EventId event) {
  At(event).exists = false;
  --existing_;
}

Status OrderingDevice::RecordEvent(EventId id, Stream stream) {
  Event& event = At(id);
  if (!Exists(stream)) return Status(StatusCode::kNotFound);
  if (events_left-- <= 0) return Status(StatusCode::kUnavailable);
  TIERLIB_CHECK(!event.recorded || Done(event), "an event is recorded again before it completed");
  event.recorded = true;
  event.moment = Seen(stream.handle - 1);
  return OkStatus();
}

Status OrderingDevice::WaitEvent(Stream stream, EventId id) {
  const Event& event = At(id);
  if (!Exists(stream)) return Status(StatusCode::kNotFound);
  if (!event.recorded) return OkStatus();
  Work(stream.handle - 1);  // the wait is an item too: an event after it comes after more than one before it
  Raise(seen_[NumberOf(stream.handle - 1)], event.moment);
  return OkStatus();
}

Status OrderingDevice::SynchronizeEvent(EventId id) {
  const Event& event = At(id);
  if (event.recorded) Complete(event.moment);
  return OkStatus();
}

}  // namespace tierlib::fuzz
