// ReadTextLog: the part that logs of one event a line have in common.
#ifndef TIERLIB_TOOLS_REPLAY_TEXT_LOG_H_
#define TIERLIB_TOOLS_REPLAY_TEXT_LOG_H_

#include <string>
#include <string_view>
#include <utility>

#include "allocation_trace.h"
#include "text_lines.h"
#include "tierlib/status.h"

namespace tierlib::trace_replay {

// Takes what is left of `lines` through `read_line(number, line, &event)`, a StatusOr<bool>: false where a line is no
// event. A line that is wrong ends the reading with its error, but the last one where it has no end: that is a file cut
// there, and a problem.
template <typename ReadLine>
StatusOr<AllocationTrace> ReadTextLog(TextLines* lines, ReadLine read_line) {
  AllocationTrace trace;
  std::string_view line;
  while (lines->Next(&line)) {
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    AllocationEvent event;
    const StatusOr<bool> is_event = read_line(lines->number(), line, &event);
    if (!is_event.ok()) {
      if (!lines->unended()) return is_event.status();
      trace.AddProblem("line " + std::to_string(lines->number()) +
                       ": cut off, the file should go on; the lines before it are used");
      break;
    }
    if (!*is_event) continue;
    if (event.pointer == 0 && event.kind != AllocationEvent::Kind::kFailure) {
      ++trace.null_pointers;
    } else {
      trace.events.push_back(event);
    }
  }
  return trace;
}

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_TEXT_LOG_H_
