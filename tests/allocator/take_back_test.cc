// BlockPool::FreeWithBytes and TakeBack: a block that was freed is had back until its memory is handed out to others.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/pool_under_test.h"

namespace tierlib {
namespace {

constexpr std::size_t kBlock = 512;

class TakeBack : public testing::Test {
 protected:
  void* Take(std::size_t bytes = kBlock) { return test.pool->Allocate(bytes, stream).value(); }
  std::uint64_t FreeWithBytes(void* block) {
    const std::uint64_t ticket = test.pool->FreeWithBytes(block, {&stream, 1});
    test.pool->CheckInvariants();
    return ticket;
  }
  bool Back(void* block, std::uint64_t ticket) {
    EXPECT_EQ(test.pool->MayTakeBack(block, ticket), true) << "as far as nothing but a limit is in the way";
    const bool back = test.pool->TakeBack(block, ticket, trace::Tag::kReload);
    test.pool->CheckInvariants();
    return back;
  }

  PoolUnderTest test = MakePoolUnderTest(16 * kBlock, ShapeOnly(), /*streams=*/2);
  const Stream stream = test.streams[0];
};

TEST_F(TakeBack, FromAHole) {
  void* const low = Take();
  void* const block = Take(500);
  (void)Take();
  const std::uint64_t ticket = FreeWithBytes(block);
  ASSERT_NE(ticket, 0u);
  test.pool->Free(low, {stream});  // so the hole begins below the block
  ASSERT_TRUE(Back(block, ticket));
  EXPECT_EQ(test.pool->BlockBytes(block), kBlock);
  const TierStatistics statistics = test.pool->statistics();
  EXPECT_EQ(statistics.live, 500 + kBlock) << "as it was asked for";
  EXPECT_EQ(test.pool->Allocate(kBlock, stream).value(), low) << "what lies below it stays a hole";
}

TEST_F(TakeBack, FromTheUnusedEnd) {
  void* const low = Take();
  void* const block = Take();
  const std::uint64_t ticket = FreeWithBytes(block);
  test.pool->Free(low, {stream});
  ASSERT_TRUE(Back(block, ticket));
  EXPECT_EQ(Take(), low) << "what lies between is a hole";
  EXPECT_EQ(test.OffsetOf(Take()), 2 * kBlock);
}

TEST_F(TakeBack, NotOnceAnyOfItIsHandedOut) {
  void* const block = Take(4 * kBlock);
  (void)Take();
  const std::uint64_t ticket = FreeWithBytes(block);
  void* const part = Take(256);
  EXPECT_EQ(part, block);
  EXPECT_FALSE(test.pool->MayTakeBack(block, ticket));
  EXPECT_FALSE(test.pool->TakeBack(block, ticket, trace::Tag::kReload));
  test.pool->Free(part, {stream});
  EXPECT_FALSE(test.pool->TakeBack(block, ticket, trace::Tag::kReload)) << "free again, with other bytes";
}

TEST_F(TakeBack, NotOnceALargerBlockCoversIt) {
  void* const low = Take();
  void* const block = Take();
  const std::uint64_t ticket = FreeWithBytes(block);
  test.pool->Free(low, {stream});
  EXPECT_EQ(Take(3 * kBlock), low);
  EXPECT_FALSE(test.pool->TakeBack(block, ticket, trace::Tag::kReload));
}

TEST_F(TakeBack, OnceOnly) {
  void* const block = Take();
  const std::uint64_t first = FreeWithBytes(block);
  ASSERT_TRUE(Back(block, first));
  EXPECT_FALSE(test.pool->TakeBack(block, first, trace::Tag::kReload)) << "it is live";
  const std::uint64_t second = FreeWithBytes(block);
  EXPECT_NE(second, first);
  EXPECT_FALSE(test.pool->TakeBack(block, first, trace::Tag::kReload));
  EXPECT_TRUE(Back(block, second));
}

TEST_F(TakeBack, NotWhatNobodyWantsAnyMore) {
  void* const block = Take();
  const std::uint64_t ticket = FreeWithBytes(block);
  test.pool->ForgetFreed(block, ticket + 1);
  EXPECT_TRUE(test.pool->MayTakeBack(block, ticket)) << "that was another one";
  test.pool->ForgetFreed(block, ticket);
  EXPECT_FALSE(test.pool->TakeBack(block, ticket, trace::Tag::kReload));
}

TEST_F(TakeBack, NotWhatWasGivenBackToTheDevice) {
  void* const block = Take();
  const std::uint64_t ticket = FreeWithBytes(block);
  ASSERT_GT(test.pool->Trim(), 0u);
  EXPECT_FALSE(test.pool->TakeBack(block, ticket, trace::Tag::kReload));
}

TEST(TakeBackInOrder, ReuseWaitsForWhatUsedTheBlockBefore) {
  // Freed on one stream and had back, it goes to another stream, which was made to wait for that free.
  PoolUnderTest test =
      MakePoolUnderTest(16 * kBlock, {.schedule = EmulatedSchedule::kDeterministic, .find_races = true}, 2);
  const Stream writer = test.streams[0];
  const Stream other = test.streams[1];
  void* const block = test.pool->Allocate(kBlock, writer).value();
  const auto nothing = [](KernelContext&) {};
  ASSERT_TRUE(test.device->Launch(writer, {"read late", {Access{block, kBlock, false}}, nothing}).ok());
  const std::uint64_t ticket = test.pool->FreeWithBytes(block, {&writer, 1});
  ASSERT_TRUE(test.pool->TakeBack(block, ticket, trace::Tag::kReload));
  test.pool->Free(block, {});  // nobody read it since
  ASSERT_EQ(test.pool->Allocate(kBlock, other).value(), block);
  ASSERT_TRUE(test.device->Launch(other, {"write", {Access{block, kBlock, true}}, nothing}).ok());
  EXPECT_TRUE(test.device->Synchronize().ok());
  test.pool->Free(block, {other});
}

TEST(TakeBackInOrder, WithinTheLimitOfItsTag) {
  DeviceOptions options;
  options.capacity = 16 * kBlock;
  options.emulated = ShapeOnly();
  const auto device = MakeDevice(options).value();
  const Stream on = device->CreateStream("one").value();
  TagLimits limits = NoTagLimits();
  limits[static_cast<std::size_t>(trace::Tag::kReload)] = kBlock;
  BlockPool pool({.source = MakeDeviceSource(*device).value(), .device = device.get(), .tag_limits = limits});
  void* const block = pool.Allocate(kBlock, on).value();
  void* const reload = pool.Allocate(kBlock, on, trace::Tag::kReload).value();
  const std::uint64_t ticket = pool.FreeWithBytes(block, {&on, 1});
  EXPECT_FALSE(pool.TakeBack(block, ticket, trace::Tag::kReload));
  pool.Free(reload, {on});
  EXPECT_TRUE(pool.TakeBack(block, ticket, trace::Tag::kReload));
  pool.Free(block, {on});
}

// A ticket holds exactly as long as no block was handed out that overlaps it.
TEST(TakeBackInOrder, FollowsAModel) {
  struct Freed {
    std::size_t bytes;
    std::uint64_t ticket;
    bool whole;
  };
  const int operations = 300'000 / TIERLIB_RANDOM_SCALE;
  int taken = 0, refused = 0;
  PoolUnderTest test = MakePoolUnderTest(KiB(256), ShapeOnly(), 1);
  const Stream on = test.streams[0];
  std::mt19937_64 random(7);
  std::map<std::byte*, std::size_t> live;
  std::map<std::byte*, Freed> freed;
  const auto handed_out = [&](std::byte* block, std::size_t bytes) {
    for (auto& [at, one] : freed) one.whole = one.whole && (at + one.bytes <= block || block + bytes <= at);
    live[block] = bytes;
  };
  for (int i = 0; i < operations; ++i) {
    const std::uint64_t choice = random() % 10;
    if (choice < 4) {
      const std::size_t bytes = 256 * (1 + random() % 64);
      const std::size_t alignment = std::size_t{256} << random() % 5;
      const StatusOr<void*> block = test.pool->Allocate(bytes, on, trace::Tag::kNone, alignment);
      if (block.ok()) handed_out(static_cast<std::byte*>(*block), bytes);
    } else if (choice < 8 && !live.empty()) {
      const auto one = std::next(live.begin(), static_cast<std::ptrdiff_t>(random() % live.size()));
      const auto [block, bytes] = *one;
      live.erase(one);
      if (random() % 2 == 0) {
        test.pool->Free(block, {on});
        freed.erase(block);
      } else {
        freed[block] = {bytes, test.pool->FreeWithBytes(block, {&on, 1}), true};
      }
    } else if (!freed.empty()) {
      const auto one = std::next(freed.begin(), static_cast<std::ptrdiff_t>(random() % freed.size()));
      std::byte* const block = one->first;
      const Freed was = one->second;
      freed.erase(one);
      ASSERT_EQ(test.pool->TakeBack(block, was.ticket, trace::Tag::kReload), was.whole) << "operation " << i;
      ++(was.whole ? taken : refused);
      if (was.whole) handed_out(block, was.bytes);
    }
    if (i % 1000 == 0) test.pool->CheckInvariants();
  }
  EXPECT_GT(taken, operations / 50);
  EXPECT_GT(refused, operations / 50);
  for (const auto& [block, bytes] : live) test.pool->Free(block, {on});
}

}  // namespace
}  // namespace tierlib
