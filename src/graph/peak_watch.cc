#include "graph/peak_watch.h"

#include <algorithm>
#include <new>

namespace tierlib {

PeakWatch::PeakWatch(int device, std::uint64_t target_bytes) : target_bytes_(target_bytes) {
  statistics_.device = device;
  statistics_.target = target_bytes;
}

template <typename Body>
void PeakWatch::OrStop(Body&& body) {
  constexpr std::size_t kMost = std::size_t{1} << 20;  // of programs that never end a step, too
  try {
    body();
    recording_ = recording_ && timeline_.live.size() <= kMost && timeline_.values.size() <= kMost;
  } catch (const std::bad_alloc&) {
    recording_ = false;
  }
}

void PeakWatch::BeginStep() {
  ++step_;
  in_step_ = true;
  recording_ = true;
  follows_ = !plan_.empty();
  now_ = Mark();
  packed_ = 0;
  kept_values_ = 0;
  kept_bytes_ = 0;
  timeline_.live.clear();
  timeline_.values.clear();
  marks_.clear();
  labels_.clear();
  fresh_ = false;
  OrStop([this] { NextInstant(); });
}

void PeakWatch::EndStep() {
  in_step_ = false;
  OrStop([this] {
    if (recording_ && now_.in_backward) Learn();
  });
  recording_ = false;
}

void PeakWatch::Learn() {
  const auto instants = static_cast<std::uint32_t>(timeline_.live.size());
  for (PeakTimeline::Value& value : timeline_.values) value.end = std::min(value.end, instants);
  const PeakPlan plan = PlanPeak(timeline_, target_bytes_);
  PeakStatistics learned;
  learned.device = statistics_.device;
  learned.target = target_bytes_;
  learned.unmoved_peak = plan.unmoved_peak;
  learned.planned_peak = plan.planned_peak;
  learned.planned = plan.moved_bytes;
  learned.planned_values = static_cast<std::uint64_t>(std::count(plan.moves.begin(), plan.moves.end(), true));
  learned.kept = kept_bytes_;
  learned.kept_values = kept_values_;
  const Mark& before = marks_[plan.peak_instant];
  if (before.value < labels_.size()) learned.peak_after = labels_[before.value];
  learned.peak_in_backward = before.in_backward;
  std::vector<PlannedValue> next;
  next.reserve(plan.moves.size());
  for (std::size_t i = 0; i < plan.moves.size(); ++i) next.push_back({timeline_.values[i].bytes, plan.moves[i]});
  plan_ = std::move(next);
  statistics_ = std::move(learned);
}

std::optional<bool> PeakWatch::Planned(const PeakValue& value, std::uint64_t bytes) const {
  if (!in_step_) return std::nullopt;
  if (value.step == step_) return value.planned;
  if (!follows_ || packed_ >= plan_.size() || plan_[packed_].bytes != bytes) return std::nullopt;
  return plan_[packed_].moves;
}

void PeakWatch::NotePacked(PeakValue& value, std::uint64_t bytes, bool movable, std::string_view label) {
  if (!in_step_) return;
  if (value.step == step_) {  // again: any of the values may be large enough
    if (Knows(value)) timeline_.values[value.number].movable |= movable;
    return;
  }
  value.planned = Planned(value, bytes);
  follows_ = value.planned.has_value();
  value.step = step_;
  value.number = packed_++;
  if (!recording_) return;
  OrStop([&] {
    timeline_.values.push_back({bytes, kOpen, kOpen, movable});
    labels_.emplace_back(label);
    now_.value = value.number;
    if (value.held) timeline_.values.back().begin = NextInstant();
  });
}

void PeakWatch::NoteKept(std::uint64_t bytes) {
  ++kept_values_;
  kept_bytes_ += bytes;
}

void PeakWatch::NoteHeld(PeakValue& value) {
  value.held = true;
  if (!Knows(value)) return;
  OrStop([&] {
    PeakTimeline::Value& timed = timeline_.values[value.number];
    if (timed.begin == kOpen && timed.end == kOpen) timed.begin = NextInstant();
  });
}

void PeakWatch::NoteAsked(PeakValue& value, std::uint64_t live_bytes) {
  if (!Knows(value)) return;
  OrStop([&] {
    now_ = {value.number, /*in_backward=*/true};
    PeakTimeline::Value& timed = timeline_.values[value.number];
    if (timed.end != kOpen) return;
    timed.end = NextInstant();
    NoteLive(live_bytes);
  });
}

void PeakWatch::NoteGone(PeakValue& value) {
  SetAway(value, 0);
  value.held = false;
  if (!Knows(value)) return;
  OrStop([&] {
    PeakTimeline::Value& timed = timeline_.values[value.number];
    if (timed.end == kOpen) timed.end = NextInstant();
  });
}

void PeakWatch::SetAway(PeakValue& value, std::uint64_t bytes) {
  away_bytes_ += bytes - value.away;
  value.away = bytes;
}

void PeakWatch::NoteLive(std::uint64_t live_bytes) {
  if (!recording_) return;
  const std::uint64_t unmoved = live_bytes + away_bytes_;
  if (fresh_ || unmoved > timeline_.live.back()) {
    timeline_.live.back() = unmoved;
    marks_.back() = now_;
  }
  fresh_ = false;
}

std::uint32_t PeakWatch::NextInstant() {
  if (!fresh_) {
    marks_.push_back(now_);
    timeline_.live.push_back(0);
    fresh_ = true;
  }
  return static_cast<std::uint32_t>(timeline_.live.size() - 1);
}

}  // namespace tierlib
