#include "base/intervals.h"

#include <cstdio>
#include <limits>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace tierlib {
namespace {

TEST(Intervals, AreJoinedWhereTheyTouchAndDroppedWhereEmpty) {
  EXPECT_EQ(UnionOf({{5, 7}, {1, 2}, {2, 3}, {6, 9}, {4, 4}, {8, 0}}), (std::vector<Interval>{{1, 3}, {5, 9}}));
  EXPECT_TRUE(UnionOf({{3, 3}}).empty());
}

TEST(Intervals, OfTheWholeClockHaveALength) {
  const Interval all = {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
  EXPECT_EQ(all.length(), std::numeric_limits<std::uint64_t>::max());
}

// Against counting the moments one by one.
TEST(Intervals, HaveTheLengthsOfTheirMoments) {
  for (std::uint64_t seed = 1; seed <= 500 / TIERLIB_RANDOM_SCALE + 4; ++seed) {
    Random random(seed);
    constexpr std::int64_t kMoments = 64;
    std::vector<std::vector<Interval>> lists(2);
    std::vector<std::vector<bool>> covered(2, std::vector<bool>(kMoments));
    for (std::size_t list = 0; list < 2; ++list) {
      for (std::uint64_t i = random.UniformInt(8); i > 0; --i) {
        const auto begin = static_cast<std::int64_t>(random.UniformInt(kMoments));
        const auto end = static_cast<std::int64_t>(random.UniformInt(kMoments + 1));
        lists[list].push_back({begin, end});
        for (std::int64_t t = begin; t < end; ++t) covered[list][static_cast<std::size_t>(t)] = true;
      }
    }
    std::uint64_t any = 0, outside = 0;
    for (std::size_t t = 0; t < kMoments; ++t) {
      any += covered[0][t] ? 1 : 0;
      outside += covered[0][t] && !covered[1][t] ? 1 : 0;
    }
    const std::vector<Interval> united = UnionOf(lists[0]);
    EXPECT_EQ(TotalLength(united), any) << "seed " << seed;
    EXPECT_EQ(LengthOutside(united, UnionOf(lists[1])), outside) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tierlib
