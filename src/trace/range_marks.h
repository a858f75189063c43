// RangeMarks: tells a profiler what a trace is told: steps and operators as NVTX ranges, and their numbers as external
// correlation ids of CUPTI, so that the profiler's records of kernels and copies can be joined with those of a trace.
//
// Thread-safety: any thread; begin and end of a range on one thread.
#ifndef TIERLIB_SRC_TRACE_RANGE_MARKS_H_
#define TIERLIB_SRC_TRACE_RANGE_MARKS_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "trace/event.h"

namespace tierlib::trace {

constexpr bool IsRange(Event event) {
  return event == Event::kStepBegin || event == Event::kStepEnd || event == Event::kOpBegin || event == Event::kOpEnd;
}

class RangeMarks {
 public:
  virtual ~RangeMarks() = default;
  // The text of a label that records will have.
  virtual void Name(std::uint32_t label, std::string_view text) = 0;
  // A record of IsRange(event).
  virtual void Mark(Event event, std::uint32_t label, std::uint64_t subject) = 0;
};

// Null where tierlib was built without CUDA. Throws std::bad_alloc.
std::unique_ptr<RangeMarks> CreateRangeMarks();

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_RANGE_MARKS_H_
