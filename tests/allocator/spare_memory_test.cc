// BlockPool::Options::spare_bytes: free memory that work still uses is passed over for memory that was not used so far,
// up to so many bytes.
#include <gtest/gtest.h>

#include <array>

#include "allocator/block_pool.h"
#include "allocator/pool_under_test.h"

namespace tierlib {
namespace {

constexpr std::size_t kBlock = 512;

class SpareMemory : public testing::Test {
 protected:
  // A device that runs work only where somebody waits for it.
  PoolUnderTest Make(std::size_t spare_bytes, std::size_t blocks = 16) {
    return MakePoolUnderTest(blocks * kBlock, {.schedule = EmulatedSchedule::kDeterministic, .kernel_threads = 1},
                             /*streams=*/2, nullptr, spare_bytes);
  }
  // A block that work on the first stream still uses when it is freed.
  static void FreeWhileUsed(PoolUnderTest& test, void* block) {
    HostKernel kernel{"use", {Access{block, kBlock, false}}, [](KernelContext&) {}};
    ASSERT_TRUE(test.device->Launch(test.streams[0], std::move(kernel)).ok());
    test.pool->Free(block, {test.streams[0]});
    test.pool->Tick(test.streams[0]);
  }
  static std::size_t TakeOn(PoolUnderTest& test, int stream) {
    return test.OffsetOf(test.pool->Allocate(kBlock, test.streams[static_cast<std::size_t>(stream)]).value());
  }
};

TEST_F(SpareMemory, WithoutItTheLowestHoleIsTaken) {
  PoolUnderTest test = Make(0);
  FreeWhileUsed(test, test.pool->Allocate(kBlock, test.streams[0]).value());
  EXPECT_EQ(TakeOn(test, 1), 0u);
}

TEST_F(SpareMemory, AStreamThatWouldWaitTakesUnusedMemory) {
  PoolUnderTest test = Make(2 * kBlock);
  FreeWhileUsed(test, test.pool->Allocate(kBlock, test.streams[0]).value());
  EXPECT_EQ(TakeOn(test, 1), kBlock);
  EXPECT_EQ(TakeOn(test, 0), 0u) << "its own stream need not wait";
}

TEST_F(SpareMemory, WhatHasEndedIsUsedAgain) {
  PoolUnderTest test = Make(2 * kBlock);
  FreeWhileUsed(test, test.pool->Allocate(kBlock, test.streams[0]).value());
  ASSERT_TRUE(test.device->SynchronizeStream(test.streams[0]).ok());
  EXPECT_EQ(TakeOn(test, 1), 0u);
}

TEST_F(SpareMemory, NoMoreThanSoManyBytesStayFree) {
  PoolUnderTest test = Make(2 * kBlock);
  std::array<void*, 3> blocks{};
  for (void*& block : blocks) block = test.pool->Allocate(kBlock, test.streams[0]).value();
  FreeWhileUsed(test, blocks[0]);
  FreeWhileUsed(test, blocks[1]);
  EXPECT_EQ(TakeOn(test, 1), 3 * kBlock) << "two are free";
  FreeWhileUsed(test, blocks[2]);
  EXPECT_EQ(TakeOn(test, 1), 0u) << "three are";
}

TEST_F(SpareMemory, AFullTierIsUsedToItsLastBlock) {
  PoolUnderTest test = Make(16 * kBlock, 4);
  std::array<void*, 4> blocks{};
  for (void*& block : blocks) block = test.pool->Allocate(kBlock, test.streams[0]).value();
  for (void* const block : blocks) FreeWhileUsed(test, block);
  for (std::size_t i = 0; i < blocks.size(); ++i) EXPECT_EQ(TakeOn(test, 1), i * kBlock);
  EXPECT_EQ(test.pool->Allocate(kBlock, test.streams[1]).status().code(), StatusCode::kResourceExhausted);
  test.pool->CheckInvariants();
}

}  // namespace
}  // namespace tierlib
