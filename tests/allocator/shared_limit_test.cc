// A limit that several sources draw on.
#include "allocator/shared_limit.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "allocator/fake_topology.h"
#include "allocator/growth_ahead.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

std::unique_ptr<MemorySource> Pageable(const std::shared_ptr<SharedLimit>& limit, std::uint64_t capacity = MiB(64)) {
  return WithLimit(MakeHostSource({.tier = Tier::kPageable, .capacity = capacity}).value(), limit);
}

TEST(SharedLimit, SourcesTakeFromItAndGiveItBack) {
  const auto limit = std::make_shared<SharedLimit>(MiB(16));
  std::unique_ptr<MemorySource> a = Pageable(limit);
  std::unique_ptr<MemorySource> b = Pageable(limit);
  ASSERT_TRUE(a->Grow(MiB(12)).ok());
  EXPECT_EQ(b->Grow(MiB(6)), Status(StatusCode::kResourceExhausted));
  EXPECT_EQ(limit->left(), MiB(4)) << "what was refused took nothing";
  ASSERT_TRUE(b->Grow(MiB(4)).ok());
  EXPECT_EQ(limit->left(), 0u);
  EXPECT_EQ(b->Shrink(MiB(4)).value(), MiB(4));
  EXPECT_EQ(limit->left(), MiB(4));
  a.reset();
  EXPECT_EQ(limit->left(), MiB(16)) << "a source that is gone has nothing";
}

TEST(SharedLimit, WhatASourceCannotGetIsNotTaken) {
  const auto limit = std::make_shared<SharedLimit>(MiB(16));
  const std::unique_ptr<MemorySource> small = Pageable(limit, MiB(4));
  EXPECT_EQ(small->Grow(MiB(8)), Status(StatusCode::kResourceExhausted));
  EXPECT_EQ(limit->left(), MiB(16));
  EXPECT_EQ(small->Grow(1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(limit->left(), MiB(16));
}

TEST(SharedLimit, WhatIsAbsentIsNotTakenAndComesAgainAsWholePieces) {
  const auto limit = std::make_shared<SharedLimit>(MiB(8));
  const std::unique_ptr<MemorySource> source = Pageable(limit);
  for (int piece = 0; piece < 4; ++piece) ASSERT_TRUE(source->Grow(MiB(2)).ok());
  ASSERT_TRUE(source->Discard(MiB(2), MiB(4)).ok());
  EXPECT_EQ(limit->left(), MiB(4));
  EXPECT_EQ(source->MissingFor(MiB(3), MiB(2)), MiB(4));
  ASSERT_TRUE(limit->Take(MiB(3)));
  EXPECT_EQ(source->Commit(MiB(2), KiB(4)), Status(StatusCode::kResourceExhausted)) << "the piece is larger than that";
  EXPECT_EQ(limit->left(), MiB(1));
  limit->GiveBack(MiB(1));
  ASSERT_TRUE(source->Commit(MiB(2), KiB(4)).ok());
  EXPECT_EQ(limit->left(), 0u);
  EXPECT_EQ(source->absent(), MiB(2));
  ASSERT_TRUE(source->Shrink(MiB(4)).ok());  // of which half is absent
  EXPECT_EQ(limit->left(), MiB(2));
}

TEST(SharedLimit, AnErrorHalfwayKeepsWhatCame) {
  FakeTopology machine(1);
  const auto limit = std::make_shared<SharedLimit>(MiB(8));
  const std::unique_ptr<MemorySource> source = WithLimit(
      MakeHostSource({.tier = Tier::kPinned, .capacity = MiB(8), .numa_node = 0, .topology = &machine}).value(), limit);
  for (int piece = 0; piece < 2; ++piece) ASSERT_TRUE(source->Grow(MiB(2)).ok());
  ASSERT_TRUE(source->Discard(0, MiB(4)).ok());
  machine.touches_left = 1;
  EXPECT_FALSE(source->Commit(0, MiB(4)).ok());
  EXPECT_EQ(source->absent(), MiB(2));
  EXPECT_EQ(limit->left(), MiB(6));
}

TEST(SharedLimit, WhatIsGrownAheadCountsUntilItIsGivenBack) {
  const auto limit = std::make_shared<SharedLimit>(MiB(16));
  const std::unique_ptr<MemorySource> source = GrowAhead(Pageable(limit), MiB(2));
  ASSERT_TRUE(source->Grow(MiB(2)).ok());
  while (limit->left() > MiB(12)) std::this_thread::yield();
  EXPECT_EQ(source->grown(), MiB(2));
  EXPECT_EQ(source->Shrink(0).value(), 0u);
  EXPECT_EQ(limit->left(), MiB(14));
}

TEST(SharedLimit, ThreadsTakeNoMoreThanThereIs) {
  SharedLimit limit(1000);
  std::atomic<std::uint64_t> held{0};
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 1; thread <= 2; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < 20'000 / TIERLIB_RANDOM_SCALE; ++round) {
        const std::uint64_t bytes = 200 * thread + static_cast<std::uint64_t>(round) % 500;
        if (!limit.Take(bytes)) continue;
        EXPECT_LE(held.fetch_add(bytes) + bytes, 1000u);
        held.fetch_sub(bytes);
        limit.GiveBack(bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(limit.left(), 1000u);
}

}  // namespace
}  // namespace tierlib
