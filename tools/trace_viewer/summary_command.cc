#include "summary_command.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "exit_codes.h"
#include "numbers.h"
#include "trace/reader.h"

namespace tierlib::trace_viewer {
namespace {

constexpr std::size_t kProblemsShown = 10;

void PrintProblems(const std::string& name, const trace::Summary& summary) {
  const std::size_t shown = std::min(summary.problems.size(), kProblemsShown);
  for (std::size_t i = 0; i < shown; ++i) {
    const trace::Problem& problem = summary.problems[i];
    std::fprintf(stderr, "tierlib-trace: %s: byte %s: %s\n", name.c_str(), FormatCount(problem.offset).c_str(),
                 problem.what.c_str());
  }
  if (summary.problem_count > shown) {
    std::fprintf(stderr, "tierlib-trace: %s: %s more\n", name.c_str(),
                 FormatCount(summary.problem_count - shown, "problem").c_str());
  }
}

}  // namespace

int RunSummary(const SummaryOptions& options) {
  const bool from_stdin = options.file == "-";
  const std::string name = from_stdin ? "standard input" : Printable(options.file, 200);
  const StatusOr<trace::Trace> trace =
      from_stdin ? trace::ReadTraceDescriptor(STDIN_FILENO, name) : trace::ReadTraceFile(options.file);
  if (!trace.ok()) {
    const std::string message(trace.status().message());
    // Messages of the operating system name the file already.
    const bool names_file = message.rfind("cannot read", 0) == 0;
    std::fprintf(stderr, "tierlib-trace: %s%s\n", names_file ? "" : (name + ": ").c_str(), message.c_str());
    return kUnreadable;
  }
  const trace::Summary summary = trace::Summarize(*trace);
  const std::string text = options.json ? SummaryJson(options.file, summary) : SummaryText(name, summary);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    std::fprintf(stderr, "tierlib-trace: cannot write to standard output\n");
    return kFindings;
  }
  PrintProblems(name, summary);
  return summary.problem_count > 0 ? kTruncated : kOk;
}

}  // namespace tierlib::trace_viewer
