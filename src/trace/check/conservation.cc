#include "trace/check/conservation.h"

#include <algorithm>
#include <utility>

#include "trace/check/block_ledger.h"
#include "trace/check/saved_ledger.h"
#include "trace/check/span_ledger.h"
#include "trace/check/transfer_ledger.h"

namespace tierlib::trace {
namespace {

// How far two times may be off: those of one clock by what converting ticks to nanoseconds rounds away, those of a GPU
// by what its events resolve and by how well its clock is known in ours.
constexpr std::int64_t kOwnSlackNs = 1'000;
constexpr std::int64_t kGpuSlackNs = 100'000;

// A program that was killed leaves a whole prefix: the end that is missing, and records that were being written then,
// are all the problems that it has.
bool IsComplete(const Trace& trace) {
  std::uint64_t of_the_end = trace.closed ? 0 : 1;
  for (const Gap& gap : trace.gaps) {
    const bool torn = gap.reason == GapReason::kTorn;
    if (!torn && (gap.reason != GapReason::kTruncated || trace.closed)) return false;
    of_the_end += torn ? 1 : 0;
  }
  return trace.dropped == 0 && trace.problem_count <= of_the_end;
}

void CheckFields(const IndexedRecord& at, std::int64_t start_ns, Findings& findings) {
  const Record& record = at.record;
  if (static_cast<std::size_t>(record.tag) >= kTagCount) {
    findings.Add(Rule::kField, at.place, "tag " + std::to_string(static_cast<int>(record.tag)) + " is none");
  }
  const bool fell = record.event == Event::kHostFallback;
  if (fell && record.detail >= kTierCodeCount && record.detail != kNoTier && record.detail != kRecomputedInstead) {
    findings.Add(Rule::kField, at.place, "tier " + std::to_string(record.detail) + " is none");
  }
  if (record.time_ns < start_ns) {
    findings.Add(Rule::kClock, at.place, std::string(EventName(record.event)) + " is before the trace's begin");
  }
}

}  // namespace

ConservationReport CheckConservation(const Trace& trace) {
  TraceRecords records(trace);
  return CheckConservation(records);
}

ConservationReport CheckConservation(RecordSource& source) {
  const Trace& trace = source.about();
  ConservationReport report;
  report.records = source.extent().records;
  report.complete = IsComplete(trace);
  report.ended = trace.closed && !trace.is_copy && report.complete;
  report.several_devices = trace.device.find(',') != std::string::npos;
  const std::int64_t slack_ns = trace.device.starts_with("cuda") ? kGpuSlackNs : kOwnSlackNs;

  Findings findings(trace, source.extent().first_ns);
  BlockLedger blocks(trace, report.several_devices, findings);
  TransferLedger transfers(trace, slack_ns, findings);
  SavedLedger saved(findings);
  SpanLedger spans(trace, slack_ns, findings);
  std::uint64_t index = 0;
  source.ForEach([&](const Record& record) {
    const IndexedRecord at = {{index++, record.time_ns}, record};
    findings.Take(record);
    CheckFields(at, trace.start_monotonic_ns, findings);
    blocks.Take(at);
    if (!report.several_devices) transfers.Take(at);
    saved.Take(at);
    spans.Take(at);
  });
  blocks.Finish(report.ended);
  transfers.Finish(report.ended);
  saved.Finish(report.ended);
  spans.Finish(report.ended);
  const std::uint64_t not_moved = transfers.bytes_out() - saved.bytes_moved();  // wraps around where more is
  if (report.ended && !report.several_devices && not_moved > transfers.bytes_failed()) {
    findings.AddOfWhole(Rule::kMovedBytes, ExactBytes(saved.bytes_moved()) +
                                               " are booked as moved, and copies out of " +
                                               std::to_string(transfers.bytes_out()) + " were asked for");
  }

  report.by_rule = findings.counts();
  report.findings = findings.TakeList();
  if (!report.complete) {
    const auto unsure = [](const Finding& finding) { return !HoldsInParts(finding.rule); };
    report.findings.erase(std::remove_if(report.findings.begin(), report.findings.end(), unsure),
                          report.findings.end());
    for (std::size_t rule = 0; rule < kRuleCount; ++rule) {
      if (!HoldsInParts(static_cast<Rule>(rule))) report.unexplained += std::exchange(report.by_rule[rule], 0);
    }
  }
  for (const std::uint64_t count : report.by_rule) report.finding_count += count;
  report.blocks = blocks.blocks();
  report.transfers = transfers.count();
  report.storages = saved.storages();
  report.packs = saved.packs();
  report.steps = spans.steps();
  report.stalls = spans.stalls();
  report.ops = spans.ops();
  return report;
}

}  // namespace tierlib::trace
