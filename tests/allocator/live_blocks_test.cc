#include "allocator/live_blocks.h"

#include <gtest/gtest.h>

#include <deque>
#include <iterator>
#include <map>

#include "base/random.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr std::size_t kUnit = 256;
constexpr std::size_t kCapacity = MiB(4);

// Blocks that come, go and change, in places of their own; what covers an address, by looking at all of them.
class Blocks {
 public:
  explicit Blocks(std::uint64_t seed) : random_(seed) {}

  void Change() {
    const std::size_t place = random_.UniformInt(kCapacity / kPlace) * kPlace;
    const auto at = model_.find(place);
    if (at == model_.end()) {
      Block* block = &blocks_.emplace_back();
      block->offset = place;
      block->bytes = (1 + random_.UniformInt(kPlace / kUnit)) * kUnit;
      block->tag = Tag();
      ASSERT_TRUE(live.Prepare(place + block->bytes));
      live.Add(block);
      model_[place] = block;
    } else if (random_.UniformInt(3) == 0) {
      live.SetOwner(at->second, random_.NextU32());
    } else if (random_.UniformInt(3) == 0) {
      live.SetTag(at->second, Tag());
    } else {
      ASSERT_EQ(live.Remove(place), at->second);
      ASSERT_EQ(live.Remove(place), nullptr);
      model_.erase(at);
    }
    ASSERT_EQ(live.size(), model_.size());
  }

  void ExpectFindsWhatCovers() {
    const std::size_t offset = random_.UniformInt(kCapacity);
    const auto behind = model_.upper_bound(offset);
    const Block* block = behind == model_.begin() ? nullptr : std::prev(behind)->second;
    if (block != nullptr && offset >= block->offset + block->bytes) block = nullptr;
    AddressMap::Found found;
    ASSERT_EQ(live.Find(offset, &found), block != nullptr) << offset;
    if (block == nullptr) return;
    EXPECT_EQ(found.offset, block->offset);
    EXPECT_EQ(found.bytes, block->bytes);
    EXPECT_EQ(found.in_block, offset - block->offset);
    EXPECT_EQ(found.tag, block->tag);
    EXPECT_EQ(found.owner, block->owner);
  }

  LiveBlocks live{kCapacity, kUnit};

 private:
  static constexpr std::size_t kPlace = KiB(8);
  trace::Tag Tag() { return static_cast<trace::Tag>(random_.UniformInt(trace::kTagCount)); }

  Random random_;
  std::deque<Block> blocks_;
  std::map<std::size_t, Block*> model_;
};

TEST(LiveBlocks, AreMappedWhenTheyAreFirstAskedForAndFromThenOn) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Blocks blocks(seed);
    for (int i = 0; i < 1000; ++i) blocks.Change();
    EXPECT_FALSE(blocks.live.is_mapped());
    ASSERT_TRUE(blocks.live.Map());
    EXPECT_TRUE(blocks.live.is_mapped());
    blocks.live.CheckInvariants();
    for (int i = 0; i < 20000 / TIERLIB_RANDOM_SCALE; ++i) {
      blocks.ExpectFindsWhatCovers();
      blocks.Change();
    }
    blocks.live.CheckInvariants();
    ASSERT_TRUE(blocks.live.Map()) << "it is there";
  }
}

TEST(LiveBlocks, HaveNobodyWhenTheyComeBack) {
  LiveBlocks live(kCapacity, kUnit);
  Block block;
  block.bytes = kUnit;
  ASSERT_TRUE(live.Prepare(kUnit));
  live.Add(&block);
  live.SetOwner(&block, 7);
  ASSERT_TRUE(live.Map());
  AddressMap::Found found;
  ASSERT_TRUE(live.Find(5, &found));
  EXPECT_EQ(found.owner, 7u);
  EXPECT_EQ(live.Remove(0), &block);
  EXPECT_FALSE(live.Find(5, &found));
  ASSERT_TRUE(live.Prepare(kUnit));
  live.Add(&block);
  ASSERT_TRUE(live.Find(5, &found));
  EXPECT_EQ(found.owner, 0u);
  EXPECT_EQ(live.At(kUnit), nullptr);
}

}  // namespace
}  // namespace tierlib
