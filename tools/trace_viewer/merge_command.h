// tierlib-trace merge FILE... -o OUT: the traces of a job's ranks in one file.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_MERGE_COMMAND_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_MERGE_COMMAND_H_

#include <string>
#include <vector>

namespace tierlib::trace_viewer {

struct MergeOptions {
  std::vector<std::string> files;  // one of them may be "-": standard input
  std::string output;              // "-": standard output
  bool json = false;
  bool renumber = false;  // ranks are 0, 1, 2 ... in the order of the files
};

// Takes every file as it is; merged ones give all their ranks. With `json` what it wrote goes to standard output.
// Returns an exit code.
int RunMerge(const MergeOptions& options);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_MERGE_COMMAND_H_
