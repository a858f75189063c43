// The plan for a peak: cases by hand, and random timelines against an evaluation instant by instant.
#include "graph/peak_plan.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace tierlib {
namespace {

using Value = PeakTimeline::Value;
using Moves = std::vector<bool>;

TEST(PeakPlan, NothingIsMovedBelowTheTarget) {
  const PeakPlan plan = PlanPeak({{100, 300, 200}, {{100, 0, 2}, {100, 1, 3}}}, 300);
  EXPECT_EQ(plan.moves, Moves({false, false}));
  EXPECT_EQ(plan.unmoved_peak, 300u);
  EXPECT_EQ(plan.peak_instant, 1u);
  EXPECT_EQ(plan.planned_peak, 300u);
  EXPECT_EQ(plan.moved_bytes, 0u);
}

TEST(PeakPlan, NothingIsKnownOfAnEmptyStep) {
  const PeakPlan plan = PlanPeak({}, 100);
  EXPECT_EQ(plan.unmoved_peak, 0u);
  EXPECT_TRUE(plan.moves.empty());
}

// Forward packs 0, 1, 2, 3; backward asks for 3, 2, 1, 0.
TEST(PeakPlan, WhatIsNeededLastMovesFirst) {
  const PeakTimeline stack = {{100, 200, 300, 400, 400, 300, 200, 100},
                              {{100, 0, 7}, {100, 1, 6}, {100, 2, 5}, {100, 3, 4}}};
  EXPECT_EQ(PlanPeak(stack, 399).moves, Moves({true, false, false, false}));
  EXPECT_EQ(PlanPeak(stack, 200).moves, Moves({true, true, false, false}));
  EXPECT_EQ(PlanPeak(stack, 200).planned_peak, 200u);
  EXPECT_EQ(PlanPeak(stack, 200).moved_bytes, 200u);
}

TEST(PeakPlan, EachOfTwoPeaksIsLoweredByWhatCoversIt) {
  const PeakTimeline two = {{500, 100, 300, 100, 500}, {{200, 0, 1}, {50, 2, 3}, {200, 4, 5}}};
  const PeakPlan plan = PlanPeak(two, 300);
  EXPECT_EQ(plan.moves, Moves({true, false, true}));
  EXPECT_EQ(plan.planned_peak, 300u);
}

// accelerate#4175: the peak lies in the recompute of a block in backward, when the saved values are back. Moving them
// cost 35 % of the step time and lowered nothing.
TEST(PeakPlan, NothingMovesForAPeakInARecompute) {
  const PeakTimeline recompute = {{100, 200, 300, 300, 900, 200}, {{100, 0, 4}, {100, 1, 4}, {100, 2, 3}}};
  for (const std::uint64_t target : {0, 50, 250, 600, 899}) {
    const PeakPlan plan = PlanPeak(recompute, target);
    EXPECT_EQ(plan.moves, Moves({false, false, false})) << target;
    EXPECT_EQ(plan.unmoved_peak, 900u);
    EXPECT_EQ(plan.peak_instant, 4u);
    EXPECT_EQ(plan.planned_peak, 900u);
  }
}

// Instant 2 stays at 810 whatever moves: then 700 at instant 0 need not be lowered to the target.
TEST(PeakPlan, NothingIsLoweredBelowThePeakThatIsLeft) {
  const PeakTimeline left = {{700, 900, 850}, {{300, 0, 1}, {100, 1, 2}, {40, 2, 3}}};
  const PeakPlan plan = PlanPeak(left, 500);
  EXPECT_EQ(plan.moves, Moves({false, true, true}));
  EXPECT_EQ(plan.planned_peak, 810u);
}

// The value that is asked for last is small; with the large one it is not needed.
TEST(PeakPlan, WhatALaterChoiceMadeNeedlessStays) {
  const PeakPlan plan = PlanPeak({{300, 300, 100}, {{10, 0, 3}, {200, 0, 2}}}, 120);
  EXPECT_EQ(plan.moves, Moves({false, true}));
  EXPECT_EQ(plan.planned_peak, 100u);
}

TEST(PeakPlan, WhatCoversNothingOrMayNotMoveStays) {
  const std::uint32_t never = ~std::uint32_t{0};
  const PeakTimeline timeline = {{500, 500},
                                 {{100, 1, 1}, {100, never, 2}, {100, 2, 1}, {0, 0, 2}, {100, 0, 2, false}}};
  EXPECT_EQ(PlanPeak(timeline, 0).moves, Moves({false, false, false, false, false}));
}

// What is measured may contradict itself by a little: more is moved than there was.
TEST(PeakPlan, NoPeakIsBelowZero) { EXPECT_EQ(PlanPeak({{100}, {{300, 0, 1}}}, 50).planned_peak, 0u); }

// --- against an evaluation instant by instant ---

std::int64_t PeakOf(const PeakTimeline& timeline, const Moves& moves, std::uint32_t begin, std::uint32_t end) {
  std::int64_t peak = std::numeric_limits<std::int64_t>::min();
  for (std::uint32_t at = begin; at < end; ++at) {
    auto live = static_cast<std::int64_t>(timeline.live[at]);
    for (std::size_t i = 0; i < moves.size(); ++i) {
      const Value& value = timeline.values[i];
      if (moves[i] && value.begin <= at && at < value.end) live -= static_cast<std::int64_t>(value.bytes);
    }
    peak = std::max(peak, live);
  }
  return peak;
}
std::int64_t PeakOf(const PeakTimeline& timeline, const Moves& moves) {
  return PeakOf(timeline, moves, 0, static_cast<std::uint32_t>(timeline.live.size()));
}

PeakTimeline RandomTimeline(Random& random) {
  PeakTimeline timeline;
  timeline.live.resize(1 + random.UniformInt(40));
  const std::uint64_t count = random.UniformInt(24);
  for (std::uint64_t i = 0; i < count; ++i) {
    Value value;
    value.bytes = 1 + random.UniformInt(8);
    value.begin = static_cast<std::uint32_t>(random.UniformInt(timeline.live.size()));
    value.end = static_cast<std::uint32_t>(random.UniformInt(timeline.live.size() + 1));
    value.movable = random.UniformInt(8) != 0;
    timeline.values.push_back(value);
    for (std::uint32_t at = value.begin; at < value.end; ++at) timeline.live[at] += value.bytes;
  }
  for (std::uint64_t& live : timeline.live) live += random.UniformInt(24);
  return timeline;
}

// The same by another rule, without the tree: first those that are asked for last, each if it covers an instant that is
// still above the goal; then those that later choices made needless are left out again.
Moves PlanSlowly(const PeakTimeline& timeline, std::int64_t goal) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < timeline.values.size(); ++i) {
    if (timeline.values[i].movable && timeline.values[i].begin < timeline.values[i].end) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return timeline.values[a].end > timeline.values[b].end; });
  Moves moves(timeline.values.size(), false);
  for (const std::size_t i : order) {
    if (PeakOf(timeline, moves, timeline.values[i].begin, timeline.values[i].end) > goal) moves[i] = true;
  }
  std::reverse(order.begin(), order.end());
  for (const std::size_t i : order) {
    if (!moves[i]) continue;
    moves[i] = false;
    if (PeakOf(timeline, moves, timeline.values[i].begin, timeline.values[i].end) > goal) moves[i] = true;
  }
  return moves;
}

TEST(PeakPlan, RandomTimelinesAgreeWithAnEvaluationInstantByInstant) {
  std::uint64_t moved = 0;
  std::uint64_t reached_target = 0;
  std::uint64_t unreachable = 0;
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    Random random(seed);
    const PeakTimeline timeline = RandomTimeline(random);
    const std::uint64_t target = random.UniformInt(80);
    const PeakPlan plan = PlanPeak(timeline, target);
    const std::size_t count = timeline.values.size();
    ASSERT_EQ(plan.moves.size(), count) << seed;
    ASSERT_EQ(static_cast<std::int64_t>(plan.unmoved_peak), PeakOf(timeline, Moves(count, false))) << seed;
    ASSERT_EQ(timeline.live[plan.peak_instant], plan.unmoved_peak) << seed;
    ASSERT_EQ(static_cast<std::int64_t>(plan.planned_peak), PeakOf(timeline, plan.moves)) << seed;
    Moves all(count);
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
      all[i] = timeline.values[i].movable;
      if (plan.moves[i]) bytes += timeline.values[i].bytes;
    }
    ASSERT_EQ(plan.moved_bytes, bytes) << seed;
    const std::int64_t least = PeakOf(timeline, all);
    const std::int64_t goal = std::max(static_cast<std::int64_t>(target), least);
    ASSERT_LE(static_cast<std::int64_t>(plan.planned_peak), goal) << seed << ": what moving can reach is reached";
    ASSERT_EQ(plan.moves, PlanSlowly(timeline, goal)) << seed;
    for (std::size_t i = 0; i < count; ++i) {
      if (!plan.moves[i]) continue;
      ASSERT_TRUE(timeline.values[i].movable) << seed;
      Moves without = plan.moves;
      without[i] = false;
      ASSERT_GT(PeakOf(timeline, without), goal) << seed << ": value " << i << " lowers nothing";
      ++moved;
    }
    reached_target += plan.unmoved_peak > target && plan.planned_peak <= target ? 1 : 0;
    unreachable += plan.planned_peak > target ? 1 : 0;
  }
  EXPECT_GT(moved, 1000u);
  EXPECT_GT(reached_target, 100u);
  EXPECT_GT(unreachable, 100u);
}

// Quadratic work would take minutes.
TEST(PeakPlan, ManyValuesAreNoTrouble) {
  constexpr std::uint32_t kCount = 200'000;
  PeakTimeline stack;
  for (std::uint32_t i = 0; i < kCount; ++i) stack.values.push_back({10, i, 2 * kCount - i});
  for (std::uint32_t i = 0; i < 2 * kCount; ++i) stack.live.push_back(10 * std::min(i + 1, 2 * kCount - i));
  const PeakPlan plan = PlanPeak(stack, 10 * (kCount / 2));
  EXPECT_EQ(plan.planned_peak, 10 * (kCount / 2));
  EXPECT_EQ(std::count(plan.moves.begin(), plan.moves.end(), true), kCount / 2);
  EXPECT_TRUE(plan.moves.front());
  EXPECT_FALSE(plan.moves.back());
}

}  // namespace
}  // namespace tierlib
