#include "trace/check/span_ledger.h"

#include <iterator>
#include <string>

namespace tierlib::trace {

SpanLedger::SpanLedger(const Trace& trace, std::int64_t slack_ns, Findings& findings)
    : trace_(trace), slack_ns_(slack_ns), findings_(findings) {}

void SpanLedger::Take(const IndexedRecord& at) {
  switch (at.record.event) {
    case Event::kStepBegin:
    case Event::kBackwardBegin:
    case Event::kStepEnd: return TakeStep(at);
    case Event::kStallBegin: return BeginStall(at);
    case Event::kStallEnd: return EndStall(at);
    case Event::kOpBegin:
    case Event::kOpEnd: return TakeOp(at);
    default: return;
  }
}

void SpanLedger::TakeStep(const IndexedRecord& at) {
  const Record& record = at.record;
  const std::string name = "step " + std::to_string(record.subject);
  const auto open = [this] {
    return "step " + std::to_string(step_->record.subject) + " of " + step_->place.ToString();
  };
  if (record.event == Event::kStepBegin) {
    ++steps_;
    if (step_.has_value()) findings_.Add(Rule::kStepNesting, at.place, name + " begins within " + open());
    step_ = at;
    return;
  }
  const bool ends = record.event == Event::kStepEnd;
  if (!step_.has_value()) {  // a program may go backward outside of steps
    if (ends) findings_.Add(Rule::kStepNesting, at.place, name + " ends and has not begun");
    return;
  }
  if (step_->record.subject != record.subject) {
    findings_.Add(Rule::kStepNesting, at.place, name + (ends ? " ends within " : " goes backward within ") + open());
  }
  if (ends) step_.reset();
}

void SpanLedger::BeginStall(const IndexedRecord& at) {
  const Record& record = at.record;
  if (record.detail >= kStallCauseCount) {
    return findings_.Add(Rule::kField, at.place, "stall cause " + std::to_string(record.detail) + " is none");
  }
  open_stalls_[{record.subject, record.detail}].emplace(record.time_ns, at.place);
}

// Two streams may wait for the same storage at once: of the begins that fit, the one at the right distance is taken.
// Stalls without a storage are the host's, which measures them apart from the records.
void SpanLedger::EndStall(const IndexedRecord& at) {
  const Record& record = at.record;
  if (record.detail >= kStallCauseCount) {
    return findings_.Add(Rule::kField, at.place, "stall cause " + std::to_string(record.detail) + " is none");
  }
  ++stalls_;
  const std::string name = std::string("a stall (") + StallCauseName(static_cast<StallCause>(record.detail)) +
                           (record.subject != 0 ? ", " + findings_.StorageName(record.subject) : "") + ')';
  std::multimap<std::int64_t, RecordPlace>& open = open_stalls_[{record.subject, record.detail}];
  if (open.empty()) return findings_.Add(Rule::kStallPair, at.place, name + " ends and has not begun");
  const auto length = [&](std::int64_t begin_ns) {
    return static_cast<std::uint64_t>(record.time_ns) - static_cast<std::uint64_t>(begin_ns);
  };
  const auto error = [&](std::int64_t begin_ns) {
    return length(begin_ns) > record.value ? length(begin_ns) - record.value : record.value - length(begin_ns);
  };
  const auto said = static_cast<std::int64_t>(static_cast<std::uint64_t>(record.time_ns) - record.value);
  auto best = open.lower_bound(said);
  if (best == open.end() || (best != open.begin() && error(std::prev(best)->first) < error(best->first))) --best;
  if (record.subject != 0 && error(best->first) > static_cast<std::uint64_t>(slack_ns_)) {
    findings_.Add(Rule::kStallLength, at.place,
                  name + " says that it took " + std::to_string(record.value) + " ns, and it began " +
                      std::to_string(length(best->first)) + " ns earlier, by " + best->second.ToString());
  }
  open.erase(best);
}

void SpanLedger::TakeOp(const IndexedRecord& at) {
  const Record& record = at.record;
  std::vector<RecordPlace>& open = open_ops_[{record.subject, record.detail}];
  if (record.event == Event::kOpBegin) {
    ++ops_;
    open.push_back(at.place);
  } else if (open.empty()) {
    const std::string label = trace_.LabelText(record.label);
    findings_.Add(
        Rule::kOpPair, at.place,
        "op " + std::to_string(record.subject) + (label.empty() ? "" : " (" + label + ')') + " ends and has not begun");
  } else {
    open.pop_back();
  }
}

void SpanLedger::Finish(bool ended) {
  if (!ended) return;
  if (step_.has_value()) {
    findings_.Add(Rule::kStepNesting, step_->place,
                  "step " + std::to_string(step_->record.subject) + " never ends, and the trace was ended");
  }
  for (const auto& [key, open] : open_stalls_) {
    for (const auto& [begin_ns, place] : open) {
      findings_.Add(Rule::kStallPair, place,
                    std::string("a stall (") + StallCauseName(static_cast<StallCause>(key.second)) +
                        ") never ends, and the trace was ended");
    }
  }
  for (const auto& [key, open] : open_ops_) {
    for (const RecordPlace& place : open) {
      findings_.Add(Rule::kOpPair, place, "op " + std::to_string(key.first) + " never ends, and the trace was ended");
    }
  }
}

}  // namespace tierlib::trace
