#include "allocator/late_events.h"

#include <algorithm>

#include "base/clock.h"

namespace tierlib {
namespace {

void Join(LateEvents::Clock& clock, const LateEvents::Clock& other) {
  for (const auto& [stream, count] : other) {
    std::uint64_t& mine = clock[stream];
    mine = std::max(mine, count);
  }
}

}  // namespace

void LateEvents::Recorded(EventId event, Stream stream) {
  MutexLock lock(mutex_);
  Clock& clock = streams_[stream.handle];
  ++clock[stream.handle];
  Recording recording;
  recording.number = ++recorded_;
  recording.stream = stream.handle;
  recording.clock = clock;
  recordings_[event] = std::move(recording);
}

void LateEvents::Waits(Stream stream, EventId event) {
  MutexLock lock(mutex_);
  const auto found = recordings_.find(event);
  if (found != recordings_.end()) Join(streams_[stream.handle], found->second.clock);
}

void LateEvents::Destroyed(EventId event) {
  MutexLock lock(mutex_);
  recordings_.erase(event);
}

bool LateEvents::Say(EventId event) {
  MutexLock lock(mutex_);
  const auto found = recordings_.find(event);
  if (found == recordings_.end()) return true;
  Recording& recording = found->second;
  const auto settled = settled_.find(recording.stream);
  if (settled != settled_.end() && recording.clock[recording.stream] <= settled->second) return true;
  const Faults::Lateness late = faults_.LatenessOf(recording.number);
  const std::int64_t now = late.ns > 0 ? NowNs() : 0;
  if (recording.queries == 0) recording.done_ns = now;
  const bool soon = late.ns > 0 && static_cast<std::uint64_t>(now - recording.done_ns) < late.ns;
  if (recording.queries < late.queries || soon) {
    ++recording.queries;
    return false;
  }
  SettleLocked(recording.clock);
  return true;
}

LateEvents::Clock LateEvents::Before(EventId event) const {
  MutexLock lock(mutex_);
  const auto found = recordings_.find(event);
  return found == recordings_.end() ? Clock() : found->second.clock;
}

LateEvents::Clock LateEvents::Before(Stream stream) const {
  MutexLock lock(mutex_);
  const auto found = streams_.find(stream.handle);
  return found == streams_.end() ? Clock() : found->second;
}

LateEvents::Clock LateEvents::Everything() const {
  MutexLock lock(mutex_);
  Clock all;
  for (const auto& [stream, clock] : streams_) Join(all, clock);
  return all;
}

void LateEvents::Settle(const Clock& clock) {
  MutexLock lock(mutex_);
  SettleLocked(clock);
}

void LateEvents::SettleLocked(const Clock& clock) { Join(settled_, clock); }

}  // namespace tierlib
