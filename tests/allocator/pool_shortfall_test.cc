// What a full pool says of itself, against every set of blocks that could be freed instead.
#include "allocator/pool_shortfall.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "allocator/pool_under_test.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace tierlib {
namespace {

constexpr std::size_t kUnit = 256;

struct Live {
  void* block = nullptr;
  std::size_t offset = 0;
  std::size_t bytes = 0;
  trace::Tag tag = trace::Tag::kNone;
};

struct FullPool {
  explicit FullPool(Random& random) : test(MakePoolUnderTest(24 * kUnit, ShapeOnly(), 1)) {
    const Stream stream = test.streams[0];
    for (int i = 0; i < 10; ++i) {
      Live one;
      one.bytes = (1 + random.UniformInt(4)) * kUnit;
      one.tag = random.UniformInt(2) == 0 ? trace::Tag::kActivation : trace::Tag::kGradient;
      const StatusOr<void*> block = test.pool->Allocate(one.bytes, stream, one.tag);
      if (!block.ok()) continue;
      one.block = *block;
      one.offset = test.OffsetOf(*block);
      live.push_back(one);
    }
    for (std::size_t i = live.size(); i-- > 0;) {
      if (random.UniformInt(3) != 0) continue;
      test.pool->Free(live[i].block, {stream});
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  // The largest hole were those live blocks freed whose bit is in `freed`.
  std::size_t LargestHole(unsigned freed) const {
    std::vector<std::pair<std::size_t, std::size_t>> kept;
    for (std::size_t i = 0; i < live.size(); ++i) {
      if ((freed >> i & 1) == 0) kept.emplace_back(live[i].offset, live[i].bytes);
    }
    std::sort(kept.begin(), kept.end());
    std::size_t largest = 0, end = 0;
    for (const auto& [offset, bytes] : kept) {
      largest = std::max(largest, offset - end);
      end = offset + bytes;
    }
    return std::max(largest, 24 * kUnit - end);
  }

  PoolUnderTest test;
  std::vector<Live> live;
};

TEST(PoolShortfall, NamesTheFewestBytesWhoseEndWouldHaveMadeRoom) {
  int asked = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    FullPool full(random);
    BlockPool& pool = *full.test.pool;
    const std::size_t bytes = (1 + random.UniformInt(26)) * kUnit;
    if (bytes <= pool.LargestHole()) continue;
    ++asked;
    std::size_t least = ~std::size_t{0};
    for (unsigned freed = 0; freed < 1u << full.live.size(); ++freed) {
      if (full.LargestHole(freed) < bytes) continue;
      std::size_t sum = 0;
      for (std::size_t i = 0; i < full.live.size(); ++i) sum += (freed >> i & 1) != 0 ? full.live[i].bytes : 0;
      least = std::min(least, sum);
    }
    const PoolShortfall shortfall = ExplainShortfall(pool, bytes - 1, trace::Tag::kActivation);
    EXPECT_EQ(shortfall.rounded, bytes);
    EXPECT_EQ(shortfall.largest_hole, full.LargestHole(0));
    EXPECT_EQ(shortfall.least.found, bytes <= 24 * kUnit);
    if (!shortfall.least.found) continue;
    EXPECT_EQ(shortfall.least.live, least);
    std::size_t tags = 0;
    for (const std::size_t tag : shortfall.least.tags) tags += tag;
    EXPECT_EQ(tags, least);
    std::size_t end = 0;
    for (const Live& one : full.live) end = std::max(end, one.offset + one.bytes);
    EXPECT_EQ(shortfall.more_capacity, bytes - (24 * kUnit - end));
  }
  EXPECT_GT(asked, 50);
}

TEST(PoolShortfall, SaysWhoseWorkHoldsFreedBytes) {
  EmulatedOptions emulated{.schedule = EmulatedSchedule::kDeterministic, .kernel_threads = 1};
  PoolUnderTest test = MakePoolUnderTest(KiB(4), emulated, 2);
  BlockPool& pool = *test.pool;
  void* const first = pool.Allocate(KiB(1), test.streams[0]).value();
  void* const second = pool.Allocate(KiB(2), test.streams[0]).value();
  void* const last = pool.Allocate(KiB(1), test.streams[0]).value();
  ASSERT_TRUE(test.device->Synchronize().ok());
  // Work that has not ended: the scheduler runs nothing unless it is asked.
  for (const Stream stream : test.streams) ASSERT_TRUE(test.device->Fill(first, 1, KiB(1), stream).ok());
  pool.Free(first, {test.streams[0], test.streams[1]});
  PoolShortfall shortfall;
  for (int i = 0; i < 100 && shortfall.pending == 0; ++i) shortfall = ExplainShortfall(pool, KiB(4), trace::Tag::kNone);
  EXPECT_EQ(shortfall.pending, KiB(1));
  ASSERT_GE(shortfall.pins.size(), 1u);
  EXPECT_EQ(shortfall.pins[0].bytes, KiB(1));
  ASSERT_TRUE(test.device->Synchronize().ok());
  shortfall = ExplainShortfall(pool, KiB(4), trace::Tag::kNone);
  EXPECT_EQ(shortfall.pending, 0u);
  EXPECT_TRUE(shortfall.pins.empty());
  for (void* block : {second, last}) pool.Free(block, {test.streams[0]});
}

TEST(PoolShortfall, ATagHasItsOwnLimitBesideTheCapacity) {
  PoolUnderTest test = MakePoolUnderTest(KiB(64), ShapeOnly(), 1);
  BlockPool::Options options{.source = MakeDeviceSource(*test.device).value(), .device = test.device.get()};
  test.pool.reset();
  options.source = MakeDeviceSource(*test.device).value();
  options.tag_limits[static_cast<std::size_t>(trace::Tag::kGradient)] = KiB(2);
  BlockPool pool(std::move(options));
  const Stream stream = test.streams[0];
  void* const held = pool.Allocate(KiB(1) + 1, stream, trace::Tag::kGradient).value();
  EXPECT_TRUE(IsBeyondTagLimit(pool, 769, trace::Tag::kGradient)) << "1.25 KiB and 1 KiB, rounded";
  EXPECT_EQ(pool.Allocate(769, stream, trace::Tag::kGradient).status().code(), StatusCode::kResourceExhausted);
  void* const rest = pool.Allocate(768, stream, trace::Tag::kGradient).value();
  void* const other = pool.Allocate(KiB(32), stream, trace::Tag::kActivation).value();
  EXPECT_EQ(ExplainShortfall(pool, 1, trace::Tag::kGradient).tag_room, 0u);
  pool.Free(held, {stream});
  EXPECT_EQ(ExplainShortfall(pool, 1, trace::Tag::kGradient).tag_room, KiB(1) + 256);
  for (void* block : {rest, other}) pool.Free(block, {stream});
  pool.CheckInvariants();
}

}  // namespace
}  // namespace tierlib
