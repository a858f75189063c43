#include "export_command.h"

#include <cstdint>
#include <cstdio>
#include <utility>

#include "exit_codes.h"
#include "numbers.h"
#include "output.h"
#include "ranks_json.h"
#include "read_trace.h"

namespace tierlib::trace_viewer {
namespace {

int CodeOf(const Status& status) { return status.code() == StatusCode::kInvalidArgument ? kUsage : kUnreadable; }

// What was written.
struct ExportReport {
  struct Rank {
    std::int32_t rank = 0;
    std::uint64_t events = 0;  // in the format's own sense: what it has on its tracks, or the pool did
    std::uint64_t problem_count = 0;
  };
  std::string output;
  std::string format;
  std::string tier;  // "": all, as timelines have them
  std::uint64_t bytes = 0;
  std::uint64_t left_out = 0;  // records that no program wrote
  std::vector<Rank> ranks;
};

std::string ReportJson(const std::string& file, const ExportReport& report) {
  std::vector<nlohmann::ordered_json> ranks;
  for (const ExportReport::Rank& rank : report.ranks) {
    ranks.push_back({{"rank", rank.rank}, {"events", rank.events}, {"problem_count", rank.problem_count}});
  }
  return RanksJson(
      file, std::move(ranks),
      {{"output", report.output},
       {"format", report.format},
       {"tier", report.tier.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(report.tier)},
       {"bytes", report.bytes},
       {"left_out", report.left_out}});
}

// Writes the bytes, and what was written.
bool Write(const ExportOptions& options, const std::string& bytes, ExportReport report) {
  report.output = options.output;
  report.format = options.format;
  report.bytes = bytes.size();
  if (!WriteOutput(options.output, bytes)) return false;
  return !options.json || WriteOutput("-", ReportJson(options.file, report));
}

int ExportPool(const ExportOptions& options) {
  const StatusOr<OpenedTraces> traces = OpenTraceArgument(options.file, options.rank);
  if (!traces.ok()) return CodeOf(traces.status());
  const trace::Trace& trace = traces->ranks.front()->about();
  const trace::TierCode tier = options.tier.value_or(trace::TierCode::kDevice);
  const PoolHistory history = CollectPoolHistory(*traces->ranks.front(), tier);
  const std::string bytes = options.format == "rmm-csv" ? RmmCsv(history) : TorchSnapshot(history);
  ExportReport report;
  report.tier = trace::TierCodeName(tier);
  report.left_out = history.left_out;
  report.ranks.push_back({trace.rank, history.events.size(), trace.problem_count});
  if (!Write(options, bytes, std::move(report))) return kNotWritten;
  PrintProblems(options.file, trace.problems, trace.problem_count);
  if (history.left_out > 0) {
    std::fprintf(stderr, "tierlib-trace: %s: %s beyond 1 PiB left out\n", TraceName(options.file).c_str(),
                 FormatCount(history.left_out, "pool record").c_str());
  }
  return trace.problem_count + history.left_out > 0 ? kTruncated : kOk;
}

std::uint64_t EventsOf(const Timeline& timeline) {
  std::uint64_t events = 0;
  for (const TimelineTrack& track : timeline.tracks) events += track.slices.size() + track.instants.size();
  for (const TimelineCounter& counter : timeline.counters) events += counter.samples.size();
  return events;
}

int ExportTimelines(const ExportOptions& options) {
  const StatusOr<OpenedTraces> traces =
      options.rank.has_value() ? OpenTraceArgument(options.file, options.rank) : OpenTracesArgument(options.file);
  if (!traces.ok()) return CodeOf(traces.status());
  std::vector<trace::RecordSource*> sources;
  for (const auto& trace : traces->ranks) sources.push_back(trace.get());
  const std::vector<Timeline> timelines = TimelinesOf(sources);
  ExportReport report;
  for (std::size_t i = 0; i < timelines.size(); ++i) {
    report.ranks.push_back({timelines[i].rank, EventsOf(timelines[i]), traces->ranks[i]->about().problem_count});
  }
  const std::string bytes = options.format == "perfetto" ? PerfettoTrace(timelines) : ChromeTrace(timelines);
  if (!Write(options, bytes, std::move(report))) return kNotWritten;
  std::uint64_t problems = 0;
  for (const auto& trace : traces->ranks) {
    PrintProblems(options.file, trace->about().problems, trace->about().problem_count);
    problems += trace->about().problem_count;
  }
  return problems > 0 ? kTruncated : kOk;
}

}  // namespace

int RunExport(const ExportOptions& options) {
  if (options.file != "-" && options.output != "-" && SameFile(options.file, options.output)) {
    std::fprintf(stderr, "tierlib-trace: %s is the trace itself: name another file with -o\n",
                 Printable(options.output, 200).c_str());
    return kUsage;
  }
  if (options.json && !HasRoomForJson(options.output)) return kUsage;
  if (options.format == "rmm-csv" || options.format == "torch-snapshot") return ExportPool(options);
  if (options.tier.has_value()) {
    std::fprintf(stderr, "tierlib-trace: --tier is for rmm-csv and torch-snapshot: %s has all tiers\n",
                 options.format.c_str());
    return kUsage;
  }
  return ExportTimelines(options);
}

}  // namespace tierlib::trace_viewer
