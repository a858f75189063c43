// tierlib-trace record -o FILE -- COMMAND...: runs a program that uses tierlib, with its trace switched on.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_RECORD_COMMAND_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_RECORD_COMMAND_H_

#include <string>
#include <vector>

namespace tierlib::trace_viewer {

struct RecordOptions {
  std::string output;  // %p and %r are replaced by the program: process id, rank
  std::vector<std::string> command;
  bool json = false;
};

// Says nothing where all is well: standard output is the program's. With `json` that goes to standard error instead,
// and standard output has what was written and how the program ended, where it ran.
//
// Returns the program's exit code; 127 where there is no such program, 126 where it cannot be run, and 1 where it
// succeeded and left no trace. Where a signal ended the program, the same ends this process. Signals that another
// program sends to this process go on to the program: those that it sends to the whole group arrive twice.
int RunRecord(const RecordOptions& options);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_RECORD_COMMAND_H_
