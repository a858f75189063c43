// The plan for a peak: which saved values to move so that the device never holds more than a target. A pure function of
// what the device held in a step, asked before anything moves: "would moving this lower the peak?"
#ifndef TIERLIB_SRC_GRAPH_PEAK_PLAN_H_
#define TIERLIB_SRC_GRAPH_PEAK_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tierlib {

// A step as it would have been if nothing had been moved. Its instants lie between the moments at which a value began
// or ended to be held for backward alone, so that what moving would free does not change within one.
struct PeakTimeline {
  // A saved value, in the order of the packs. From instant `begin` until before instant `end`, at which backward first
  // asks for it, nobody but the runtime holds its bytes: then they need not be on the device. Covers nothing where
  // begin >= end. REQUIRES: end <= live.size().
  struct Value {
    std::uint64_t bytes = 0;  // of the device
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    bool movable = true;
  };
  std::vector<std::uint64_t> live;  // by instant: the most bytes that the device would have held, values included
  std::vector<Value> values;
};

struct PeakPlan {
  std::uint64_t unmoved_peak = 0;  // bytes: the most that the device holds if nothing moves,
  std::size_t peak_instant = 0;    // and the first instant at which it does
  std::uint64_t planned_peak = 0;  // the most that it holds if `moves` are moved
  std::uint64_t moved_bytes = 0;   // of those
  std::vector<bool> moves;         // by value
};

// The least peak that moving can reach counts as the target where that is higher: nothing moves that would not lower
// the peak. Greedy: of all that may move, those that backward needs first stay first, as their copies have the least
// time; each stays if the peak is not above the target with it. Without any of the chosen the peak would be above the
// target. O(n log n).
PeakPlan PlanPeak(const PeakTimeline& timeline, std::uint64_t target);

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_PEAK_PLAN_H_
