#include "read_trace.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "numbers.h"

namespace tierlib::trace_viewer {
namespace {

constexpr std::size_t kProblemsShown = 10;

}  // namespace

std::string TraceName(const std::string& file) { return file == "-" ? "standard input" : Printable(file, 200); }

StatusOr<trace::Trace> ReadTraceArgument(const std::string& file) {
  const std::string name = TraceName(file);
  StatusOr<trace::Trace> trace =
      file == "-" ? trace::ReadTraceDescriptor(STDIN_FILENO, name) : trace::ReadTraceFile(file);
  if (!trace.ok()) {
    const std::string message(trace.status().message());
    // Messages of the operating system name the file already.
    const bool names_file = message.rfind("cannot read", 0) == 0;
    std::fprintf(stderr, "tierlib-trace: %s%s\n", names_file ? "" : (name + ": ").c_str(), message.c_str());
  }
  return trace;
}

void PrintProblems(const std::string& file, const std::vector<trace::Problem>& problems, std::uint64_t count) {
  const std::string name = TraceName(file);
  const std::size_t shown = std::min(problems.size(), kProblemsShown);
  for (std::size_t i = 0; i < shown; ++i) {
    std::fprintf(stderr, "tierlib-trace: %s: byte %s: %s\n", name.c_str(), FormatCount(problems[i].offset).c_str(),
                 problems[i].what.c_str());
  }
  if (count > shown) {
    std::fprintf(stderr, "tierlib-trace: %s: %s more\n", name.c_str(), FormatCount(count - shown, "problem").c_str());
  }
}

}  // namespace tierlib::trace_viewer
