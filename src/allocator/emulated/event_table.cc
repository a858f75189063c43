#include "allocator/emulated/event_table.h"

#include <string>
#include <utility>

namespace tierlib::emulated {
namespace {

Status UnknownEvent(EventId event) {
  return InvalidArgumentError("event " + std::to_string(event) + " does not exist: make it with CreateEvent");
}

}  // namespace

EventId EventTable::Create() {
  MutexLock lock(mutex_);
  std::uint32_t index = 0;
  if (unused_.empty()) {
    index = static_cast<std::uint32_t>(slots_.size());
    if (unused_.capacity() <= slots_.size()) unused_.reserve(2 * slots_.size() + 8);  // Destroy allocates nothing
    slots_.emplace_back();
  } else {
    index = unused_.back();
    unused_.pop_back();
  }
  slots_[index].used = true;
  return (EventId{slots_[index].generation} << 32) | index;
}

const EventTable::Slot* EventTable::Lookup(EventId event) const {
  const std::uint64_t index = event & 0xffffffffu;
  if (index >= slots_.size()) return nullptr;
  const Slot& slot = slots_[index];
  return slot.used && slot.generation == (event >> 32) ? &slot : nullptr;
}

void EventTable::Destroy(EventId event) {
  MutexLock lock(mutex_);
  if (Lookup(event) == nullptr) return;
  const auto index = static_cast<std::uint32_t>(event & 0xffffffffu);
  Slot& slot = slots_[index];
  slot.used = false;
  slot.recording.reset();
  if (++slot.generation != 0) unused_.push_back(index);  // a slot whose generations are used up is never used again
}

Status EventTable::Check(EventId event) const {
  MutexLock lock(mutex_);
  return Lookup(event) != nullptr ? OkStatus() : UnknownEvent(event);
}

Status EventTable::SetRecording(EventId event, RecordingRef recording) {
  MutexLock lock(mutex_);
  if (Lookup(event) == nullptr) return UnknownEvent(event);
  slots_[event & 0xffffffffu].recording.swap(recording);
  return OkStatus();
}

StatusOr<RecordingRef> EventTable::Find(EventId event) const {
  MutexLock lock(mutex_);
  const Slot* slot = Lookup(event);
  if (slot == nullptr) return UnknownEvent(event);
  return RecordingRef(slot->recording);
}

}  // namespace tierlib::emulated
