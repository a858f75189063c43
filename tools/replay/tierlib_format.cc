// tierlib's own traces: the pool events of one tier, and the ends of steps. They name blocks by their offset in the
// tier; sizes are rounded to the alignment that the pool had.
#include <cstring>

#include "absl/types/span.h"
#include "trace/block_streams.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

class TraceTaker {
 public:
  TraceTaker(const trace::Trace& recorded, Tier tier, AllocationTrace* result)
      : tier_(tier), streams_(recorded), result_(*result) {}

  void Take(const trace::Record& record) {
    if (record.event == trace::Event::kStepEnd) return Add({.kind = AllocationEvent::Kind::kStepEnd}, record);
    if (record.detail != static_cast<std::uint16_t>(tier_)) return;
    AllocationEvent event{.pointer = record.subject, .bytes = record.value};
    switch (record.event) {
      case trace::Event::kPoolAllocate:
        event.kind = AllocationEvent::Kind::kAllocate;
        event.tag = record.tag;
        break;
      case trace::Event::kPoolFree: event.kind = AllocationEvent::Kind::kFree; break;
      case trace::Event::kPoolFull:
        event = {.kind = AllocationEvent::Kind::kFailure, .bytes = record.value, .tag = record.tag};
        break;
      default: return;
    }
    const absl::Span<const std::uint64_t> streams = streams_.Of(record);
    event.stream = streams.front();
    if (event.kind == AllocationEvent::Kind::kFree) {
      for (const std::uint64_t more : streams.subspan(1)) result_.further.push_back({result_.events.size(), more});
    }
    Add(event, record);
  }

 private:
  void Add(const AllocationEvent& event, const trace::Record& record) {
    result_.events.push_back(event);
    result_.times_ns.push_back(record.time_ns);
  }

  const Tier tier_;
  trace::BlockStreams streams_;
  AllocationTrace& result_;
};

}  // namespace

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
  TraceTaker taker(recorded, options.tier, &result);
  for (const trace::Record& record : recorded.records) taker.Take(record);
  return result;
}

}  // namespace tierlib::trace_replay
