// Reuse across streams against a shadow: every block holds a pattern from its first writer until its last reader,
// whatever streams these are and however late they run. A pool that forgot one wait hands a block to a writer before
// its last reader ran.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/pool_under_test.h"

namespace tierlib {
namespace {

constexpr std::size_t kBlock = 512;

struct Shadow {
  std::atomic<int> reads{0};
  std::atomic<int> wrong{0};
};

void Write(DeviceBackend& device, void* block, std::uint64_t pattern, Stream stream) {
  auto* words = static_cast<std::uint64_t*>(block);
  HostKernel kernel{"write", {Access{block, kBlock, true}}, [words, pattern](KernelContext&) {
                      std::fill_n(words, kBlock / sizeof(std::uint64_t), pattern);
                    }};
  ASSERT_TRUE(device.Launch(stream, std::move(kernel)).ok());
}

void Read(DeviceBackend& device, const void* block, std::uint64_t pattern, Stream stream, Shadow* shadow) {
  const auto* words = static_cast<const std::uint64_t*>(block);
  HostKernel kernel{"read", {Access{block, kBlock, false}}, [words, pattern, shadow](KernelContext&) {
                      shadow->reads.fetch_add(1);
                      const bool right = std::all_of(words, words + kBlock / sizeof(std::uint64_t),
                                                     [pattern](std::uint64_t word) { return word == pattern; });
                      if (!right) shadow->wrong.fetch_add(1);
                    }};
  ASSERT_TRUE(device.Launch(stream, std::move(kernel)).ok());
}

struct LiveBlock {
  void* data = nullptr;
  std::uint64_t pattern = 0;
  std::vector<Stream> users;
};

// Allocates, writes, reads on other streams (ordered after the write by an event of its own) and frees, at random.
void Churn(PoolUnderTest& test, std::uint64_t seed, int operations, Shadow* shadow) {
  std::mt19937_64 random(seed);
  const auto any_stream = [&] { return test.streams[random() % test.streams.size()]; };
  const EventId written = test.device->CreateEvent().value();
  std::vector<LiveBlock> live;
  for (int i = 0; i < operations; ++i) {
    if (live.size() < 4 || (live.size() < 12 && random() % 2 == 0)) {
      LiveBlock block{nullptr, random(), {any_stream()}};
      block.data = test.pool->Allocate(kBlock, block.users[0]).value();
      Write(*test.device, block.data, block.pattern, block.users[0]);
      for (std::uint64_t readers = random() % 3; readers > 0; --readers) {
        const Stream reader = any_stream();
        ASSERT_TRUE(test.device->RecordEvent(written, block.users[0]).ok());
        ASSERT_TRUE(test.device->WaitEvent(reader, written).ok());
        Read(*test.device, block.data, block.pattern, reader, shadow);
        block.users.push_back(reader);
      }
      live.push_back(std::move(block));
    } else {
      std::swap(live[random() % live.size()], live.back());
      const LiveBlock block = std::move(live.back());
      live.pop_back();
      Read(*test.device, block.data, block.pattern, block.users.back(), shadow);
      test.pool->Free(block.data, block.users);
      if (random() % 3 == 0) test.pool->Tick(block.users.back());
    }
    if (i % 32 == 0) test.pool->CheckInvariants();
    if (random() % 64 == 0) {
      ASSERT_TRUE(test.device->SynchronizeStream(any_stream()).ok());
    }
  }
  for (const LiveBlock& block : live) test.pool->Free(block.data, block.users);
  for (const Stream stream : test.streams) ASSERT_TRUE(test.device->SynchronizeStream(stream).ok());
}

TEST(StreamReuse, NeverReachesABlockBeforeItsLastReaderWhateverTheOrder) {
  const std::uint64_t seeds = 300 / TIERLIB_RANDOM_SCALE + 2;
  Shadow shadow;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const EmulatedOptions options{
        .schedule = EmulatedSchedule::kDeterministic, .seed = seed, .kernel_threads = 1, .poison = seed % 3 == 0};
    PoolUnderTest test = MakePoolUnderTest(16 * kBlock, options, /*streams=*/seed % 4 == 0 ? 12 : 3);
    Churn(test, seed, 300, &shadow);
    ASSERT_EQ(shadow.wrong.load(), 0);
    ASSERT_TRUE(test.device->health().ok()) << test.device->health();
  }
  EXPECT_GT(shadow.reads.load(), 0);
}

TEST(StreamReuse, HoldsOnThreadsToo) {
  Shadow shadow;
  for (const int streams : {3, 12}) {
    PoolUnderTest test = MakePoolUnderTest(16 * kBlock, {.kernel_threads = 1, .poison = true}, streams);
    Churn(test, static_cast<std::uint64_t>(streams), 20'000 / TIERLIB_RANDOM_SCALE, &shadow);
  }
  EXPECT_GT(shadow.reads.load(), 0);
  EXPECT_EQ(shadow.wrong.load(), 0);
}

TEST(StreamReuse, StreamsThatComeAndGoLeaveNothingBehind) {
  Shadow shadow;
  PoolUnderTest test =
      MakePoolUnderTest(16 * kBlock, {.schedule = EmulatedSchedule::kDeterministic, .seed = 5, .kernel_threads = 1}, 4);
  for (std::uint64_t round = 0; round < 60; ++round) {
    Churn(test, round, 40, &shadow);
    const std::size_t leaving = round % test.streams.size();
    if (round % 2 == 0) test.pool->Forget(test.streams[leaving]);
    ASSERT_TRUE(test.device->DestroyStream(test.streams[leaving]).ok());
    test.streams[leaving] = test.device->CreateStream("next").value();
  }
  EXPECT_EQ(shadow.wrong.load(), 0);
  EXPECT_TRUE(test.device->health().ok()) << test.device->health();
}

}  // namespace
}  // namespace tierlib
