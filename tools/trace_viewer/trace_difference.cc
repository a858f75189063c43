#include "trace_difference.h"

#include <algorithm>
#include <map>
#include <utility>

namespace tierlib::trace_viewer {
namespace {

using trace::StepFigures;

std::uint64_t Apart(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; }

bool SameFigures(const StepFigures& a, const StepFigures& b) {
  return a.ns == b.ns && a.stalled_ns == b.stalled_ns && a.packed_bytes == b.packed_bytes &&
         a.moved_bytes == b.moved_bytes && a.avoided_bytes == b.avoided_bytes && a.copied_bytes == b.copied_bytes &&
         a.device_peak_bytes == b.device_peak_bytes && a.unknown_ns == b.unknown_ns;
}

}  // namespace

TraceDifference Compare(const trace::Summary& before, const trace::Summary& after,
                        const std::vector<FailCondition>& conditions) {
  TraceDifference difference;
  difference.rank = before.rank;
  difference.steps_before = before.steps.each.size();
  difference.steps_after = after.steps.each.size();
  using Key = std::pair<std::uint64_t, std::size_t>;  // number, and which of those with it
  std::map<Key, const StepFigures*> known;
  std::map<std::uint64_t, std::size_t> seen;
  for (const StepFigures& step : before.steps.each) known[{step.number, seen[step.number]++}] = &step;
  seen.clear();
  std::vector<StepFigures> aligned_before;
  std::vector<StepFigures> aligned_after;
  for (const StepFigures& step : after.steps.each) {
    const auto found = known.find({step.number, seen[step.number]++});
    if (found == known.end()) continue;
    aligned_before.push_back(*found->second);
    aligned_after.push_back(step);
    if (!SameFigures(*found->second, step)) difference.steps.push_back({step.number, *found->second, step});
  }
  difference.steps_aligned = aligned_after.size();
  std::stable_sort(difference.steps.begin(), difference.steps.end(), [](const StepChange& a, const StepChange& b) {
    return Apart(a.before.ns, a.after.ns) > Apart(b.before.ns, b.after.ns);
  });

  std::vector<Metric> from = MetricsOf(before);
  std::vector<Metric> to = MetricsOf(after);
  const std::vector<Metric> aligned_from = AlignedMetricsOf(aligned_before);
  const std::vector<Metric> aligned_to = AlignedMetricsOf(aligned_after);
  from.insert(from.end(), aligned_from.begin(), aligned_from.end());
  to.insert(to.end(), aligned_to.begin(), aligned_to.end());
  for (std::size_t i = 0; i < from.size(); ++i) {
    MetricChange change{from[i].name, from[i].unit, from[i].value, to[i].value, {}};
    const bool empty = i >= from.size() - aligned_from.size() && difference.steps_aligned == 0;
    for (const FailCondition& condition : conditions) {
      if (condition.metric == change.name && empty) difference.undecided.push_back(condition.text);
      if (condition.metric == change.name && !empty && condition.Holds(change.before, change.after)) {
        change.fails.push_back(condition.text);
      }
    }
    difference.fails += change.fails.size();
    if (change.before != change.after || !change.fails.empty()) difference.changes.push_back(std::move(change));
  }
  return difference;
}

}  // namespace tierlib::trace_viewer
