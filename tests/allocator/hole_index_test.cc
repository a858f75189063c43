#include "allocator/hole_index.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <deque>
#include <iterator>
#include <map>

#include "base/random.h"

namespace tierlib {
namespace {

Block HoleAt(std::size_t offset, std::size_t bytes) {
  Block block;
  block.offset = offset;
  block.bytes = bytes;
  return block;
}

TEST(HoleIndex, FindsTheLowestHoleThatHoldsTheSize) {
  HoleIndex index;
  EXPECT_EQ(index.FindLowest(1), nullptr);
  EXPECT_EQ(index.largest(), 0u);
  Block first = HoleAt(4096, 512);
  Block second = HoleAt(1024, 256);
  Block third = HoleAt(8192, 1024);
  ASSERT_TRUE(index.Reserve(3));
  for (Block* hole : {&first, &second, &third}) index.Add(hole);
  EXPECT_EQ(index.FindLowest(1), &second);
  EXPECT_EQ(index.FindLowest(256), &second);
  EXPECT_EQ(index.FindLowest(257), &first);
  EXPECT_EQ(index.FindLowest(513), &third);
  EXPECT_EQ(index.FindLowest(1025), nullptr);
  EXPECT_EQ(index.largest(), 1024u);
  Block fourth = HoleAt(4352, 256);
  index.Replace(&first, &fourth);
  EXPECT_EQ(index.FindLowest(257), &third);
  third.bytes = 256;
  index.Update(&third);
  EXPECT_EQ(index.largest(), 256u);
  index.Remove(&second);
  EXPECT_EQ(index.FindLowest(1), &fourth);
  index.Remove(&third);
  index.Remove(&fourth);
  EXPECT_EQ(index.FindLowest(1), nullptr);
  EXPECT_EQ(index.size(), 0u);
  index.CheckInvariants();
}

// What the index must answer, by looking at every hole.
class Model {
 public:
  Block* FindLowest(std::size_t bytes, std::size_t alignment = 1) const {
    for (const auto& [offset, hole] : holes) {
      const std::size_t aligned = (offset + alignment - 1) / alignment * alignment;
      if (aligned + bytes <= offset + hole->bytes) return hole;
    }
    return nullptr;
  }
  std::map<std::size_t, Block*> holes;
};

// Adds, removes, shrinks, grows and looks, with about `holes` holes at a time.
void RunRandomly(std::size_t holes, std::size_t operations, std::uint64_t seed) {
  HoleIndex index;
  Model model;
  Random random(seed);
  std::deque<Block> blocks;
  ASSERT_TRUE(index.Reserve(2 * holes));
  constexpr std::size_t kPlace = 1 << 16;  // each hole stays within a place of its own
  const auto draw_bytes = [&] { return std::size_t{1} << random.UniformInt(16); };
  for (std::size_t operation = 0; operation < operations; ++operation) {
    const std::size_t place = random.UniformInt(2 * holes) * kPlace;
    const auto at = model.holes.lower_bound(place);
    const bool there = at != model.holes.end() && at->first < place + kPlace;
    if (!there) {
      Block* hole = &blocks.emplace_back(HoleAt(place, draw_bytes()));
      index.Add(hole);
      model.holes[place] = hole;
    } else if (random.UniformInt(2) == 0) {
      index.Remove(at->second);
      model.holes.erase(at);
    } else {
      const std::size_t bytes = draw_bytes();
      const std::size_t moved = place + random.UniformInt(kPlace - bytes + 1);
      Block* hole = at->second;
      if (random.UniformInt(2) == 0) {
        hole->offset = moved;
        hole->bytes = bytes;
        index.Update(hole);
      } else {
        Block* by = &blocks.emplace_back(HoleAt(moved, bytes));
        index.Replace(hole, by);
        hole = by;
      }
      model.holes.erase(at);
      model.holes[moved] = hole;
    }
    const std::size_t bytes = draw_bytes() + random.UniformInt(2);
    ASSERT_EQ(index.FindLowest(bytes), model.FindLowest(bytes)) << "operation " << operation << ", seed " << seed;
    if (operation % 16 == 0) {
      const std::size_t alignment = std::size_t{1} << random.UniformInt(17);
      ASSERT_EQ(index.FindLowestAligned(bytes, alignment), model.FindLowest(bytes, alignment))
          << "of " << alignment << ", operation " << operation << ", seed " << seed;
    }
    ASSERT_EQ(index.size(), model.holes.size());
    if (operation % 97 == 0) index.CheckInvariants();
  }
  for (const std::size_t bound : {std::size_t{0}, std::size_t{255}, std::size_t{256}, index.largest()}) {
    std::size_t larger = 0;
    for (const auto& [offset, hole] : model.holes) larger += hole->bytes > bound ? 1 : 0;
    std::size_t visited = 0;
    index.ForEachLarger(bound, [&](const Block& hole) {
      EXPECT_GT(hole.bytes, bound);
      visited += model.holes.at(hole.offset) == &hole ? 1 : 0;
    });
    EXPECT_EQ(visited, larger) << "than " << bound;
  }
  std::size_t rising = 0;
  index.ForEachLarger(rising, [&](const Block& hole) { rising = hole.bytes; });
  EXPECT_EQ(rising, index.largest());
  while (!model.holes.empty()) {
    const auto at = random.UniformInt(2) == 0 ? model.holes.begin() : std::prev(model.holes.end());
    index.Remove(at->second);
    model.holes.erase(at);
    index.CheckInvariants();
  }
}

TEST(HoleIndex, AnswersAsALookAtEveryHole) {
  RunRandomly(/*holes=*/8, /*operations=*/20000 / TIERLIB_RANDOM_SCALE, 1);
  RunRandomly(/*holes=*/100, /*operations=*/50000 / TIERLIB_RANDOM_SCALE, 2);
  RunRandomly(/*holes=*/1500, /*operations=*/40000 / TIERLIB_RANDOM_SCALE, 3);
}

}  // namespace
}  // namespace tierlib
