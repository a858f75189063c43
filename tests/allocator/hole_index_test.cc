#include "allocator/hole_index.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <iterator>
#include <map>
#include <vector>

#include "base/random.h"

namespace tierlib {
namespace {

// The index never looks into blocks: any address serves.
Block* BlockOf(std::size_t number) { return reinterpret_cast<Block*>(number + 1); }

TEST(HoleIndex, FindsTheLowestHoleThatHoldsTheSize) {
  HoleIndex index;
  EXPECT_EQ(index.FindLowest(1), nullptr);
  EXPECT_EQ(index.largest(), 0u);
  index.Add(4096, 512, BlockOf(1));
  index.Add(1024, 256, BlockOf(2));
  index.Add(8192, 1024, BlockOf(3));
  EXPECT_EQ(index.FindLowest(1), BlockOf(2));
  EXPECT_EQ(index.FindLowest(256), BlockOf(2));
  EXPECT_EQ(index.FindLowest(257), BlockOf(1));
  EXPECT_EQ(index.FindLowest(513), BlockOf(3));
  EXPECT_EQ(index.FindLowest(1025), nullptr);
  EXPECT_EQ(index.largest(), 1024u);
  index.Move(4096, 4352, 256, BlockOf(4));
  EXPECT_EQ(index.FindLowest(257), BlockOf(3));
  EXPECT_EQ(index.At(4352), BlockOf(4));
  EXPECT_EQ(index.At(4096), nullptr);
  index.Remove(1024);
  EXPECT_EQ(index.FindLowest(1), BlockOf(4));
  index.Remove(8192);
  index.Remove(4352);
  EXPECT_EQ(index.FindLowest(1), nullptr);
  EXPECT_EQ(index.size(), 0u);
  index.CheckInvariants();
}

// What the index must answer, by looking at every hole.
class Model {
 public:
  struct Hole {
    std::size_t bytes;
    Block* block;
  };
  Block* FindLowest(std::size_t bytes) const {
    for (const auto& [offset, hole] : holes_) {
      if (hole.bytes >= bytes) return hole.block;
    }
    return nullptr;
  }
  std::map<std::size_t, Hole> holes_;
};

// Adds, removes, shrinks, grows and looks, with about `holes` holes at a time.
void RunRandomly(std::size_t holes, std::size_t operations, std::uint64_t seed) {
  HoleIndex index;
  Model model;
  Random random(seed);
  constexpr std::size_t kPlace = 1 << 16;  // each hole stays within a place of its own
  std::size_t next_block = 0;
  const auto draw_bytes = [&] { return std::size_t{1} << random.UniformInt(16); };
  for (std::size_t operation = 0; operation < operations; ++operation) {
    const std::size_t place = random.UniformInt(2 * holes) * kPlace;
    const auto at = model.holes_.lower_bound(place);
    const bool there = at != model.holes_.end() && at->first < place + kPlace;
    if (!there) {
      const Model::Hole hole{draw_bytes(), BlockOf(next_block++)};
      index.Add(place, hole.bytes, hole.block);
      model.holes_[place] = hole;
    } else if (random.UniformInt(2) == 0) {
      index.Remove(at->first);
      model.holes_.erase(at);
    } else {
      const Model::Hole hole{draw_bytes(), BlockOf(next_block++)};
      const std::size_t moved = place + random.UniformInt(kPlace - hole.bytes + 1);
      index.Move(at->first, moved, hole.bytes, hole.block);
      model.holes_.erase(at);
      model.holes_[moved] = hole;
    }
    const std::size_t bytes = draw_bytes() + random.UniformInt(3) - 1;
    ASSERT_EQ(index.FindLowest(bytes), model.FindLowest(bytes)) << "operation " << operation << ", seed " << seed;
    ASSERT_EQ(index.size(), model.holes_.size());
    if (operation % 97 == 0) index.CheckInvariants();
  }
  while (!model.holes_.empty()) {
    const auto at = random.UniformInt(2) == 0 ? model.holes_.begin() : std::prev(model.holes_.end());
    ASSERT_EQ(index.At(at->first), at->second.block);
    index.Remove(at->first);
    model.holes_.erase(at);
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
