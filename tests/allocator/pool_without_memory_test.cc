// What a pool does where the host has no memory for its bookkeeping: takes blocks back all the same, and refuses others
// without having changed anything.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "allocator/device_factory.h"
#include "allocator/fake_device.h"
#include "allocator/memory_source.h"
#include "allocator/pool_under_test.h"
#include "base/no_memory.h"
#include "base/random.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr std::size_t kUnit = 256;

// Blocks that lie beside each other, in ascending order.
std::vector<void*> MakeRow(PoolUnderTest& test, std::size_t blocks) {
  std::vector<void*> row;
  for (std::size_t i = 0; i < blocks; ++i) row.push_back(test.pool->Allocate(kUnit, test.streams.front()).value());
  return row;
}

TEST(PoolWithoutMemory, TakesBackBlocksThatLeaveManyHoles) {
  PoolUnderTest test = MakePoolUnderTest(MiB(4), ShapeOnly(), 1);
  const std::vector<void*> row = MakeRow(test, 5001);
  std::uint64_t failures = 0;
  {
    NoMemory none;
    // A hole for each second block; then all but every tenth go, so that leaves of the index become thin; then all.
    for (std::size_t i = 1; i < row.size(); i += 2) test.pool->Free(row[i], {&test.streams.front(), 1});
    for (std::size_t i = 0; i < row.size(); i += 2) {
      if (i % 10 != 0) test.pool->Free(row[i], {&test.streams.front(), 1});
    }
    failures = none.failures();
  }
  test.pool->CheckInvariants();
  EXPECT_EQ(failures, 0u);
  for (std::size_t i = 0; i < row.size(); i += 10) test.pool->Free(row[i], {&test.streams.front(), 1});
  test.pool->CheckInvariants();
  EXPECT_EQ(test.pool->live_bytes(), 0u);
}

// Holes come and go at random, in as many ways as the index has room for, and no free may ask for memory.
TEST(PoolWithoutMemory, TakesBackBlocksInAnyOrder) {
  PoolUnderTest test = MakePoolUnderTest(MiB(16), ShapeOnly(), 1);
  Random random(TIERLIB_RANDOM_SCALE);
  std::vector<void*> live;
  std::uint64_t failures = 0;
  for (int round = 0; round < 400 / TIERLIB_RANDOM_SCALE + 20; ++round) {
    const std::size_t wanted = random.UniformInt(4000);
    while (live.size() < wanted) {
      live.push_back(test.pool->Allocate(kUnit << random.UniformInt(3), test.streams.front()).value());
    }
    NoMemory none;
    while (live.size() > wanted) {
      std::swap(live[random.UniformInt(live.size())], live.back());
      test.pool->Free(live.back(), {&test.streams.front(), 1});
      live.pop_back();
    }
    failures += none.failures();
  }
  EXPECT_EQ(failures, 0u);
  test.pool->CheckInvariants();
  for (void* block : live) test.pool->Free(block, {&test.streams.front(), 1});
}

// A stamp for more streams than it has room for by itself cannot be written down: the pool waits in place of that.
TEST(PoolWithoutMemory, TakesBackBlocksOfManyStreams) {
  PoolUnderTest test = MakePoolUnderTest(MiB(4), ShapeOnly(), 12);
  const std::vector<void*> row = MakeRow(test, 60);
  std::uint64_t failures = 0;
  {
    NoMemory none;
    for (std::size_t i = 0; i < row.size(); ++i) {
      test.pool->Free(row[i], absl::MakeConstSpan(test.streams).subspan(i % 3, 1 + i % 9));
    }
    failures = none.failures();
  }
  EXPECT_GT(failures, 0u) << "the stamps had room for all streams";
  test.pool->CheckInvariants();
  EXPECT_EQ(test.pool->live_bytes(), 0u);
}

// What is next to a block may come after more streams than the block has room for.
TEST(PoolWithoutMemory, TakesBackBlocksBesideThoseOfManyStreams) {
  PoolUnderTest test = MakePoolUnderTest(MiB(4), ShapeOnly(), 12);
  const std::vector<void*> row = MakeRow(test, 60);
  for (std::size_t i = 1; i < row.size(); i += 2) test.pool->Free(row[i], test.streams);
  std::uint64_t failures = 0;
  {
    NoMemory none;
    for (std::size_t i = 0; i < row.size(); i += 2) test.pool->Free(row[i], {&test.streams.front(), 1});
    failures = none.failures();
  }
  EXPECT_EQ(failures, 0u);
  test.pool->CheckInvariants();
  EXPECT_EQ(test.pool->live_bytes(), 0u);
}

// Each call fails at each of its allocations in turn; then it works.
TEST(PoolWithoutMemory, RefusesWithoutAChange) {
  PoolUnderTest test = MakePoolUnderTest(MiB(16), ShapeOnly(), 7);
  test.pool->Free(test.pool->Allocate(MiB(16), test.streams[0]).value(),
                  {});  // grown, so that the source needs nothing
  Random random(TIERLIB_RANDOM_SCALE);
  std::vector<void*> live;
  int refused = 0;
  const auto allocate = [&](std::size_t bytes, Stream stream, std::uint64_t served) -> std::optional<void*> {
    NoMemory none(served);
    try {
      const StatusOr<void*> block = test.pool->Allocate(bytes, stream, trace::Tag::kNone, kUnit << bytes % 3);
      return block.ok() ? std::optional(*block) : std::nullopt;
    } catch (const std::bad_alloc&) {
      return std::nullopt;
    }
  };
  for (int operation = 0; operation < 6000 / TIERLIB_RANDOM_SCALE + 200; ++operation) {
    const Stream stream = test.streams[random.UniformInt(test.streams.size())];
    if (random.UniformInt(5) < 2 && !live.empty()) {
      std::swap(live[random.UniformInt(live.size())], live.back());
      test.pool->Free(live.back(), {&stream, 1});
      live.pop_back();
      continue;
    }
    const std::size_t bytes = 1 + random.UniformInt(4000);
    const std::size_t before = test.pool->live_bytes();
    std::optional<void*> block;
    for (std::uint64_t served = 0; !block; ++served) {
      ASSERT_LT(served, 1000u) << "refused for another reason";
      block = allocate(bytes, stream, served);
      if (block) break;
      ++refused;
      ASSERT_EQ(test.pool->live_bytes(), before);
      if (refused % 16 == 0) test.pool->CheckInvariants();
    }
    live.push_back(*block);
  }
  EXPECT_GT(refused, 10);
  test.pool->CheckInvariants();
  for (void* block : live) test.pool->Free(block, {});
}

// What went back is known to be gone, though there was no memory to note what is free now.
TEST(PoolWithoutMemory, WhatGoesBackIsNotedWhateverComesAfter) {
  FakeDevice device;
  BlockPool::Options options;
  options.cache = {.age_ns = 100};
  options.source = MakeHostSource({.tier = Tier::kPinned, .capacity = MiB(16), .device = &device}).value();
  options.device = &device;
  BlockPool pool(std::move(options));
  std::vector<Stream> streams;
  for (int i = 0; i < 6; ++i) streams.push_back(device.CreateStream("s").value());  // more than a stamp has room for
  const auto allocate = [&] { return pool.Allocate(MiB(2), streams[0]).value(); };
  void* const low = allocate();
  void* const middle = allocate();
  void* const high = allocate();
  pool.Free(high, {&streams[0], 1});
  pool.Free(middle, {&streams[0], 1});
  device.pending.clear();
  ASSERT_EQ(pool.TrimToBounds(1000), 0u) << "the first look";
  pool.Free(allocate(), streams);
  device.pending.clear();
  const std::size_t before = pool.statistics().reserved;
  std::uint64_t failures = 0;
  {
    NoMemory none;
    EXPECT_THROW((void)pool.TrimToBounds(1101), std::bad_alloc);
    failures = none.failures();
  }
  ASSERT_GT(failures, 0u);
  EXPECT_LT(pool.statistics().reserved, before);
  pool.CheckInvariants();
  void* const again = pool.Allocate(MiB(6), streams[0]).value();
  std::memset(again, 1, MiB(6));  // there is memory
  pool.Free(again, {&streams[0], 1});
  pool.Free(low, {&streams[0], 1});
}

// Memory that a source could not write down would be lost to it and to all others.
TEST(PoolWithoutMemory, ASourceTakesNoPieceThatItHasNoRoomToWriteDown) {
  DeviceOptions options;
  options.capacity = MiB(1);
  options.emulated = ShapeOnly();
  const auto device = MakeDevice(options).value();
  auto source = MakeDeviceSource(*device).value();
  const auto grow = [&](std::uint64_t served) {
    NoMemory none(served);
    try {
      return source->Grow(KiB(1)).ok();
    } catch (const std::bad_alloc&) {
      return false;
    }
  };
  int refused = 0;
  for (std::uint64_t served = 0; !grow(served); ++served) {
    ASSERT_LT(served, 100u) << "refused for another reason";
    ++refused;
    StatusOr<void*> all = device->Reserve(MiB(1));
    ASSERT_TRUE(all.ok()) << all.status();
    ASSERT_TRUE(device->Release(*all, MiB(1)).ok());
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(source->grown(), KiB(1));
}

}  // namespace
}  // namespace tierlib
