#include "allocator/block_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "allocator/fake_device.h"
#include "allocator/pool_under_test.h"
#include "trace/reader.h"

namespace tierlib {
namespace {

TEST(BlockPool, RoundsSizesUpToTheAlignmentOnly) {
  PoolUnderTest test = MakePoolUnderTest(MiB(1), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  void* nothing = test.pool->Allocate(0, stream).value();
  void* one = test.pool->Allocate(1, stream).value();
  void* odd = test.pool->Allocate(5000, stream).value();
  EXPECT_EQ(test.pool->BlockBytes(nothing), 256u);
  EXPECT_EQ(test.pool->BlockBytes(one), 256u);
  EXPECT_EQ(test.pool->BlockBytes(odd), 5120u);
  EXPECT_EQ(test.OffsetOf(nothing), 0u);
  EXPECT_EQ(test.OffsetOf(one), 256u);
  EXPECT_EQ(test.OffsetOf(odd), 512u);
  EXPECT_EQ(test.pool->statistics().live, 5001u);
  EXPECT_EQ(test.pool->statistics().waste, 256u + 255 + 120);
}

TEST(BlockPool, CoalescesNeighboursOnFree) {
  PoolUnderTest test = MakePoolUnderTest(KiB(64), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  std::array<void*, 5> blocks;
  for (void*& block : blocks) block = test.pool->Allocate(KiB(1), stream).value();
  for (const int i : {1, 3, 2}) test.pool->Free(blocks[static_cast<std::size_t>(i)], {stream});
  test.pool->CheckInvariants();
  EXPECT_EQ(test.OffsetOf(test.pool->Allocate(KiB(3), stream).value()), KiB(1));
  test.pool->CheckInvariants();
}

TEST(BlockPool, TakesTheLowestHoleThatFits) {
  PoolUnderTest test = MakePoolUnderTest(KiB(64), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  std::array<void*, 8> blocks;
  const std::array<std::size_t, 8> kilobytes = {4, 1, 2, 1, 2, 1, 3, 1};
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = test.pool->Allocate(KiB(kilobytes[i]), stream).value();
  for (const std::size_t i : {0, 2, 4, 6}) test.pool->Free(blocks[i], {stream});
  // Holes: 4 KiB at 0, 2 KiB at 5, 2 KiB at 8, 3 KiB at 11; the unused end begins at 15.
  EXPECT_EQ(test.OffsetOf(test.pool->Allocate(KiB(3), stream).value()), KiB(0));
  EXPECT_EQ(test.OffsetOf(test.pool->Allocate(KiB(2), stream).value()), KiB(5)) << "1 KiB is left at 3";
  EXPECT_EQ(test.OffsetOf(test.pool->Allocate(KiB(3), stream).value()), KiB(11)) << "2 KiB are left at 8";
  EXPECT_EQ(test.OffsetOf(test.pool->Allocate(KiB(1), stream).value()), KiB(3));
  EXPECT_EQ(test.OffsetOf(test.pool->Allocate(KiB(4), stream).value()), KiB(15)) << "nothing fits but the unused end";
  test.pool->CheckInvariants();
}

TEST(BlockPool, SaysThatItIsFullWithoutAMessageAndKeepsWorking) {
  PoolUnderTest test = MakePoolUnderTest(KiB(8), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  void* block = test.pool->Allocate(KiB(6), stream).value();
  EXPECT_EQ(test.pool->LargestHole(), KiB(2));
  for (const std::size_t bytes : {KiB(2) + 1, KiB(9), ~std::size_t{0}, ~std::size_t{0} - 300}) {
    const StatusOr<void*> refused = test.pool->Allocate(bytes, stream);
    EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
    EXPECT_TRUE(refused.status().message().empty());
  }
  EXPECT_TRUE(test.pool->Allocate(KiB(2), stream).ok());
  test.pool->Free(block, {stream});
  EXPECT_EQ(test.pool->LargestHole(), KiB(6));
  EXPECT_TRUE(test.pool->Allocate(KiB(6), stream).ok());
  EXPECT_EQ(test.pool->LargestHole(), 0u);
  test.pool->CheckInvariants();
}

TEST(BlockPool, LargestHoleIsTheLargestSizeThatSucceeds) {
  PoolUnderTest test = MakePoolUnderTest(KiB(64), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  void* low = test.pool->Allocate(KiB(40), stream).value();
  void* high = test.pool->Allocate(KiB(4), stream).value();
  test.pool->Free(low, {stream});
  EXPECT_EQ(test.pool->LargestHole(), KiB(40));
  EXPECT_FALSE(test.pool->Allocate(KiB(40) + 1, stream).ok());
  EXPECT_TRUE(test.pool->Allocate(KiB(40), stream).ok());
  EXPECT_EQ(test.pool->LargestHole(), KiB(20));
  test.pool->Free(high, {stream});
  EXPECT_EQ(test.pool->LargestHole(), KiB(24));
}

TEST(BlockPool, CountsLivePeakAndExtent) {
  PoolUnderTest test = MakePoolUnderTest(MiB(8), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  void* a = test.pool->Allocate(KiB(512), stream).value();
  void* b = test.pool->Allocate(KiB(512), stream).value();
  test.pool->Free(a, {stream});
  void* c = test.pool->Allocate(KiB(768), stream).value();
  TierStatistics statistics = test.pool->statistics();
  EXPECT_EQ(statistics.capacity, MiB(8));
  EXPECT_EQ(statistics.live, KiB(1280));
  EXPECT_EQ(statistics.live_peak, KiB(1280));
  EXPECT_EQ(statistics.extent_peak, KiB(1792)) << "with the hole below";
  EXPECT_EQ(statistics.reserved, MiB(2)) << "one growth step";
  EXPECT_EQ(statistics.locked, 0u);
  test.pool->Free(b, {stream});
  test.pool->Free(c, {stream});
  statistics = test.pool->statistics();
  EXPECT_EQ(statistics.live, 0u);
  EXPECT_EQ(statistics.live_peak, KiB(1280));
  EXPECT_EQ(statistics.extent_peak, KiB(1792));
}

TEST(BlockPool, BooksEveryByteOnce) {
  FakeDevice device;
  const Stream a = device.CreateStream("a").value();
  const Stream b = device.CreateStream("b").value();
  BlockPool pool({.source = MakeHostSource({.tier = Tier::kPageable, .capacity = MiB(8), .shape_only = true}).value(),
                  .device = &device});
  void* first = pool.Allocate(1000, a, trace::Tag::kActivation).value();
  void* second = pool.Allocate(KiB(64), a, trace::Tag::kActivation).value();
  void* third = pool.Allocate(KiB(4), b, trace::Tag::kGradient).value();
  const auto expect = [&](std::size_t live, std::size_t waste, std::size_t pending, std::size_t scattered) {
    const TierStatistics now = pool.Snapshot();
    EXPECT_EQ(now.live, live);
    EXPECT_EQ(now.waste, waste);
    EXPECT_EQ(now.pending, pending);
    EXPECT_EQ(now.scattered, scattered);
    EXPECT_EQ(now.live + now.waste + now.cached + now.pending, now.reserved);
  };
  expect(1000 + KiB(68), 24, 0, 0);
  pool.Free(second, {a});
  expect(1000 + KiB(4), 24, KiB(64), KiB(64));  // the work on `a` has not ended
  device.pending.clear();
  expect(1000 + KiB(4), 24, 0, KiB(64));
  const TierStatistics now = pool.statistics();
  ASSERT_EQ(now.tags.size(), 2u);
  EXPECT_STREQ(now.tags[0].tag, "gradients");
  EXPECT_EQ(now.tags[0].live, KiB(4));
  EXPECT_STREQ(now.tags[1].tag, "activations");
  EXPECT_EQ(now.tags[1].blocks, 1u);
  EXPECT_EQ(now.tags[1].live, 1000u);
  EXPECT_EQ(now.tags[1].waste, 24u);
  EXPECT_EQ(now.tags[1].at_peak, KiB(65)) << "when the tier held the most";
  pool.Free(first, {a});
  pool.Free(third, {b});
  expect(0, 0, MiB(2), 0);  // one range, as the block that was freed last joined it with the unused end
  device.pending.clear();
  expect(0, 0, 0, 0);
}

TEST(BlockPool, AlignsABlockAsAsked) {
  PoolUnderTest test = MakePoolUnderTest(MiB(1), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  (void)test.pool->Allocate(1, stream).value();
  void* page = test.pool->Allocate(KiB(1), stream, trace::Tag::kNone, 4096).value();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page) % 4096, 0u);
  EXPECT_EQ(test.OffsetOf(test.pool->Allocate(256, stream).value()), 256u) << "what was skipped is not lost";
  (void)test.pool->Allocate(256, stream).value();
  test.pool->Free(page, {stream});
  (void)test.pool->Allocate(KiB(1) + 256, stream, trace::Tag::kNone, 512).value();
  EXPECT_EQ(test.pool->Allocate(KiB(1), stream, trace::Tag::kNone, 4096).value(), page)
      << "a hole of that size at the alignment is enough";
  test.pool->CheckInvariants();
}

TEST(BlockPool, GrowsInStepsUpToAnOddCapacity) {
  const std::uint64_t capacity = MiB(5) + 3 * 256;
  PoolUnderTest test = MakePoolUnderTest(capacity, ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  EXPECT_EQ(test.pool->statistics().reserved, MiB(2));
  ASSERT_TRUE(test.pool->Allocate(MiB(3), stream).ok());
  EXPECT_EQ(test.pool->statistics().reserved, MiB(4));
  ASSERT_TRUE(test.pool->Allocate(MiB(2) + 3 * 256, stream).ok());
  EXPECT_EQ(test.pool->statistics().reserved, capacity);
  EXPECT_FALSE(test.pool->Allocate(1, stream).ok());
  test.pool->CheckInvariants();
}

TEST(BlockPool, TrimGivesTheUnusedEndBackInWholeSteps) {
  PoolUnderTest test = MakePoolUnderTest(MiB(16), {.kernel_threads = 1}, 1);
  const Stream stream = test.streams[0];
  void* low = test.pool->Allocate(MiB(1), stream).value();
  void* middle = test.pool->Allocate(MiB(4), stream).value();
  void* high = test.pool->Allocate(MiB(4), stream).value();
  EXPECT_EQ(test.pool->statistics().reserved, MiB(10));
  EXPECT_EQ(test.pool->Trim(), 0u) << "the last step holds live bytes";
  ASSERT_TRUE(test.device->Fill(high, 1, MiB(4), stream).ok());
  test.pool->Free(high, {stream});
  test.pool->Free(middle, {stream});
  EXPECT_EQ(test.pool->Trim(), MiB(8));
  EXPECT_EQ(test.pool->statistics().reserved, MiB(2));
  test.pool->CheckInvariants();
  EXPECT_EQ(test.OffsetOf(test.pool->Allocate(MiB(9), stream).value()), MiB(1)) << "it grows again";
  test.pool->Free(low, {stream});
  EXPECT_TRUE(test.device->SynchronizeStream(stream).ok());
}

TEST(BlockPool, ContainsWhatItReserved) {
  PoolUnderTest test = MakePoolUnderTest(MiB(16), ShapeOnly(), 1);
  int elsewhere = 0;
  EXPECT_TRUE(test.pool->Contains(test.base));
  EXPECT_TRUE(test.pool->Contains(test.base + MiB(2) - 1));
  EXPECT_FALSE(test.pool->Contains(test.base + MiB(2)));
  EXPECT_FALSE(test.pool->Contains(&elsewhere));
  EXPECT_FALSE(test.pool->Contains(nullptr));
}

TEST(BlockPool, ReportsAStreamThatDoesNotExistWhereItMustWait) {
  PoolUnderTest test = MakePoolUnderTest(KiB(4), {.kernel_threads = 1}, 1);
  void* block = test.pool->Allocate(KiB(4), test.streams[0]).value();
  test.pool->Free(block, {test.streams[0]});
  const Stream unknown{test.streams[0].device, 999};
  EXPECT_EQ(test.pool->Allocate(KiB(4), unknown).status().code(), StatusCode::kNotFound);
  test.pool->CheckInvariants();
  EXPECT_TRUE(test.pool->Allocate(KiB(4), test.streams[0]).ok());
}

TEST(BlockPool, ReusesMemoryOfAStreamThatIsGone) {
  PoolUnderTest test = MakePoolUnderTest(KiB(4), {.kernel_threads = 1}, 2);
  void* block = test.pool->Allocate(KiB(4), test.streams[0]).value();
  test.pool->Free(block, {test.streams[0]});
  ASSERT_TRUE(test.device->DestroyStream(test.streams[0]).ok());
  StatusOr<void*> again = test.pool->Allocate(KiB(4), test.streams[1]);
  ASSERT_TRUE(again.ok()) << again.status();
  test.pool->Free(*again, {test.streams[1]});
  test.pool->Forget(test.streams[1]);
  ASSERT_TRUE(test.device->DestroyStream(test.streams[1]).ok());
  const Stream third = test.device->CreateStream("third").value();
  EXPECT_TRUE(test.pool->Allocate(KiB(4), third).ok());
  EXPECT_TRUE(test.device->health().ok());
}

TEST(BlockPool, TracesWhatItHandsOutTakesBackAndRefuses) {
  const std::string path = testing::TempDir() + "block_pool_test." + std::to_string(getpid()) + ".tlt";
  std::unique_ptr<trace::Recorder> recorder = trace::Recorder::Open({.path = path}).value();
  {
    PoolUnderTest test = MakePoolUnderTest(MiB(3), ShapeOnly(), 1, recorder.get());
    const Stream stream = test.streams[0];
    void* low = test.pool->Allocate(1000, stream, trace::Tag::kSaved).value();
    void* high = test.pool->Allocate(MiB(2), stream, trace::Tag::kActivation).value();
    EXPECT_FALSE(test.pool->Allocate(MiB(1), stream, trace::Tag::kWorkspace).ok());
    test.pool->Free(high, {stream});
    EXPECT_EQ(test.pool->Trim(), MiB(1));
    test.pool->Free(low, {stream});
  }
  recorder.reset();
  const StatusOr<trace::Trace> trace = trace::ReadTraceFile(path);
  std::remove(path.c_str());
  ASSERT_TRUE(trace.ok()) << trace.status();
  std::vector<std::string> lines;
  for (const trace::Record& record : trace->records) {
    lines.push_back(std::string(trace::EventName(record.event)) + " " + trace::TagName(record.tag) + " " +
                    std::to_string(record.subject) + " " + std::to_string(record.value));
    EXPECT_EQ(record.detail, static_cast<std::uint16_t>(Tier::kDevice));
  }
  // The first three come from finding the base. Full: what is free (3 MiB - 1 KiB - 2 MiB) and what was asked.
  EXPECT_THAT(lines, testing::ElementsAre("pool reserve untagged 0 2097152", "pool allocate untagged 0 256",
                                          "pool free untagged 0 256", "pool allocate saved 0 1024",
                                          "pool reserve untagged 0 1048576", "pool allocate activations 1024 2097152",
                                          "pool full workspace 1047552 1048576", "pool free activations 1024 2097152",
                                          "pool release untagged 0 1048576", "pool free saved 0 1024"));
}

// A pool of pageable memory over streams that a FakeDevice has: what waits for what is all that is looked at.
std::unique_ptr<BlockPool> MakeHostPool(FakeDevice& device) {
  HostSourceOptions options;
  options.tier = Tier::kPageable;
  options.capacity = KiB(64);
  options.shape_only = true;
  return std::make_unique<BlockPool>(
      BlockPool::Options{.source = MakeHostSource(options).value(), .device = &device, .growth = KiB(4)});
}

TEST(BlockPool, AnotherStreamOfTheSameHandleWaits) {
  FakeDevice device;
  device.foreign = {7};
  device.numbers[7] = 100;
  const auto pool = MakeHostPool(device);
  void* block = pool->Allocate(KiB(1), {0, 7}).value();
  pool->Free(block, {Stream{0, 7}});
  device.numbers[7] = 101;  // destroyed, and made again at the same address
  EXPECT_EQ(pool->Allocate(KiB(1), {0, 7}).value(), block);
  EXPECT_EQ(device.waited.size(), 1u);
}

// A free names the streams that used the block. What the block was ordered after when it was handed out still counts.
TEST(BlockPool, AFreeForgetsNothingThatTheBlockWasOrderedAfter) {
  for (const bool hole : {false, true}) {
    for (const bool named : {false, true}) {
      FakeDevice device;
      const Stream first{0, 1}, second{0, 2}, third{0, 3};
      const auto pool = MakeHostPool(device);
      void* block = pool->Allocate(KiB(1), first).value();
      void* above = pool->Allocate(KiB(1), first).value();
      if (!hole) pool->Free(above, {});  // what is freed next joins the unused end
      pool->Free(block, {first});
      ASSERT_EQ(pool->Allocate(KiB(1), second).value(), block);
      EXPECT_THAT(device.log, testing::ElementsAre("record 1", "2 waits for 1"));
      // `second` used it for nothing; `third` has waited for nobody.
      if (named) {
        pool->Free(block, {third});
      } else {
        pool->Free(block, {});
      }
      device.log.clear();
      ASSERT_EQ(pool->Allocate(KiB(1), third).value(), block);
      EXPECT_THAT(device.log, testing::ElementsAre("3 waits for 1")) << "hole " << hole << ", named " << named;
      pool->CheckInvariants();
    }
  }
}

TEST(BlockPool, ABlockThatStaysOnItsStreamsWaitsForNothingMore) {
  FakeDevice device;
  const Stream first{0, 1}, second{0, 2};
  const auto pool = MakeHostPool(device);
  void* block = pool->Allocate(KiB(1), first).value();
  pool->Free(block, {first});
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(pool->Allocate(KiB(1), second).value(), block);
    pool->Free(block, {second});
  }
  EXPECT_THAT(device.log, testing::ElementsAre("record 1", "2 waits for 1"));
  ASSERT_EQ(pool->Allocate(KiB(1), first).value(), block);
  EXPECT_THAT(device.log, testing::ElementsAre("record 1", "2 waits for 1", "record 2", "1 waits for 2"));
}

TEST(BlockPool, ThreadsThatTakeTurnsGetTheSame) {
  for (const bool turns : {false, true}) {
    DeviceOptions options;
    options.emulated = ShapeOnly();
    const std::unique_ptr<DeviceBackend> device = MakeDevice(options).value();
    BlockPool pool(BlockPool::Options{
        .source = MakeDeviceSource(*device).value(), .device = device.get(), .threads_take_turns = turns});
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&pool, stream = device->CreateStream("thread").value()] {
        for (int time = 0; time < 20'000 / TIERLIB_RANDOM_SCALE; ++time) {
          pool.Free(pool.Allocate(KiB(1), stream).value(), {stream});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(pool.live_bytes(), 0u);
    EXPECT_LE(pool.statistics().extent_peak, KiB(2));
    pool.CheckInvariants();
  }
}

using BlockPoolDeathTest = testing::Test;

TEST(BlockPoolDeathTest, AbortsOnAFreeOfWhatIsNotALiveBlock) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  PoolUnderTest test = MakePoolUnderTest(MiB(1), ShapeOnly(), 1);
  const Stream stream = test.streams[0];
  auto* block = static_cast<std::byte*>(test.pool->Allocate(KiB(1), stream).value());
  EXPECT_DEATH(
      test.pool->Free(block + 256, {stream}),
      "free of .* is inside a block \\(interior pointer\\): byte 256 of 1024 bytes at offset 0 of the device pool "
      "\\(untagged\\)");
  EXPECT_DEATH(test.pool->Free(nullptr, {stream}), "free of .* is not from this device pool \\(foreign pointer\\)");
  int elsewhere = 0;
  EXPECT_DEATH(test.pool->Free(&elsewhere, {stream}), "foreign pointer");
  EXPECT_DEATH(test.pool->Free(block + MiB(1), {stream}), "foreign pointer") << "behind the end";
  EXPECT_DEATH((void)test.pool->BlockBytes(block + 1), "size of .* byte 1 of 1024 bytes");
  void* const last = test.pool->Allocate(1, stream).value();
  test.pool->Free(block, {stream});
  EXPECT_DEATH(test.pool->Free(block, {stream}), "double free of .*: offset 0 of this device pool is already free");
  EXPECT_DEATH((void)test.pool->BlockBytes(block), ": size of .*: offset 0 of this device pool is already free");
  test.pool->Free(last, {stream});
  EXPECT_DEATH(test.pool->Free(last, {stream}), "double free of .*: offset 1024") << "a part of the unused end";
}

}  // namespace
}  // namespace tierlib
