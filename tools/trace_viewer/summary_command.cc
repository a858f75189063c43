#include "summary_command.h"

#include <cstdio>

#include "exit_codes.h"
#include "read_trace.h"
#include "trace/reader.h"

namespace tierlib::trace_viewer {

int RunSummary(const SummaryOptions& options) {
  const StatusOr<trace::Trace> trace = ReadTraceArgument(options.file);
  if (!trace.ok()) return kUnreadable;
  const trace::Summary summary = trace::Summarize(*trace);
  const std::string text =
      options.json ? SummaryJson(options.file, summary) : SummaryText(TraceName(options.file), summary);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    std::fprintf(stderr, "tierlib-trace: cannot write to standard output\n");
    return kFindings;
  }
  PrintProblems(options.file, summary.problems, summary.problem_count);
  return summary.problem_count > 0 ? kTruncated : kOk;
}

}  // namespace tierlib::trace_viewer
