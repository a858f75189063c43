#include "export_command.h"

#include <cstdint>
#include <cstdio>
#include <utility>

#include "exit_codes.h"
#include "numbers.h"
#include "output.h"
#include "read_trace.h"

namespace tierlib::trace_viewer {
namespace {

int CodeOf(const Status& status) { return status.code() == StatusCode::kInvalidArgument ? kUsage : kUnreadable; }

int ExportPool(const ExportOptions& options) {
  const StatusOr<OpenedTraces> traces = OpenTraceArgument(options.file, options.rank);
  if (!traces.ok()) return CodeOf(traces.status());
  const trace::Trace& trace = traces->ranks.front()->about();
  const PoolHistory history =
      CollectPoolHistory(*traces->ranks.front(), options.tier.value_or(trace::TierCode::kDevice));
  const std::string bytes = options.format == "rmm-csv" ? RmmCsv(history) : TorchSnapshot(history);
  if (!WriteOutput(options.output, bytes)) return kFindings;
  PrintProblems(options.file, trace.problems, trace.problem_count);
  if (history.left_out > 0) {
    std::fprintf(stderr, "tierlib-trace: %s: %s beyond 1 PiB left out\n", TraceName(options.file).c_str(),
                 FormatCount(history.left_out, "pool record").c_str());
  }
  return trace.problem_count + history.left_out > 0 ? kTruncated : kOk;
}

int ExportTimelines(const ExportOptions& options) {
  const StatusOr<OpenedTraces> traces =
      options.rank.has_value() ? OpenTraceArgument(options.file, options.rank) : OpenTracesArgument(options.file);
  if (!traces.ok()) return CodeOf(traces.status());
  std::vector<trace::RecordSource*> sources;
  for (const auto& trace : traces->ranks) sources.push_back(trace.get());
  const std::vector<Timeline> timelines = TimelinesOf(sources);
  const std::string bytes = options.format == "perfetto" ? PerfettoTrace(timelines) : ChromeTrace(timelines);
  if (!WriteOutput(options.output, bytes)) return kFindings;
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
  if (options.format == "rmm-csv" || options.format == "torch-snapshot") return ExportPool(options);
  if (options.tier.has_value()) {
    std::fprintf(stderr, "tierlib-trace: --tier is for rmm-csv and torch-snapshot: %s has all tiers\n",
                 options.format.c_str());
    return kUsage;
  }
  return ExportTimelines(options);
}

}  // namespace tierlib::trace_viewer
