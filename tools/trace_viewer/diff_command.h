// tierlib-trace diff BEFORE AFTER [--fail-on EXPR]: what changed between two runs, step by step where both have a step.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_DIFF_COMMAND_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_DIFF_COMMAND_H_

#include <string>
#include <vector>

namespace tierlib::trace_viewer {

struct DiffOptions {
  std::string before;  // one of them may be "-": standard input
  std::string after;
  std::vector<std::string> fail_on;  // see fail_condition.h
  bool json = false;
};

// Prints what changed to standard output, nothing where nothing did, and problems of the files to standard error.
// Returns an exit code: 1 where a condition of --fail-on holds.
int RunDiff(const DiffOptions& options);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_DIFF_COMMAND_H_
