// ReadTextLog: the part that logs of one event a line have in common.
#ifndef TIERLIB_TOOLS_REPLAY_TEXT_LOG_H_
#define TIERLIB_TOOLS_REPLAY_TEXT_LOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "allocation_trace.h"
#include "text_lines.h"
#include "tierlib/status.h"

namespace tierlib::trace_replay {

// Takes what is left of `lines` through `read_line(number, line, &event, &time_ns)`, a StatusOr<bool>: false where a
// line is no event. `time_ns`, an optional, is set where the line tells; where one does not, the trace has no times. A
// line that is wrong ends the reading with its error, but the last one where it has no end: that is a file cut there,
// and a problem.
template <typename ReadLine>
StatusOr<AllocationTrace> ReadTextLog(TextLines* lines, ReadLine read_line) {
  AllocationTrace trace;
  std::string_view line;
  while (lines->Next(&line)) {
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    AllocationEvent event;
    std::optional<std::int64_t> time_ns;
    const StatusOr<bool> is_event = read_line(lines->number(), line, &event, &time_ns);
    if (!is_event.ok()) {
      if (!lines->unended()) return is_event.status();
      trace.AddProblem("line " + std::to_string(lines->number()) +
                       ": cut off, the file should go on; the lines before it are used");
      break;
    }
    if (!*is_event || (event.kind == AllocationEvent::Kind::kStepEnd && trace.events.empty())) continue;
    const bool has_pointer =
        event.kind == AllocationEvent::Kind::kAllocate || event.kind == AllocationEvent::Kind::kFree;
    if (has_pointer && event.pointer == 0) {
      ++trace.null_pointers;
    } else {
      if (time_ns.has_value() && trace.times_ns.size() == trace.events.size()) trace.times_ns.push_back(*time_ns);
      trace.events.push_back(event);
    }
  }
  if (trace.times_ns.size() < trace.events.size()) trace.times_ns.clear();
  return trace;
}

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_TEXT_LOG_H_
