#include "allocator/address_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <map>
#include <random>
#include <vector>

#include "allocator/block_list.h"
#include "allocator/pool_under_test.h"

namespace tierlib {
namespace {

constexpr std::size_t kPageUnits = 64;
constexpr std::size_t kChunkUnits = kPageUnits * 64 * 64;

// A map beside the plainest form of one.
class MapAndModel {
 public:
  MapAndModel(std::size_t capacity, std::size_t unit) : capacity_(capacity), unit_(unit), map_(capacity, unit) {
    EXPECT_TRUE(map_.Cover(capacity));
  }

  bool Fits(std::size_t offset, std::size_t bytes) const {
    if (offset + bytes > capacity_) return false;
    const auto next = live_.lower_bound(offset);
    if (next != live_.end() && next->first < offset + bytes) return false;
    return next == live_.begin() || std::prev(next)->first + std::prev(next)->second.bytes <= offset;
  }
  void Add(std::size_t offset, std::size_t bytes) {
    ASSERT_TRUE(map_.Prepare());
    Live& live = live_[offset];
    live.bytes = bytes;
    live.tag = static_cast<trace::Tag>(++added_ % trace::kTagCount);
    map_.Add(offset, bytes, live.tag, &live.block);
    if (added_ % 3 != 0) {
      live.owner = added_;
      map_.SetOwner(offset, added_);
    }
  }
  void Remove(std::size_t offset) {
    map_.Remove(offset);
    live_.erase(offset);
  }
  std::size_t RandomStart(std::mt19937_64& random) const {
    auto at = live_.lower_bound(random() % capacity_);
    if (at == live_.end()) at = live_.begin();
    return at->first;
  }

  // Whether the map and the model say the same about `offset`.
  void Check(std::size_t offset) {
    if (offset >= capacity_) return;
    auto at = live_.upper_bound(offset);
    const bool before = at != live_.begin();
    if (before) --at;
    AddressMap::Found found;
    const bool live = map_.Find(offset, &found);
    if (!before || offset - at->first >= at->second.bytes) {
      ASSERT_FALSE(live) << offset << " is in the block at " << found.offset;
      ASSERT_EQ(map_.At(offset), nullptr);
      return;
    }
    ASSERT_TRUE(live) << offset << " is in no block, not in that at " << at->first;
    ASSERT_EQ(found.offset, at->first);
    ASSERT_EQ(found.in_block, offset - at->first);
    ASSERT_EQ(found.bytes, at->second.bytes);
    ASSERT_EQ(found.tag, at->second.tag);
    ASSERT_EQ(found.owner, at->second.owner);
    ASSERT_EQ(map_.At(offset), offset == at->first ? &at->second.block : nullptr);
  }
  // Around both edges of a range, on either side.
  void CheckAround(std::size_t offset, std::size_t bytes) {
    for (const std::size_t edge :
         {offset, offset + unit_, offset + bytes / 2, offset + bytes - unit_, offset + bytes}) {
      Check(edge - 1);  // where it is 0: beyond the capacity
      Check(edge);
      Check(edge + 1);
    }
  }
  void CheckAll() {
    ASSERT_EQ(map_.size(), live_.size());
    map_.CheckInvariants();
    for (const auto& [offset, live] : live_) CheckAround(offset, live.bytes);
  }
  std::size_t blocks() const { return live_.size(); }
  std::size_t BytesAt(std::size_t offset) const { return live_.at(offset).bytes; }

 private:
  struct Live {
    std::size_t bytes = 0;
    trace::Tag tag = trace::Tag::kNone;
    std::uint64_t owner = 0;
    Block block;
  };
  const std::size_t capacity_;
  const std::size_t unit_;
  AddressMap map_;
  std::map<std::size_t, Live> live_;
  std::uint64_t added_ = 0;
};

TEST(AddressMap, SaysWhatAPlainMapSays) {
  const int operations = 300'000 / TIERLIB_RANDOM_SCALE;
  for (const std::size_t unit : {std::size_t{1}, std::size_t{256}, std::size_t{4096}}) {
    SCOPED_TRACE(testing::Message() << "unit " << unit);
    std::mt19937_64 random(unit);
    const std::size_t units = 3 * kChunkUnits + 77;
    MapAndModel both(units * unit, unit);
    for (int i = 0; i < operations / 3; ++i) {
      // Drift between a few blocks and as many as fit; near 0 or anywhere, so that pages of every kind come up.
      if (both.blocks() > 0 && random() % 100 < ((i / 2000) % 2 == 0 ? 30u : 60u)) {
        const std::size_t offset = both.RandomStart(random);
        const std::size_t bytes = both.BytesAt(offset);
        both.Remove(offset);
        both.CheckAround(offset, bytes);
      } else {
        const auto size = static_cast<std::size_t>(std::exp2(static_cast<double>(random() % 1900) / 100.0));
        const std::size_t offset = random() % (random() % 2 == 0 ? units : kPageUnits * 20) * unit;
        if (!both.Fits(offset, size * unit)) continue;
        both.Add(offset, size * unit);
        both.CheckAround(offset, size * unit);
      }
      both.Check(random() % (units * unit));
      if (i % 1024 == 0) both.CheckAll();
      if (testing::Test::HasFatalFailure()) return;
    }
    both.CheckAll();
  }
}

TEST(AddressMap, FindsABlockOverAnyNumberOfPages) {
  const std::size_t unit = 256;
  for (const std::size_t first : {std::size_t{0}, std::size_t{1}, kPageUnits - 1, 64 * kPageUnits, kChunkUnits - 1,
                                  kChunkUnits, 70 * kChunkUnits}) {
    for (const std::size_t units : {std::size_t{1}, kPageUnits - 1, kPageUnits, kPageUnits + 1, 64 * kPageUnits,
                                    kChunkUnits - 1, kChunkUnits, kChunkUnits + 1, 130 * kChunkUnits}) {
      MapAndModel both(210 * kChunkUnits * unit, unit);
      both.Add(first * unit, units * unit);
      both.CheckAround(first * unit, units * unit);
      ASSERT_FALSE(HasFatalFailure()) << units << " units from " << first;
    }
  }
}

TEST(AddressMap, APageFullOfStartsTellsThemApartAndEmptiesAgain) {
  const std::size_t unit = 256;
  MapAndModel both(4 * kPageUnits * unit, unit);
  std::vector<std::size_t> offsets;
  for (std::size_t i = 0; i < 2 * kPageUnits; ++i) offsets.push_back((kPageUnits + i) * unit);
  std::mt19937_64 random(3);
  for (int round = 0; round < 10; ++round) {
    std::shuffle(offsets.begin(), offsets.end(), random);
    for (const std::size_t offset : offsets) {
      both.Add(offset, unit);
      both.CheckAround(offset, unit);
    }
    both.CheckAll();
    std::shuffle(offsets.begin(), offsets.end(), random);
    for (const std::size_t offset : offsets) {
      both.Remove(offset);
      both.CheckAround(offset, unit);
    }
    both.CheckAll();
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
  }
}

TEST(AddressMap, ANewBlockHasNoOwnerThoughItsRecordHadOne) {
  AddressMap map(MiB(1), 256);
  ASSERT_TRUE(map.Cover(MiB(1)) && map.Prepare());
  Block block;
  map.Add(0, 512, trace::Tag::kSaved, &block);
  map.SetOwner(0, 7);
  AddressMap::Found found;
  EXPECT_TRUE(map.Find(511, &found));
  EXPECT_EQ(found.owner, 7u);
  map.Remove(0);
  ASSERT_TRUE(map.Prepare());
  map.Add(0, 256, trace::Tag::kReload, &block);
  EXPECT_TRUE(map.Find(0, &found));
  EXPECT_EQ(found.owner, 0u);
  EXPECT_EQ(found.tag, trace::Tag::kReload);
  EXPECT_FALSE(map.Find(256, &found));
}

// --- of a pool ------------------------------------------------------------------------------------------------------

using Part = BlockPool::Part;

struct Told {
  Part part;
  BlockPool::Place place;
};
Told At(const PoolUnderTest& test, const void* address) {
  Told told;
  told.part = test.pool->Find(address, &told.place);
  return told;
}

TEST(PoolFind, TellsOfAddressesOfThePoolAlone) {
  PoolUnderTest test = MakePoolUnderTest(MiB(16), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  auto* const low = static_cast<std::byte*>(test.pool->Allocate(1000, stream, trace::Tag::kGradient).value());
  auto* const high = static_cast<std::byte*>(test.pool->Allocate(500, stream, trace::Tag::kSaved).value());
  test.pool->SetOwner(low, 11);
  const Told last = At(test, low + 1023);
  ASSERT_EQ(last.part, Part::kLive);
  EXPECT_EQ(last.place.owner, 11u);
  EXPECT_EQ(last.place.bytes, 1024u);
  EXPECT_EQ(last.place.in_block, 1023u);
  EXPECT_EQ(last.place.tag, trace::Tag::kGradient);
  EXPECT_EQ(At(test, low + 1024).place.offset, 1024u);
  EXPECT_EQ(At(test, low - 1).part, Part::kOutside);
  EXPECT_EQ(At(test, nullptr).part, Part::kOutside);
  test.pool->Free(low, {stream});
  EXPECT_EQ(At(test, low).part, Part::kFree);
  EXPECT_EQ(At(test, high).part, Part::kLive);
  EXPECT_EQ(At(test, high + 512).part, Part::kFree) << "grown, not handed out";
}

TEST(PoolFind, FollowsThePoolAsItGrowsAndIsTrimmed) {
  PoolUnderTest test = MakePoolUnderTest(MiB(512), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  std::vector<std::byte*> blocks;
  for (int i = 0; i < 5; ++i) {
    blocks.push_back(static_cast<std::byte*>(test.pool->Allocate(MiB(70), stream).value()));
    EXPECT_EQ(At(test, blocks.back() + MiB(70) - 1).place.offset, static_cast<std::size_t>(i) * MiB(70));
    EXPECT_EQ(At(test, test.base + test.pool->statistics().reserved).part, Part::kOutside);
  }
  for (int i = 4; i > 0; --i) test.pool->Free(blocks[static_cast<std::size_t>(i)], {stream});
  EXPECT_EQ(At(test, blocks[4] + MiB(70) - 1).part, Part::kFree);
  EXPECT_GT(test.pool->Trim(), 0u);
  EXPECT_EQ(At(test, blocks[4] + MiB(70) - 1).part, Part::kOutside);
  EXPECT_EQ(At(test, blocks[0] + MiB(70) - 1).part, Part::kLive);
  auto* const again = static_cast<std::byte*>(test.pool->Allocate(MiB(300), stream).value());
  EXPECT_EQ(At(test, again + MiB(300) - 1).place.bytes, MiB(300));
  test.pool->CheckInvariants();
}

TEST(PoolFind, FindsBlocksInMemoryThatWasGrownLongBefore) {
  PoolUnderTest test = MakePoolUnderTest(MiB(512), ShapeOnly(), 1);
  BlockPool pool({.source = MakeHostSource({.tier = Tier::kPageable, .capacity = MiB(512), .shape_only = true}).value(),
                  .device = test.device.get(),
                  .growth = MiB(512)});
  for (std::size_t i = 0; i < 16; ++i) {
    auto* const block = static_cast<std::byte*>(pool.Allocate(MiB(32), test.streams[0]).value());
    BlockPool::Place place;
    EXPECT_EQ(pool.Find(block + MiB(32) - 1, &place), Part::kLive);
    EXPECT_EQ(place.offset, i * MiB(32));
  }
}

TEST(PoolFindDeath, AnOwnerIsOfALiveBlock) {
  PoolUnderTest test = MakePoolUnderTest(MiB(16), ShapeOnly(), 1);
  auto* const block = static_cast<std::byte*>(test.pool->Allocate(1000, test.streams[0]).value());
  EXPECT_DEATH(test.pool->SetOwner(block + 256, 1), "owner of .*interior pointer");
  test.pool->Free(block, {test.streams[0]});
  EXPECT_DEATH(test.pool->SetOwner(block, 1), "owner of .* already free");
}

}  // namespace
}  // namespace tierlib
