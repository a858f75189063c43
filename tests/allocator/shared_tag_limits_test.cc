// Limits of tags that several pools have between them.
#include "allocator/shared_tag_limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "allocator/memory_source.h"
#include "allocator/pool_shortfall.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr trace::Tag kTag = trace::Tag::kSaved;

TagLimits Limited(std::size_t bytes) {
  TagLimits limits = NoTagLimits();
  limits[static_cast<std::size_t>(kTag)] = bytes;
  return limits;
}

TEST(SharedTagLimits, AreTakenToTheLastByteAndNoFurther) {
  SharedTagLimits limits(Limited(100));
  EXPECT_TRUE(limits.Take(kTag, 60));
  EXPECT_FALSE(limits.Take(kTag, 41));
  EXPECT_EQ(limits.left(kTag), 40u) << "what was refused took nothing";
  EXPECT_TRUE(limits.Take(kTag, 40));
  limits.Add(kTag, 30);
  EXPECT_EQ(limits.left(kTag), 0u) << "what is there already counts, whatever the limit";
  EXPECT_FALSE(limits.Take(kTag, 1));
  limits.GiveBack(kTag, 31);
  EXPECT_EQ(limits.left(kTag), 1u);
  EXPECT_TRUE(limits.Take(trace::Tag::kGradient, std::size_t{1} << 60)) << "no limit";
}

TEST(SharedTagLimits, AreNeverExceededByThreads) {
  constexpr std::size_t kLimit = 100;
  SharedTagLimits limits(Limited(kLimit));
  std::atomic<std::size_t> taken = 0;
  std::atomic<bool> exceeded = false;
  const auto work = [&](std::size_t bytes) {
    for (int i = 0; i < 20'000 / TIERLIB_RANDOM_SCALE + 200; ++i) {
      if (!limits.Take(kTag, bytes)) continue;
      if (taken.fetch_add(bytes) + bytes > kLimit) exceeded = true;
      taken.fetch_sub(bytes);
      limits.GiveBack(kTag, bytes);
    }
  };
  std::vector<std::thread> threads;
  for (const std::size_t bytes : {7, 40, 61}) threads.emplace_back(work, bytes);
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(limits.left(kTag), kLimit);
}

class PoolsWithSharedLimits : public testing::Test {
 protected:
  PoolsWithSharedLimits() {
    DeviceOptions options;
    options.capacity = MiB(1);
    options.emulated.schedule = EmulatedSchedule::kShapeOnly;
    device_ = MakeDevice(options).value();
    stream_ = device_->CreateStream("s").value();
  }
  std::unique_ptr<BlockPool> MakePool(bool hardened = false, std::uint64_t capacity = MiB(1)) {
    BlockPool::Options options;
    options.source = MakeHostSource({.tier = Tier::kPageable, .capacity = capacity, .shape_only = true}).value();
    options.device = device_.get();
    options.shared_tag_limits = limits_;
    if (hardened) options.hardening = device_->CreateStream("hardening").value();
    return std::make_unique<BlockPool>(std::move(options));
  }
  StatusOr<void*> Allocate(BlockPool& pool, std::size_t bytes) { return pool.Allocate(bytes, stream_, kTag); }

  const std::shared_ptr<SharedTagLimits> limits_ = std::make_shared<SharedTagLimits>(Limited(KiB(16)));
  std::unique_ptr<DeviceBackend> device_;
  Stream stream_;
};

TEST_F(PoolsWithSharedLimits, AnyOfThemMayHaveAllOfIt) {
  const std::unique_ptr<BlockPool> a = MakePool();
  const std::unique_ptr<BlockPool> b = MakePool();
  void* const first = Allocate(*a, KiB(12)).value();
  EXPECT_EQ(Allocate(*b, KiB(5)).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(IsBeyondTagLimit(*b, KiB(5), kTag)) << "b has none of it itself";
  const PoolShortfall shortfall = ExplainShortfall(*b, KiB(5), kTag);
  EXPECT_EQ(shortfall.tag_limit, KiB(16));
  EXPECT_EQ(shortfall.tag_room, KiB(4));
  void* const other = b->Allocate(KiB(5), stream_, trace::Tag::kGradient).value();
  void* const second = Allocate(*b, KiB(4)).value();
  EXPECT_EQ(Allocate(*a, 1).status().code(), StatusCode::kResourceExhausted);
  a->Free(first, {stream_});
  void* const third = Allocate(*b, KiB(12)).value();
  for (void* const block : {other, second, third}) b->Free(block, {stream_});
  EXPECT_EQ(limits_->left(kTag), KiB(16));
}

TEST_F(PoolsWithSharedLimits, ARefusedBlockTakesNothing) {
  const std::unique_ptr<BlockPool> small = MakePool(/*hardened=*/false, KiB(8));
  EXPECT_EQ(Allocate(*small, KiB(10)).status().code(), StatusCode::kResourceExhausted);
  void* const all = Allocate(*small, KiB(8)).value();
  EXPECT_EQ(Allocate(*small, KiB(4)).status().code(), StatusCode::kResourceExhausted) << "the pool is full";
  EXPECT_EQ(limits_->left(kTag), KiB(8));
  small->Free(all, {stream_});
  EXPECT_EQ(limits_->left(kTag), KiB(16));
}

TEST_F(PoolsWithSharedLimits, ABlockThatIsTakenBackCountsAgain) {
  const std::unique_ptr<BlockPool> pool = MakePool();
  const std::unique_ptr<BlockPool> other = MakePool();
  void* const block = Allocate(*pool, KiB(8)).value();
  const std::uint64_t ticket = pool->FreeWithBytes(block, {stream_});
  EXPECT_EQ(limits_->left(kTag), KiB(16));
  void* const meanwhile = Allocate(*other, KiB(12)).value();
  EXPECT_FALSE(pool->TakeBack(block, ticket, kTag)) << "the limit does not hold it";
  other->Free(meanwhile, {stream_});
  ASSERT_TRUE(pool->TakeBack(block, ticket, kTag));
  EXPECT_EQ(limits_->left(kTag), KiB(8));
  pool->Free(block, {stream_});
  EXPECT_EQ(limits_->left(kTag), KiB(16));
}

TEST_F(PoolsWithSharedLimits, WhatAQuarantineHoldsCountsForNoTag) {
  std::unique_ptr<BlockPool> pool = MakePool(/*hardened=*/true);
  void* const block = Allocate(*pool, KiB(8)).value();
  EXPECT_EQ(limits_->left(kTag), KiB(8) - 512) << "guards count";
  pool->Free(block, {stream_});
  EXPECT_EQ(limits_->left(kTag), KiB(16));
  pool.reset();
  EXPECT_EQ(limits_->left(kTag), KiB(16));
}

}  // namespace
}  // namespace tierlib
