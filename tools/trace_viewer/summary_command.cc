#include "summary_command.h"

#include <cstdint>

#include "exit_codes.h"
#include "output.h"
#include "read_trace.h"
#include "trace/summary.h"

namespace tierlib::trace_viewer {

int RunSummary(const SummaryOptions& options) {
  const StatusOr<OpenedTraces> traces = OpenTracesArgument(options.file);
  if (!traces.ok()) return kUnreadable;
  std::vector<trace::Summary> ranks;
  std::string text;
  std::uint64_t problems = 0;
  for (const auto& trace : traces->ranks) {
    ranks.push_back(trace::Summarize(*trace));
    problems += ranks.back().problem_count;
    if (options.json) continue;
    const std::string rank = traces->ranks.size() == 1 ? "" : " rank " + std::to_string(ranks.back().rank);
    text += (text.empty() ? "" : "\n") + SummaryText(TraceName(options.file) + rank, ranks.back());
  }
  if (options.json) text = SummaryJson(options.file, ranks);
  if (!WriteOutput("-", text)) return kNotWritten;
  for (const trace::Summary& summary : ranks) PrintProblems(options.file, summary.problems, summary.problem_count);
  return problems > 0 ? kTruncated : kOk;
}

}  // namespace tierlib::trace_viewer
