// A trace named on the command line: reading it, and saying what is wrong with it. All commands do it alike.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_READ_TRACE_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_READ_TRACE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tierlib/status.h"
#include "trace/reader.h"

namespace tierlib::trace_viewer {

// As messages name it: printable, "standard input" for "-".
std::string TraceName(const std::string& file);

// Where nothing can be read, it was said on standard error.
StatusOr<trace::Trace> ReadTraceArgument(const std::string& file);

// The first ten of the problems, and how many more there are, on standard error.
void PrintProblems(const std::string& file, const std::vector<trace::Problem>& problems, std::uint64_t count);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_READ_TRACE_H_
