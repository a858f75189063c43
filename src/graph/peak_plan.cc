#include "graph/peak_plan.h"

#include <algorithm>
#include <limits>

namespace tierlib {
namespace {

// Numbers by instant: adds to a range, and tells the largest of one, in O(log n). Signed, as measured figures may
// contradict each other by a little.
class Curve {
 public:
  explicit Curve(const std::vector<std::uint64_t>& values) : size_(values.size()) {
    while (leaves_ < size_) leaves_ *= 2;
    nodes_.assign(2 * leaves_, Node());
    for (std::size_t i = 0; i < size_; ++i) nodes_[leaves_ + i].largest = static_cast<std::int64_t>(values[i]);
    for (std::size_t node = leaves_; node-- > 1;) Update(node);
  }

  // REQUIRES: begin < end <= the number of instants.
  void Add(std::size_t begin, std::size_t end, std::int64_t change) { Add(1, 0, leaves_, begin, end, change); }
  std::int64_t Largest(std::size_t begin, std::size_t end) const { return Largest(1, 0, leaves_, begin, end); }
  std::int64_t Largest() const { return nodes_[1].largest; }

 private:
  static constexpr std::int64_t kNothing = std::numeric_limits<std::int64_t>::min() / 2;
  struct Node {
    std::int64_t largest = kNothing;  // below it, what was added to it included
    std::int64_t added = 0;           // to all below it
  };

  void Update(std::size_t node) {
    nodes_[node].largest = std::max(nodes_[2 * node].largest, nodes_[2 * node + 1].largest) + nodes_[node].added;
  }

  // `node` stands for the instants [low, high).
  void Add(std::size_t node, std::size_t low, std::size_t high, std::size_t begin, std::size_t end,
           std::int64_t change) {
    if (end <= low || high <= begin) return;
    if (begin <= low && high <= end) {
      nodes_[node].added += change;
      nodes_[node].largest += change;
      return;
    }
    const std::size_t middle = low + (high - low) / 2;
    Add(2 * node, low, middle, begin, end, change);
    Add(2 * node + 1, middle, high, begin, end, change);
    Update(node);
  }

  std::int64_t Largest(std::size_t node, std::size_t low, std::size_t high, std::size_t begin, std::size_t end) const {
    if (end <= low || high <= begin) return kNothing;
    if (begin <= low && high <= end) return nodes_[node].largest;
    const std::size_t middle = low + (high - low) / 2;
    return std::max(Largest(2 * node, low, middle, begin, end), Largest(2 * node + 1, middle, high, begin, end)) +
           nodes_[node].added;
  }

  const std::size_t size_;
  std::size_t leaves_ = 1;
  std::vector<Node> nodes_;  // a binary tree: the root is 1, below n are 2n and 2n + 1
};

// The values that may be moved and cover anything, those that are asked for first first.
std::vector<std::size_t> Candidates(const PeakTimeline& timeline) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < timeline.values.size(); ++i) {
    const PeakTimeline::Value& value = timeline.values[i];
    if (value.movable && value.bytes > 0 && value.begin < value.end) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&timeline](std::size_t a, std::size_t b) {
    const auto end = [&timeline](std::size_t i) { return timeline.values[i].end; };
    return end(a) != end(b) ? end(a) < end(b) : a > b;
  });
  return order;
}

}  // namespace

PeakPlan PlanPeak(const PeakTimeline& timeline, std::uint64_t target) {
  PeakPlan plan;
  plan.moves.assign(timeline.values.size(), false);
  if (timeline.live.empty()) return plan;
  const auto peak = std::max_element(timeline.live.begin(), timeline.live.end());
  plan.unmoved_peak = plan.planned_peak = *peak;
  plan.peak_instant = static_cast<std::size_t>(peak - timeline.live.begin());
  if (*peak <= target) return plan;

  Curve curve(timeline.live);
  const std::vector<std::size_t> order = Candidates(timeline);
  for (const std::size_t i : order) {
    const PeakTimeline::Value& value = timeline.values[i];
    curve.Add(value.begin, value.end, -static_cast<std::int64_t>(value.bytes));
  }
  const std::int64_t goal = std::max(static_cast<std::int64_t>(target), curve.Largest());
  for (const std::size_t i : order) {
    const PeakTimeline::Value& value = timeline.values[i];
    const auto bytes = static_cast<std::int64_t>(value.bytes);
    if (curve.Largest(value.begin, value.end) + bytes <= goal) {
      curve.Add(value.begin, value.end, bytes);
    } else {
      plan.moves[i] = true;
      plan.moved_bytes += value.bytes;
    }
  }
  plan.planned_peak = static_cast<std::uint64_t>(std::max<std::int64_t>(curve.Largest(), 0));
  return plan;
}

}  // namespace tierlib
