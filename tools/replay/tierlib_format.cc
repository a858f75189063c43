// tierlib's own traces: the pool events of one tier. They name blocks by their offset in the tier, sizes are rounded to
// the alignment that the pool had, and streams are not recorded.
#include <cstring>

#include "trace/format.h"
#include "trace/reader.h"
#include "trace_format.h"

namespace tierlib::trace_replay {

bool IsTierlibTrace(std::string_view bytes) {
  return bytes.size() >= sizeof trace::kMagic && std::memcmp(bytes.data(), trace::kMagic, sizeof trace::kMagic) == 0;
}

StatusOr<AllocationTrace> ReadTierlibTrace(std::string_view bytes, const ReadOptions& options) {
  TIERLIB_ASSIGN_OR_RETURN(const trace::Trace recorded, trace::ReadTrace(bytes));
  AllocationTrace result;
  for (const trace::Problem& problem : recorded.problems) {
    result.AddProblem("byte " + std::to_string(problem.offset) + ": " + problem.what);
  }
  result.problem_count = recorded.problem_count;
  for (const trace::Record& record : recorded.records) {
    if (record.detail != static_cast<std::uint16_t>(options.tier)) continue;
    AllocationEvent event{.pointer = record.subject, .bytes = record.value};
    switch (record.event) {
      case trace::Event::kPoolAllocate: event.kind = AllocationEvent::Kind::kAllocate; break;
      case trace::Event::kPoolFree: event.kind = AllocationEvent::Kind::kFree; break;
      case trace::Event::kPoolFull: event = {.kind = AllocationEvent::Kind::kFailure, .bytes = record.value}; break;
      default: continue;
    }
    result.events.push_back(event);
  }
  return result;
}

}  // namespace tierlib::trace_replay
