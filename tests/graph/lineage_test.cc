// Lineage as a graph of numbered contents: who can be made from whom, over how many hops.
#include "graph/lineage.h"

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace tierlib {
namespace {

ContentKey Key(std::uint32_t number, std::uint64_t version = 0) { return {{number, 1}, version}; }

ByteRanges Bytes(std::uint64_t begin, std::uint64_t end) { return ByteRanges({begin, end}); }

class Family {
 public:
  // Tells that bytes of `derived` come from bytes of `source`; whole storages of 64 bytes where nothing is said.
  void Copy(ContentKey derived, ContentKey source, ByteRanges derived_bytes = Bytes(0, 64),
            ByteRanges source_bytes = Bytes(0, 64)) {
    Add(derived, source, std::move(derived_bytes), std::move(source_bytes), Replay::Copy());
  }
  void Call(ContentKey derived, ContentKey source) {
    Add(derived, source, Bytes(0, 64), Bytes(0, 64),
        Replay::Call("clamp", [](const ReplayArguments&) { return OkStatus(); }));
  }

  void CallBothWays(ContentKey derived, ContentKey source) {
    const auto cast = [](const ReplayArguments&) { return OkStatus(); };
    Add(derived, source, Bytes(0, 64), Bytes(0, 64), Replay::CallBothWays("cast", cast, cast));
  }

  std::vector<RecipeStep> Walk(ContentKey target, int hops, const std::vector<ContentKey>& available,
                               ByteRanges bytes = Bytes(0, 64)) const {
    return lineage.Walk(target, bytes, hops, [&](const ContentKey& key, const ByteRanges&) {
      for (const ContentKey& one : available) {
        if (one == key) return true;
      }
      return false;
    });
  }

  Lineage lineage;

 private:
  void Add(ContentKey derived, ContentKey source, ByteRanges derived_bytes, ByteRanges source_bytes, Replay replay) {
    lineage.Add(std::make_shared<const Derivation>(
        Derivation{derived, source, {}, {}, std::move(derived_bytes), std::move(source_bytes), std::move(replay)}));
  }
};

// The contents that a recipe goes through, from the first to the last.
std::vector<std::uint32_t> Path(const std::vector<RecipeStep>& recipe) {
  std::vector<std::uint32_t> path;
  for (const RecipeStep& step : recipe) {
    if (path.empty()) path.push_back(step.from().storage.slot);
    EXPECT_EQ(path.back(), step.from().storage.slot) << "each step starts where the one before ended";
    path.push_back(step.to().storage.slot);
  }
  return path;
}

using Numbers = std::vector<std::uint32_t>;

TEST(Lineage, WalksAChainUpToTheHopLimit) {
  Family f;
  for (std::uint32_t i = 1; i <= 5; ++i) f.Copy(Key(i), Key(i - 1));
  EXPECT_EQ(Path(f.Walk(Key(4), 4, {Key(0)})), (Numbers{0, 1, 2, 3, 4}));
  EXPECT_TRUE(f.Walk(Key(5), 4, {Key(0)}).empty());
  EXPECT_TRUE(f.Walk(Key(1), 0, {Key(0)}).empty());
}

TEST(Lineage, TakesTheShortestWayAndAmongEqualOnesTheFirstTold) {
  Family f;
  f.Copy(Key(1), Key(0));
  f.Copy(Key(2), Key(1));
  f.Copy(Key(3), Key(2));
  f.Copy(Key(3), Key(7));
  f.Copy(Key(3), Key(6));
  EXPECT_EQ(Path(f.Walk(Key(3), 4, {Key(0), Key(6)})), (Numbers{6, 3}));
  EXPECT_EQ(Path(f.Walk(Key(3), 4, {Key(6), Key(7)})), (Numbers{7, 3}));
}

TEST(Lineage, TheTargetItselfIsNoAnswer) {
  Family f;
  f.Copy(Key(1), Key(0));
  EXPECT_TRUE(f.Walk(Key(1), 4, {Key(1)}).empty());
}

TEST(Lineage, CopiesAndCastsWorkBothWaysAndOtherCallbacksOneWay) {
  Family copy, call, cast;
  cast.CallBothWays(Key(1), Key(0));
  EXPECT_EQ(Path(cast.Walk(Key(0), 4, {Key(1)})), (Numbers{1, 0}));
  EXPECT_EQ(Path(cast.Walk(Key(1), 4, {Key(0)})), (Numbers{0, 1}));
  copy.Copy(Key(1), Key(0));
  call.Call(Key(1), Key(0));
  EXPECT_EQ(Path(copy.Walk(Key(0), 4, {Key(1)})), (Numbers{1, 0}));
  EXPECT_TRUE(copy.Walk(Key(0), 4, {Key(1)}).front().reversed);
  EXPECT_FALSE(copy.Walk(Key(1), 4, {Key(0)}).front().reversed);
  EXPECT_EQ(Path(call.Walk(Key(1), 4, {Key(0)})), (Numbers{0, 1}));
  EXPECT_TRUE(call.Walk(Key(0), 4, {Key(1)}).empty());
}

TEST(Lineage, ReachesASiblingThroughTheirCommonSource) {
  Family f;  // two contiguous copies of one tensor: the other can be made again through it
  f.Copy(Key(1), Key(0));
  f.Copy(Key(2), Key(0));
  EXPECT_EQ(Path(f.Walk(Key(2), 4, {Key(1)})), (Numbers{1, 0, 2}));
  EXPECT_TRUE(f.Walk(Key(2), 1, {Key(1)}).empty());
}

TEST(Lineage, CirclesEnd) {
  Family f;
  for (std::uint32_t i = 0; i < 3; ++i) f.Copy(Key(i), Key((i + 1) % 3));
  EXPECT_TRUE(f.Walk(Key(0), 1000, {}).empty());
  EXPECT_EQ(Path(f.Walk(Key(0), 1000, {Key(1)})), (Numbers{1, 0}));
}

TEST(Lineage, VersionsAreDifferentContents) {
  Family f;
  f.Copy(Key(1, 3), Key(0, 5));
  EXPECT_TRUE(f.Walk(Key(1, 4), 4, {Key(0, 5)}).empty());
  EXPECT_TRUE(f.Walk(Key(1, 3), 4, {Key(0, 6)}).empty());
  EXPECT_FALSE(f.Walk(Key(1, 3), 4, {Key(0, 5)}).empty());
}

TEST(Lineage, AnEdgeThatDoesNotGiveAllTheBytesIsNotTaken) {
  Family f;
  f.Copy(Key(1), Key(0), Bytes(0, 32));
  EXPECT_FALSE(f.Walk(Key(1), 4, {Key(0)}, Bytes(8, 32)).empty());
  EXPECT_TRUE(f.Walk(Key(1), 4, {Key(0)}, Bytes(8, 33)).empty());
  // The second edge must give what the first reads, no more.
  Family g;
  g.Copy(Key(2), Key(1), Bytes(0, 64), Bytes(16, 48));
  g.Copy(Key(1), Key(0), Bytes(16, 48));
  EXPECT_EQ(Path(g.Walk(Key(2), 4, {Key(0)})), (Numbers{0, 1, 2}));
  Family h;
  h.Copy(Key(2), Key(1), Bytes(0, 64), Bytes(16, 48));
  h.Copy(Key(1), Key(0), Bytes(20, 48));
  EXPECT_TRUE(h.Walk(Key(2), 4, {Key(0)}).empty());
}

TEST(Lineage, AsksForTheBytesThatTheFirstStepReads) {
  Family f;
  f.Copy(Key(2), Key(1), Bytes(0, 64), Bytes(16, 48));
  ByteRanges asked;
  (void)f.lineage.Walk(Key(2), Bytes(0, 8), 4, [&](const ContentKey&, const ByteRanges& bytes) {
    asked = bytes;
    return true;
  });
  EXPECT_TRUE(asked == Bytes(16, 48));
}

TEST(Lineage, ForgettingAContentForgetsItsEdgesAtBothEnds) {
  Family f;
  f.Copy(Key(1), Key(0));
  f.Copy(Key(2), Key(1));
  f.Copy(Key(3), Key(0));
  EXPECT_EQ(f.lineage.edges(), 3u);
  f.lineage.Forget(Key(1));
  EXPECT_EQ(f.lineage.edges(), 1u);
  EXPECT_TRUE(f.Walk(Key(2), 4, {Key(0)}).empty());
  EXPECT_FALSE(f.Walk(Key(3), 4, {Key(0)}).empty());
  f.lineage.Forget(Key(1));
  f.lineage.Forget(Key(99));
  EXPECT_EQ(f.lineage.edges(), 1u);
}

TEST(Lineage, ForgetsWhereAsked) {
  Family f;
  for (std::uint32_t i = 1; i <= 10; ++i) f.Copy(Key(i, i), Key(0));
  f.lineage.ForgetWhere([](const ContentKey& key) { return key.version > 3; });
  EXPECT_EQ(f.lineage.edges(), 3u);
  f.lineage.ForgetWhere([](const ContentKey&) { return true; });
  EXPECT_EQ(f.lineage.edges(), 0u);
}

// A plain breadth-first search over the same random graph knows how long the shortest way is.
TEST(Lineage, FindsAWayOfTheRightLengthExactlyWhereThereIsOne) {
  Random random(55);
  for (int run = 0; run < 3'000 / TIERLIB_RANDOM_SCALE; ++run) {
    constexpr std::uint32_t kNodes = 12;
    Family f;
    std::map<std::uint32_t, std::set<std::uint32_t>> makes;  // from a content to those that one step makes from it
    const std::uint64_t edges = random.UniformInt(20);
    for (std::uint64_t i = 0; i < edges; ++i) {
      const auto derived = static_cast<std::uint32_t>(random.UniformInt(kNodes));
      const auto source = static_cast<std::uint32_t>(random.UniformInt(kNodes));
      if (derived == source) continue;
      makes[source].insert(derived);
      if (random.UniformInt(2) == 0) {
        f.Call(Key(derived), Key(source));
      } else {
        f.Copy(Key(derived), Key(source));
        makes[derived].insert(source);
      }
    }
    const auto target = static_cast<std::uint32_t>(random.UniformInt(kNodes));
    const auto available = static_cast<std::uint32_t>(random.UniformInt(kNodes));
    const int limit = static_cast<int>(random.UniformInt(6));
    std::map<std::uint32_t, int> distance = {{available, 0}};
    std::deque<std::uint32_t> queue = {available};
    for (; !queue.empty(); queue.pop_front()) {
      for (const std::uint32_t next : makes[queue.front()]) {
        if (distance.emplace(next, distance[queue.front()] + 1).second) queue.push_back(next);
      }
    }
    const bool reachable = target != available && distance.count(target) > 0 && distance[target] <= limit;
    const std::vector<RecipeStep> recipe = f.Walk(Key(target), limit, {Key(available)});
    ASSERT_EQ(recipe.size(), reachable ? static_cast<std::size_t>(distance[target]) : 0u) << "seed 55, run " << run;
    if (!reachable) continue;
    EXPECT_EQ(Path(recipe).front(), available);
    EXPECT_EQ(Path(recipe).back(), target);
  }
}

}  // namespace
}  // namespace tierlib
