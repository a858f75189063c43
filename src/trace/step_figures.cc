#include "trace/step_figures.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace tierlib::trace {
namespace {

std::uint64_t Elapsed(std::int64_t begin, std::int64_t end) {
  return end > begin ? static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(begin) : 0;
}

}  // namespace

std::uint64_t StepFigures::stall_ns() const {
  return std::accumulate(stalled_ns.begin(), stalled_ns.end(), std::uint64_t{0});
}

const char* StepExcessKindName(StepExcess::Kind kind) {
  switch (kind) {
    case StepExcess::Kind::kStall: return "stall";
    case StepExcess::Kind::kOp: return "op";
    case StepExcess::Kind::kUnknown: return "unknown";
    case StepExcess::Kind::kCopiedOut: return "copied out";
    case StepExcess::Kind::kCopiedIn: return "copied in";
    case StepExcess::Kind::kPacked: return "packed";
    case StepExcess::Kind::kMoved: return "moved";
  }
  return "?";
}

std::uint64_t MedianOf(std::vector<std::uint64_t> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  const std::uint64_t below = *std::max_element(values.begin(), middle);
  return below + (*middle - below) / 2;
}

void StepCollector::Take(const Record& record) {
  const bool device = record.detail == static_cast<std::uint16_t>(TierCode::kDevice);
  switch (record.event) {
    case Event::kStepBegin:
    case Event::kStepEnd: return TakeStep(record);
    case Event::kPoolAllocate:
    case Event::kPoolFree:
      if (!device) return;
      device_live_ += record.event == Event::kPoolAllocate ? record.value : 0 - record.value;
      if (static_cast<std::int64_t>(device_live_) > 0) {
        step_.device_peak_bytes = std::max(step_.device_peak_bytes, device_live_);
      }
      return;
    case Event::kPack: step_.packed_bytes += record.value; return;
    case Event::kDecision: {
      const auto action = static_cast<DecisionAction>(record.detail / 256);
      if (action == DecisionAction::kMove) step_.moved_bytes += record.value;
      if (action >= DecisionAction::kReference && action <= DecisionAction::kRecompute) {
        step_.avoided_bytes += record.value;
      }
      return;
    }
    case Event::kTransferAsk:
      if (record.detail < kDirectionCodeCount) TakeAsk(record);
      return;
    case Event::kTransferEnd: return TakeEnd(record);
    case Event::kStallEnd:
      if (record.detail < kStallCauseCount) step_.stalled_ns[record.detail] += record.value;
      return;
    case Event::kOpBegin:
    case Event::kOpEnd: return TakeOp(record);
    default: return;
  }
}

void StepCollector::TakeAsk(const Record& record) {
  step_.copied_bytes[record.detail] += record.value;
  asked_[record.subject] = {record.detail, record.value, begun_};
}

// One without bytes was refused or failed, which is told soon: nothing of it counts.
void StepCollector::TakeEnd(const Record& record) {
  const auto asked = asked_.find(record.subject);
  if (asked == asked_.end()) return;
  const Asked copy = asked->second;
  asked_.erase(asked);
  if (record.value == 0 && in_step_ && copy.step == begun_) step_.copied_bytes[copy.direction] -= copy.bytes;
}

void StepCollector::TakeStep(const Record& record) {
  if (record.event == Event::kStepBegin) {
    unfinished_ += in_step_ ? 1 : 0;
    in_step_ = true;
    ++begun_;
    step_ = {};
    step_.number = record.subject;
    step_.begin_ns = record.time_ns;
    step_.device_peak_bytes = static_cast<std::int64_t>(device_live_) > 0 ? device_live_ : 0;
    step_ops_.clear();
  } else if (in_step_) {
    in_step_ = false;
    step_.ns = Elapsed(step_.begin_ns, record.time_ns);
    steps_.push_back(step_);
    ops_.emplace_back(step_ops_.begin(), step_ops_.end());
    step_ops_.clear();
  }
}

void StepCollector::TakeOp(const Record& record) {
  if (record.event == Event::kOpBegin) {
    op_begins_[record.subject] = record.time_ns;
    return;
  }
  const auto begin = op_begins_.find(record.subject);
  if (begin == op_begins_.end()) return;
  if (in_step_) step_ops_[record.label] += Elapsed(begin->second, record.time_ns);
  op_begins_.erase(begin);
}

// Steps follow each other, and so do the intervals of `busy`: one pass over both.
void StepCollector::Finish(const std::vector<Interval>& busy, bool has_ops, std::int64_t first_ns) {
  unfinished_ += in_step_ ? 1 : 0;
  in_step_ = false;
  std::size_t next = 0;
  for (StepFigures& step : steps_) {
    const auto begin = static_cast<std::uint64_t>(step.begin_ns);
    const Interval whole = {step.begin_ns, static_cast<std::int64_t>(begin + step.ns)};
    step.begin_ns = static_cast<std::int64_t>(begin - static_cast<std::uint64_t>(first_ns));
    if (!has_ops) continue;
    while (next < busy.size() && busy[next].end <= whole.begin) ++next;
    step.unknown_ns = step.ns;
    for (std::size_t i = next; i < busy.size() && busy[i].begin < whole.end; ++i) {
      step.unknown_ns -= Clip(busy[i], whole).length();
    }
  }
}

void StepCollector::AddOps(std::size_t index, std::vector<StepExcess>* excess) const {
  absl::flat_hash_map<std::uint32_t, std::vector<std::uint64_t>> by_label;
  for (const auto& [label, ns] : ops_[index]) by_label[label].reserve(steps_.size());
  for (const auto& ops : ops_) {
    for (const auto& [label, ns] : ops) {
      if (const auto found = by_label.find(label); found != by_label.end()) found->second.push_back(ns);
    }
  }
  std::vector<StepExcess> more;
  for (const auto& [label, ns] : ops_[index]) {
    std::vector<std::uint64_t>& of_steps = by_label[label];
    of_steps.resize(steps_.size());  // those without such an op took no time for it
    const std::uint64_t median = MedianOf(of_steps);
    if (ns > median) more.push_back({StepExcess::Kind::kOp, trace_.LabelText(label), ns, median});
  }
  std::sort(more.begin(), more.end(), [](const StepExcess& a, const StepExcess& b) {
    return std::pair(b.more(), a.name) < std::pair(a.more(), b.name);
  });
  if (more.size() > kOpsNamedMost) more.resize(kOpsNamedMost);
  excess->insert(excess->end(), more.begin(), more.end());
}

SlowStep StepCollector::Explain(std::size_t index) const {
  const StepFigures& step = steps_[index];
  SlowStep slow{step.number, step.begin_ns, step.ns, {}};
  const auto add = [&](StepExcess::Kind kind, const char* name, const auto& figure) {
    std::vector<std::uint64_t> values;
    values.reserve(steps_.size());
    for (const StepFigures& one : steps_) values.push_back(figure(one));
    const std::uint64_t median = MedianOf(std::move(values));
    if (figure(step) > median) slow.excess.push_back({kind, name, figure(step), median});
  };
  using Kind = StepExcess::Kind;
  for (std::size_t cause = 0; cause < kStallCauseCount; ++cause) {
    add(Kind::kStall, StallCauseName(static_cast<StallCause>(cause)),
        [cause](const StepFigures& one) { return one.stalled_ns[cause]; });
  }
  AddOps(index, &slow.excess);
  add(Kind::kUnknown, "", [](const StepFigures& one) { return one.unknown_ns; });
  add(Kind::kCopiedOut, "", [](const StepFigures& one) { return one.copied_bytes[0]; });
  add(Kind::kCopiedIn, "", [](const StepFigures& one) { return one.copied_bytes[1]; });
  add(Kind::kPacked, "", [](const StepFigures& one) { return one.packed_bytes; });
  add(Kind::kMoved, "", [](const StepFigures& one) { return one.moved_bytes; });
  std::stable_sort(slow.excess.begin(), slow.excess.end(), [](const StepExcess& a, const StepExcess& b) {
    return a.is_time() != b.is_time() ? a.is_time() : a.more() > b.more();
  });
  return slow;
}

std::vector<SlowStep> StepCollector::SlowSteps() const {
  std::vector<std::size_t> order(steps_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const std::size_t count = std::min(order.size(), kSlowStepsMost);
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [this](std::size_t a, std::size_t b) {
                      return steps_[a].ns != steps_[b].ns ? steps_[a].ns > steps_[b].ns : a < b;
                    });
  std::vector<std::uint64_t> lengths;
  lengths.reserve(steps_.size());
  for (const StepFigures& step : steps_) lengths.push_back(step.ns);
  const std::uint64_t median = MedianOf(std::move(lengths));
  std::vector<SlowStep> slow;
  for (std::size_t i = 0; i < count && steps_[order[i]].ns > median; ++i) slow.push_back(Explain(order[i]));
  return slow;
}

}  // namespace tierlib::trace
