// TraceDifference: two summaries, metric by metric and step by step.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_TRACE_DIFFERENCE_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_TRACE_DIFFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fail_condition.h"
#include "metrics.h"
#include "trace/summary.h"

namespace tierlib::trace_viewer {

struct MetricChange {
  std::string name;
  Unit unit = Unit::kCount;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  std::vector<std::string> fails;  // the conditions that hold
};

// One step that both traces have.
struct StepChange {
  std::uint64_t number = 0;
  trace::StepFigures before;
  trace::StepFigures after;
};

struct TraceDifference {
  std::int32_t rank = 0;
  std::size_t steps_before = 0;
  std::size_t steps_after = 0;
  std::size_t steps_aligned = 0;
  std::vector<MetricChange> changes;  // those that changed, or that a condition holds for
  std::vector<StepChange> steps;      // the aligned ones whose figures changed, the largest change of time first
  std::uint64_t fails = 0;
  std::vector<std::string> undecided;  // conditions on aligned steps, of which there are none
};

// Steps are aligned by their numbers; of several with one number the nth with the nth.
TraceDifference Compare(const trace::Summary& before, const trace::Summary& after,
                        const std::vector<FailCondition>& conditions);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_TRACE_DIFFERENCE_H_
