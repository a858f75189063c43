// tierlib-trace top FILE|PID: what a running program does, from its growing trace.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_TOP_COMMAND_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_TOP_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>

#include "trace/reader.h"

namespace tierlib::trace_viewer {

struct TopOptions {
  std::string target;       // a trace, or the id of a process that writes one
  double interval_s = 1;    // between two pictures; longer where reading the trace takes more than a tenth of that
  double window_s = 5;      // what "now" means
  std::uint64_t count = 0;  // of pictures; 0: until the program has ended
  std::optional<int> rank;  // of merged traces
  bool json = false;
};

// Shows pictures on a terminal until 'q', SIGINT or SIGTERM, elsewhere one after the other as text. Ends where the
// program has. As JSON a picture is a line, also on a terminal. Returns an exit code: 4 where the program ended without
// ending its trace.
int RunTop(const TopOptions& options);

enum class TopState : std::uint8_t { kRunning, kEnded, kEndedEarly };

// One picture. `colour`: with colours of a terminal.
std::string TopText(const std::string& file, const trace::Trace& trace, std::uint64_t window_ns, TopState state,
                    bool colour);

// The same figures for programs, on one line: the summary's fields of the whole trace in "all", of the window in "now".
std::string TopJson(const std::string& file, const trace::Trace& trace, std::uint64_t window_ns, TopState state);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_TOP_COMMAND_H_
