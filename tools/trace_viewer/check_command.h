// tierlib-trace check FILE [--json]: whether a trace adds up.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_CHECK_COMMAND_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_CHECK_COMMAND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "trace/check/conservation.h"

namespace tierlib::trace_viewer {

struct CheckOptions {
  std::string file;  // "-": standard input
  bool json = false;
};

// Prints findings to standard output, and problems of the file to standard error. Returns an exit code: 1 where there
// are findings.
int RunCheck(const CheckOptions& options);

struct RankReport {
  std::int32_t rank = 0;
  std::uint64_t problem_count = 0;  // of the file
  trace::ConservationReport report;
};
// Findings for people, a line each, and one line about what was followed.
std::string CheckText(const std::string& file, const std::vector<RankReport>& ranks);
std::string CheckJson(const std::string& file, const std::vector<RankReport>& ranks);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_CHECK_COMMAND_H_
