// A trace named on the command line: reading it, and saying what is wrong with it. All commands do it alike.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_READ_TRACE_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_READ_TRACE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tierlib/status.h"
#include "trace/reader.h"
#include "trace/record_stream.h"

namespace tierlib::trace_viewer {

// As messages name it: printable, "standard input" for "-".
std::string TraceName(const std::string& file);

// All bytes of the file, or of standard input. Where it cannot be read it was said on standard error.
StatusOr<std::string> ReadBytesArgument(const std::string& file);

// The traces in the file: one, or of a merged file one for each rank, by rank. Where nothing can be read, it was said
// on standard error.
StatusOr<std::vector<trace::Trace>> ReadTracesArgument(const std::string& file);
// The same for who looks at each record once: without arrays of them.
struct OpenedTraces {
  std::unique_ptr<const std::string> bytes;  // which the ranks read from
  std::vector<std::unique_ptr<trace::RecordStream>> ranks;
};
StatusOr<OpenedTraces> OpenTracesArgument(const std::string& file);
// Of one trace alone, chosen as by ReadTraceArgument.
StatusOr<OpenedTraces> OpenTraceArgument(const std::string& file, std::optional<int> rank);
// The one trace in the file, or that of `rank`. A merged file of several needs to be told which, and is an error else.
StatusOr<trace::Trace> ReadTraceArgument(const std::string& file, std::optional<int> rank = std::nullopt);
// The trace to show beside one of `rank`: the one in the file whatever its rank, or of several that of the rank.
StatusOr<trace::Trace> ReadPartnerArgument(const std::string& file, int rank);

// Why nothing of the file can be read, on standard error.
void TellUnreadable(const std::string& file, const Status& status);

// The first ten of the problems, and how many more there are, on standard error.
void PrintProblems(const std::string& file, const std::vector<trace::Problem>& problems, std::uint64_t count);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_READ_TRACE_H_
