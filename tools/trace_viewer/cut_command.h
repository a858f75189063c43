// tierlib-trace cut --range RANGE FILE -o OUT: a part of a trace, by time or by steps.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_CUT_COMMAND_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_CUT_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tierlib/status.h"
#include "trace/record_source.h"

namespace tierlib::trace_viewer {

struct CutOptions {
  std::string file;  // "-": standard input
  std::string range;
  std::string output;  // "-": standard output
  bool json = false;
};

// Writes a trace, of the same ranks, and problems of the file to standard error; with `json` what it wrote to standard
// output. Returns an exit code.
int RunCut(const CutOptions& options);

// What --range says. Either end may be open, not both.
//
//   range = "step:" number ["-" [number]]  |  "step:-" number         both ends belong to it
//         | time "-" [time]  |  "-" time                              since the first record
//   time  = number ("ns" | "us" | "ms" | "s" | "min")
struct CutRange {
  bool of_steps = false;
  std::optional<std::uint64_t> begin;  // steps, or nanoseconds
  std::optional<std::uint64_t> end;
};
// InvalidArgument says in one line what is wrong.
StatusOr<CutRange> ParseCutRange(std::string_view text);

// The span of time of a range, on the clock of the records. NotFound where the trace has none of its steps.
struct TimeSpan {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
};
StatusOr<TimeSpan> SpanOf(trace::RecordSource& trace, const CutRange& range);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_CUT_COMMAND_H_
