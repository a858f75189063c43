#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "base/allocation_count.h"
#include "base/random.h"

namespace tierlib {
namespace {

TEST(ThreadPool, CountsTheCaller) {
  EXPECT_EQ(ThreadPool(1).threads(), 1);
  EXPECT_EQ(ThreadPool(3).threads(), 3);
  EXPECT_GE(ThreadPool(0).threads(), 1);
}

TEST(ThreadPool, TilesDependOnTheLoopAlone) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    std::vector<std::atomic<std::int64_t>> end_of(10);
    pool.ParallelFor(47, 5, [&](std::int64_t begin, std::int64_t end) {
      ASSERT_EQ(begin % 5, 0);
      ASSERT_EQ(end_of[begin / 5].exchange(end), 0) << "tile at " << begin << " ran twice";
    });
    for (std::int64_t tile = 0; tile < 10; ++tile) EXPECT_EQ(end_of[tile], tile == 9 ? 47 : tile * 5 + 5);
  }
}

TEST(ThreadPool, EmptyLoopsRunNothing) {
  ThreadPool pool(2);
  pool.ParallelFor(0, 1, [](std::int64_t, std::int64_t) { ADD_FAILURE(); });
  pool.ParallelFor(-5, 1, [](std::int64_t, std::int64_t) { ADD_FAILURE(); });
}

TEST(ThreadPool, HugeCountsDoNotOverflow) {
  ThreadPool pool(2);
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  std::atomic<int> tiles{0};
  std::atomic<std::int64_t> last{0};
  pool.ParallelFor(kMost, kMost / 3, [&](std::int64_t begin, std::int64_t end) {
    EXPECT_LT(begin, end);
    ++tiles;
    if (end == kMost) last = begin;
  });
  EXPECT_EQ(tiles, 4);
  EXPECT_EQ(last, kMost / 3 * 3);
}

// A sum that depends on the order of additions: equal bits mean that tiles alone decide the order.
TEST(ThreadPool, GivesTheSameBitsForAnyNumberOfThreads) {
  constexpr std::int64_t kCount = 100'003;
  constexpr std::int64_t kGrain = 1'000;
  Random random(8);
  std::vector<float> values(kCount);
  for (float& value : values) value = random.UniformFloat() - 0.5f;
  const auto sum = [&](int threads) {
    ThreadPool pool(threads);
    std::vector<float> partial((kCount + kGrain - 1) / kGrain);
    pool.ParallelFor(kCount, kGrain, [&](std::int64_t begin, std::int64_t end) {
      float total = 0;
      for (std::int64_t i = begin; i < end; ++i) total += values[i];
      partial[begin / kGrain] = total;
    });
    float total = 0;
    for (const float part : partial) total += part;
    return total;
  };
  const float expected = sum(1);
  for (const int threads : {2, 3, 4, 8}) EXPECT_EQ(sum(threads), expected) << threads << " threads";
}

TEST(ThreadPool, NestedLoopsRunInline) {
  ThreadPool pool(3);
  std::atomic<int> inner{0};
  pool.ParallelFor(8, 1, [&](std::int64_t, std::int64_t) {
    const std::thread::id outer = std::this_thread::get_id();
    pool.ParallelFor(4, 1, [&](std::int64_t, std::int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), outer);
      ++inner;
    });
  });
  EXPECT_EQ(inner, 32);
}

TEST(ThreadPool, UsesItsThreads) {
  ThreadPool pool(2);
  // Each of two tiles waits for the other one: done by one thread alone it would not end.
  std::atomic<int> arrived{0};
  pool.ParallelFor(2, 1, [&](std::int64_t, std::int64_t) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, 2);
}

TEST(ThreadPool, ALoopAllocatesNothing) {
  ThreadPool pool(4);
  std::vector<int> values(1000);
  const auto loop = [&] {
    pool.ParallelFor(1000, 10, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ++values[i];
    });
  };
  loop();
  const std::int64_t before = AllocationCount();
  for (int i = 0; i < 100; ++i) loop();
  EXPECT_EQ(AllocationCount(), before);
  EXPECT_EQ(values[0], 101);
}

// Loops of every length with and without pauses, so that workers spin, sleep, come late and are woken in the middle.
TEST(ThreadPool, SurvivesLoopsOfEveryKind) {
  constexpr std::uint64_t kSeed = 2025;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  for (const int threads : {2, 3, 6}) {
    ThreadPool pool(threads);
    std::vector<std::int64_t> hits(512);
    for (int round = 0; round < 20'000 / TIERLIB_RANDOM_SCALE; ++round) {
      const std::int64_t count = 1 + static_cast<std::int64_t>(random.UniformInt(512));
      const std::int64_t grain = 1 + static_cast<std::int64_t>(random.UniformInt(64));
      pool.ParallelFor(count, grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) ++hits[i];
      });
      for (std::int64_t i = 0; i < count; ++i) {
        ASSERT_EQ(hits[i], 1) << "element " << i << " of " << count << " in round " << round;
        hits[i] = 0;
      }
      if (round % 512 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random.UniformInt(100)));
    }
  }
}

TEST(ThreadPool, CallersAtTheSameTimeAllFinish) {
  ThreadPool pool(2);
  std::atomic<std::int64_t> done{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      for (int i = 0; i < 2'000 / TIERLIB_RANDOM_SCALE; ++i) {
        pool.ParallelFor(64, 4, [&](std::int64_t begin, std::int64_t end) { done += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(done, std::int64_t{3} * (2'000 / TIERLIB_RANDOM_SCALE) * 64);
}

TEST(ThreadPool, ComesAndGoesQuickly) {
  for (int i = 0; i < 200 / TIERLIB_RANDOM_SCALE + 1; ++i) {
    ThreadPool pool(3);
    if (i % 2 == 0) continue;  // ends before the workers began
    std::atomic<int> tiles{0};
    pool.ParallelFor(7, 1, [&](std::int64_t, std::int64_t) { ++tiles; });
    ASSERT_EQ(tiles, 7);
  }
}

TEST(ThreadPoolDeathTest, ATileNeedsElements) {
  EXPECT_DEATH(ThreadPool(1).ParallelFor(1, 0, [](std::int64_t, std::int64_t) {}), "at least one element");
}

}  // namespace
}  // namespace tierlib
