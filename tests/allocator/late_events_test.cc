// Two threads on one pool whose events complete late and out of order. Every block carries a pattern from its first
// writer to its last reader, on whatever streams these are; a block handed out too early is overwritten under a reader,
// and is a race for ThreadSanitizer too.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "allocator/late_device.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr int kThreads = 2;
constexpr int kStreams = 4;
constexpr std::size_t kCapacity = KiB(20);  // less than both threads would like to hold

struct Shadow {
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> full{0};
};

struct LiveBlock {
  std::uint64_t* words = nullptr;
  std::size_t count = 0;
  std::uint64_t pattern = 0;
  std::vector<Stream> users;
};

// One thread's part: blocks of its own, streams that both threads use.
class Worker {
 public:
  // The device itself and not the late one: what the program orders by is its own.
  Worker(BlockPool& pool, DeviceBackend& device, const std::vector<Stream>& streams, std::uint64_t seed, bool sleeps,
         Shadow& shadow)
      : pool_(pool), device_(device), streams_(streams), random_(seed), sleeps_(sleeps), shadow_(shadow) {}

  void Run(int operations) {
    for (int i = 0; i < operations; ++i) {
      if (live_.size() < 2 || (live_.size() < 24 && random_() % 2 == 0)) {
        AllocateAndWrite();
      } else {
        FreeOne();
      }
      if (random_() % 8 == 0) pool_.Tick(AnyStream());
      if (random_() % 32 == 0) CheckSums();
      if (random_() % 128 == 0) pool_.CheckInvariants();
      if (random_() % 256 == 0) (void)pool_.Trim();
    }
    while (!live_.empty()) FreeOne();
  }

 private:
  Stream AnyStream() { return streams_[random_() % streams_.size()]; }

  void AllocateAndWrite() {
    LiveBlock block;
    block.users = {AnyStream()};
    block.count = (random_() % 8 + 1) * 32;
    block.pattern = random_();
    const StatusOr<void*> data = pool_.Allocate(block.count * sizeof(std::uint64_t), block.users[0],
                                                static_cast<trace::Tag>(random_() % trace::kTagCount));
    if (!data.ok()) {
      ASSERT_EQ(data.status(), Status(StatusCode::kResourceExhausted));
      ++shadow_.full;
      if (!live_.empty()) FreeOne();
      return;
    }
    block.words = static_cast<std::uint64_t*>(*data);
    Launch(block, /*writes=*/true, block.users[0]);
    for (std::uint64_t readers = random_() % 3; readers > 0; --readers) Share(block, AnyStream());
    live_.push_back(std::move(block));
  }

  // Another stream reads what the first one wrote.
  void Share(LiveBlock& block, Stream reader) {
    const EventId written = device_.CreateEvent().value();
    ASSERT_TRUE(device_.RecordEvent(written, block.users[0]).ok());
    ASSERT_TRUE(device_.WaitEvent(reader, written).ok());
    device_.DestroyEvent(written);
    Launch(block, /*writes=*/false, reader);
    block.users.push_back(reader);
  }

  void FreeOne() {
    std::swap(live_[random_() % live_.size()], live_.back());
    const LiveBlock block = std::move(live_.back());
    live_.pop_back();
    ASSERT_EQ(pool_.BlockBytes(block.words), block.count * sizeof(std::uint64_t));
    Launch(block, /*writes=*/false, block.users.back());
    pool_.Free(block.words, block.users);
  }

  void Launch(const LiveBlock& block, bool writes, Stream stream) {
    const auto slow = std::chrono::microseconds(sleeps_ && random_() % 8 == 0 ? random_() % 200 : 0);
    HostKernel kernel;
    kernel.name = writes ? "write" : "read";
    kernel.accesses = {Access{block.words, block.count * sizeof(std::uint64_t), writes}};
    kernel.run = [words = block.words, count = block.count, pattern = block.pattern, writes, slow,
                  shadow = &shadow_](KernelContext&) {
      if (slow.count() > 0) std::this_thread::sleep_for(slow);
      if (writes) {
        std::fill_n(words, count, pattern);
        return;
      }
      ++shadow->reads;
      if (!std::all_of(words, words + count, [pattern](std::uint64_t word) { return word == pattern; })) {
        ++shadow->wrong;
      }
    };
    ASSERT_TRUE(device_.Launch(stream, std::move(kernel)).ok());
  }

  void CheckSums() {
    const TierStatistics now = pool_.Snapshot();  // looks at every event while the other thread frees
    std::uint64_t live = 0;
    for (const TagStatistics& tag : now.tags) live += tag.live;
    ASSERT_EQ(live, now.live);
    ASSERT_EQ(now.live + now.waste + now.cached + now.pending, now.reserved) << "while the other thread works";
  }

  BlockPool& pool_;
  DeviceBackend& device_;
  const std::vector<Stream>& streams_;
  std::mt19937_64 random_;
  const bool sleeps_;
  Shadow& shadow_;
  std::vector<LiveBlock> live_;
};

struct Seen {
  LateDevice::Counts counts;
  std::uint64_t full = 0;
};

// Lets two threads use one pool, and checks that no byte was lost and that all is accounted for.
void RunThreads(EmulatedSchedule schedule, std::uint64_t seed, int operations, Seen* seen) {
  DeviceOptions options;
  options.capacity = kCapacity;
  options.emulated = {.schedule = schedule, .seed = seed, .kernel_threads = 1, .poison = seed % 2 == 0};
  const std::unique_ptr<DeviceBackend> device = MakeDevice(options).value();
  LateDevice late(*device, seed, /*most_questions=*/6);
  BlockPool pool({.source = MakeDeviceSource(late).value(), .device = &late, .growth = KiB(4)});
  std::vector<Stream> streams;
  for (int i = 0; i < kStreams; ++i) streams.push_back(device->CreateStream("stream").value());
  Shadow shadow;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const bool sleeps = schedule == EmulatedSchedule::kThreaded;
      Worker(pool, *device, streams, seed * kThreads + i, sleeps, shadow).Run(operations);
    });
  }
  for (std::thread& thread : threads) thread.join();
  pool.CheckInvariants();
  TierStatistics now = pool.Snapshot();
  EXPECT_EQ(now.live + now.waste, 0u);
  EXPECT_EQ(now.cached + now.pending, now.reserved);
  ASSERT_TRUE(device->Synchronize().ok());
  for (int questions = 0; questions < 200 && now.pending > 0; ++questions) now = pool.Snapshot();
  EXPECT_EQ(now.pending, 0u) << "after all work ended and every event said so";
  EXPECT_EQ(now.cached, now.reserved);
  EXPECT_EQ(now.scattered, 0u);
  EXPECT_EQ(shadow.wrong.load(), 0u) << "of " << shadow.reads.load() << " reads";
  EXPECT_GT(shadow.reads.load(), 0u);
  EXPECT_TRUE(device->health().ok()) << device->health();
  const LateDevice::Counts counts = late.counts();
  seen->counts.late += counts.late;
  seen->counts.out_of_order += counts.out_of_order;
  seen->counts.waits += counts.waits;
  seen->full += shadow.full;
}

void ExpectTheWorst(const Seen& seen) {
  EXPECT_GT(seen.counts.late, 0u);
  EXPECT_GT(seen.counts.out_of_order, 0u);
  EXPECT_GT(seen.counts.waits, 0u) << "no block was used again on another stream";
  if (TIERLIB_RANDOM_SCALE < 100) {  // a short run may not fill it
    EXPECT_GT(seen.full, 0u) << "the pool was never full";
  }
}

TEST(LateEvents, TwoThreadsNeverLoseAByteOnThreadedStreams) {
  Seen seen;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RunThreads(EmulatedSchedule::kThreaded, seed, 2000 / TIERLIB_RANDOM_SCALE, &seen);
  }
  ExpectTheWorst(seen);
}

TEST(LateEvents, TwoThreadsNeverLoseAByteInAnyOrderOfWork) {
  Seen seen;
  for (std::uint64_t seed = 1; seed <= 100 / TIERLIB_RANDOM_SCALE + 2; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RunThreads(EmulatedSchedule::kDeterministic, seed, 400, &seen);
  }
  ExpectTheWorst(seen);
}

}  // namespace
}  // namespace tierlib
