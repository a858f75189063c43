// Readers beside threads that allocate and free: under ThreadSanitizer, a test that nothing races; in any build, that
// a reader is told about a block that is, or one that was, and never a mix of two.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/pool_under_test.h"

namespace tierlib {
namespace {

using Part = BlockPool::Part;

constexpr int kReaders = 3;

// What a block's owner and tag are to be, given where it lies and its size: a reader checks them against each other.
std::uint64_t OwnerOf(std::size_t offset, std::size_t bytes) { return offset * 0x9e3779b97f4a7c15 ^ bytes; }
trace::Tag TagOf(std::size_t bytes) { return static_cast<trace::Tag>(bytes / 256 % trace::kTagCount); }

TEST(OwnerThreads, AReaderIsToldAboutOneBlockWhileOthersComeAndGo) {
  PoolUnderTest test = MakePoolUnderTest(MiB(8), ShapeOnly(), 2);
  // One that stays: always found, whatever happens around it.
  auto* const stays =
      static_cast<std::byte*>(test.pool->Allocate(KiB(40), test.streams[0], trace::Tag::kClient).value());
  test.pool->SetOwner(stays, 99);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> live{0};
  std::atomic<std::uint64_t> mixed{0};
  std::atomic<std::uint64_t> lost{0};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < kReaders; ++reader) {
    readers.emplace_back([&, reader] {
      std::mt19937_64 random(static_cast<std::uint64_t>(reader));
      while (!done.load(std::memory_order_relaxed)) {
        BlockPool::Place same;
        const bool there = test.pool->Find(stays + random() % KiB(40), &same) == Part::kLive;
        if (!there || same.owner != 99 || same.bytes != KiB(40)) ++lost;
        const std::size_t offset = random() % MiB(1);
        BlockPool::Place found;
        if (test.pool->Find(test.base + offset, &found) != Part::kLive || found.owner == 99) continue;
        ++live;
        const bool covers = found.offset <= offset && offset < found.offset + found.bytes;
        const bool one = found.owner == 0 || found.owner == OwnerOf(found.offset, found.bytes);
        if (!covers || !one || found.tag != TagOf(found.bytes)) ++mixed;
      }
    });
  }
  std::vector<std::thread> writers;
  for (std::size_t writer = 0; writer < 2; ++writer) {
    writers.emplace_back([&, writer] {
      std::mt19937_64 random(100 + writer);
      const Stream stream = test.streams[writer];
      std::vector<void*> blocks;
      for (int i = 0; i < 400'000 / TIERLIB_RANDOM_SCALE; ++i) {
        if (blocks.size() > 60 || (!blocks.empty() && random() % 2 == 0)) {
          std::swap(blocks[random() % blocks.size()], blocks.back());
          test.pool->Free(blocks.back(), {stream});
          blocks.pop_back();
          continue;
        }
        const std::size_t bytes = 256 * (1 + (random() % 4 == 0 ? random() % 200 : random() % 8));
        void* const block = test.pool->Allocate(bytes, stream, TagOf(bytes)).value();
        test.pool->SetOwner(block, OwnerOf(test.OffsetOf(block), bytes));
        blocks.push_back(block);
      }
      for (void* block : blocks) test.pool->Free(block, {stream});
    });
  }
  for (std::thread& writer : writers) writer.join();
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(live, 0u) << "no reader met a block";
  EXPECT_EQ(mixed, 0u);
  EXPECT_EQ(lost, 0u);
  test.pool->CheckInvariants();
}

TEST(OwnerThreads, AReaderFollowsAPoolThatGrowsAndIsTrimmed) {
  PoolUnderTest test = MakePoolUnderTest(MiB(512), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  std::thread reader([&] {
    std::mt19937_64 random(1);
    while (!done.load(std::memory_order_relaxed)) {
      const std::size_t offset = random() % MiB(512);
      BlockPool::Place found;
      if (test.pool->Find(test.base + offset, &found) != Part::kLive) continue;
      if (found.bytes != MiB(50) || found.in_block + found.offset != offset) ++wrong;
    }
  });
  for (int round = 0; round < 400 / TIERLIB_RANDOM_SCALE + 2; ++round) {
    std::vector<void*> blocks;
    for (int i = 0; i < 10; ++i) blocks.push_back(test.pool->Allocate(MiB(50), stream).value());
    BlockPool::Place last;
    EXPECT_EQ(test.pool->Find(static_cast<std::byte*>(blocks.back()) + MiB(50) - 1, &last), Part::kLive);
    EXPECT_EQ(last.offset, 9 * MiB(50));
    for (void* block : blocks) test.pool->Free(block, {stream});
    EXPECT_GT(test.pool->Trim(), 0u);
  }
  done = true;
  reader.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace tierlib
