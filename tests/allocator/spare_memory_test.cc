// BlockPool::Options::spare_bytes: free memory that work still uses is passed over for memory that was not used so far,
// up to so many bytes.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "allocator/block_pool.h"
#include "allocator/pool_under_test.h"

namespace tierlib {
namespace {

constexpr std::size_t kBlock = 512;

class SpareMemory : public testing::Test {
 protected:
  void Make(std::size_t spare_bytes, std::size_t blocks = 16) {
    test.emplace(MakePoolUnderTest(blocks * kBlock, {.kernel_threads = 1}, /*streams=*/2, nullptr, spare_bytes));
  }
  void TearDown() override { EndWork(); }

  void* Take() { return test->pool->Allocate(kBlock, test->streams[0]).value(); }
  // Frees a block that work on the first stream uses until EndWork.
  void FreeWhileUsed(void* block) {
    const auto wait = [this](KernelContext&) {
      while (!ended) std::this_thread::yield();
    };
    ASSERT_TRUE(test->device->Launch(test->streams[0], {"use", {Access{block, kBlock, false}}, wait}).ok());
    test->pool->Free(block, {test->streams[0]});
    test->pool->Tick(test->streams[0]);
  }
  // The lowest of two blocks, so that it does not join what was not used so far.
  void FreeHoleWhileUsed() {
    void* const low = Take();
    (void)Take();
    FreeWhileUsed(low);
  }
  void EndWork() {
    ended = true;
    ASSERT_TRUE(test->device->SynchronizeStream(test->streams[0]).ok());
  }
  std::size_t TakeOn(int stream) {
    return test->OffsetOf(test->pool->Allocate(kBlock, test->streams[static_cast<std::size_t>(stream)]).value());
  }

  std::atomic<bool> ended = false;
  std::optional<PoolUnderTest> test;
};

TEST_F(SpareMemory, WithoutItTheLowestHoleIsTaken) {
  Make(0);
  FreeHoleWhileUsed();
  EXPECT_EQ(TakeOn(1), 0u);
}

TEST_F(SpareMemory, AStreamThatWouldWaitTakesUnusedMemory) {
  Make(2 * kBlock);
  FreeHoleWhileUsed();
  EXPECT_EQ(TakeOn(1), 2 * kBlock);
  EXPECT_EQ(TakeOn(0), 0u) << "its own stream need not wait";
}

TEST_F(SpareMemory, WhatHasEndedIsUsedAgain) {
  Make(2 * kBlock);
  FreeHoleWhileUsed();
  EndWork();
  EXPECT_EQ(TakeOn(1), 0u);
}

TEST_F(SpareMemory, NoMoreThanSoManyBytesStayFree) {
  Make(2 * kBlock);
  void* const blocks[] = {Take(), Take(), Take()};
  FreeWhileUsed(blocks[0]);
  FreeWhileUsed(blocks[1]);
  EXPECT_EQ(TakeOn(1), 3 * kBlock) << "two are free";
  FreeWhileUsed(blocks[2]);
  EXPECT_EQ(TakeOn(1), 0u) << "three are";
}

TEST_F(SpareMemory, AFullTierIsUsedToItsLastBlock) {
  Make(16 * kBlock, 4);
  void* const blocks[] = {Take(), Take(), Take(), Take()};
  for (void* const block : blocks) FreeWhileUsed(block);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(TakeOn(1), i * kBlock);
  EXPECT_EQ(test->pool->Allocate(kBlock, test->streams[1]).status().code(), StatusCode::kResourceExhausted);
  test->pool->CheckInvariants();
}

}  // namespace
}  // namespace tierlib
