#include "pool_replay.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "allocator/pool_under_test.h"
#include "base/random.h"
#include "io/temporary_folder.h"
#include "replay/allocation_events.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

using Kind = AllocationEvent::Kind;

TEST(ReplayProgram, NumbersBlocksAndMendsWhatTheTraceLeavesOut) {
  const ReplayProgram program = Program({Free(7),
                                         Allocate(7, 100, 55),
                                         Allocate(7, 200, 66),
                                         Free(7),
                                         Free(7),
                                         {Kind::kFailure, 0, 300, 0},
                                         Allocate(8, 400, 55)});
  EXPECT_EQ(program.unknown_frees, 2u) << "before the first allocation, and twice";
  EXPECT_EQ(program.missing_frees, 1u);
  EXPECT_EQ(program.recorded_failures, 1u);
  EXPECT_EQ(program.allocations, 3u);
  EXPECT_EQ(program.frees, 2u);
  EXPECT_EQ(program.streams, 3u);
  ASSERT_EQ(program.steps.size(), 6u);
  const Kind kinds[] = {Kind::kAllocate, Kind::kFree, Kind::kAllocate, Kind::kFree, Kind::kFailure, Kind::kAllocate};
  const std::uint64_t blocks[] = {0, 0, 1, 1, 0, 2};
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(program.steps[i].kind, kinds[i]) << i;
    EXPECT_EQ(program.steps[i].block, blocks[i]) << i;
  }
  EXPECT_EQ(program.steps[5].stream, program.steps[0].stream);
}

TEST(ReplayProgram, ManyStreamsShareNumbers) {
  std::vector<AllocationEvent> events;
  for (std::uint64_t i = 0; i < 5000; ++i) events.push_back(Allocate(i + 1, 1, i * 1000));
  const ReplayProgram program = Program(std::move(events));
  EXPECT_EQ(program.streams, kStreamsMost);
  for (const auto& step : program.steps) ASSERT_LT(step.stream, kStreamsMost);
  EXPECT_TRUE(Replayed(program).repeated_equally);
}

TEST(PoolReplay, FiguresOfAKnownTrace) {
  // 0: 100 B, 1: 1000 B, 2: 256 B; 1 goes, leaving a hole; 3 takes its beginning; 4 does not fit into the rest.
  const ReplayResult result = Replayed(
      Program({Allocate(1, 100), Allocate(2, 1000), Allocate(3, 256), Free(2), Allocate(4, 300), Allocate(5, 4000)}),
      {.growth = KiB(1)});
  EXPECT_EQ(result.addresses, CrcOf({0, 256, 1280, 256, 1536}));
  EXPECT_EQ(result.operations, 6u);
  EXPECT_EQ(result.failures, 0u);
  EXPECT_EQ(result.live_at_end, 100u + 256 + 300 + 4000);
  EXPECT_EQ(result.peak.step, 6u);
  EXPECT_EQ(result.peak.live, 4656u);
  EXPECT_EQ(result.peak.rounding, 256u + 256 + 512 + 4096 - 4656);
  EXPECT_EQ(result.peak.reserved, 6144u);
  EXPECT_EQ(result.reserved_at_end, 6144u);
  // At the end 6,144 B are reserved: the hole of 512 B beside the 512 B behind block 4; before block 4, 4,864 B were
  // one.
  EXPECT_EQ(result.worst.step, 4u);
  EXPECT_EQ(result.worst.free, 6144u - 512);
  EXPECT_EQ(result.worst.largest_hole, 6144u - 1536);
  EXPECT_TRUE(result.repeated_equally);
  EXPECT_GT(result.ns_per_operation, 0);
}

TEST(PoolReplay, AFullPoolFailsAndGoesOn) {
  const ReplayResult result = Replayed(Program({Allocate(1, 3000),
                                                Allocate(2, 3000),
                                                Allocate(3, ~std::uint64_t{0}),
                                                Free(2),
                                                Free(1),
                                                {Kind::kFailure, 0, 4096, 0},
                                                {Kind::kFailure, 0, 4097, 0},
                                                Allocate(4, 4096),
                                                Free(3)}),
                                       {.capacity = KiB(4)});
  EXPECT_EQ(result.failures, 2u);
  EXPECT_EQ(result.first_failure, 2u);
  EXPECT_EQ(result.failed_bytes, ~std::uint64_t{0}) << "the sum stops there";
  EXPECT_EQ(result.recorded_failures_fit, 1u);
  EXPECT_EQ(result.addresses, CrcOf({0, ~std::uint64_t{0}, ~std::uint64_t{0}, 0}));
  EXPECT_EQ(result.live_at_end, 4096u);
  EXPECT_TRUE(result.repeated_equally);
}

TEST(PoolReplay, NothingIsAFineTrace) {
  const ReplayResult result = Replayed(Program({}));
  EXPECT_EQ(result.operations, 0u);
  EXPECT_EQ(result.peak.live, 0u);
  EXPECT_EQ(result.addresses, 0u);
  EXPECT_EQ(Replayed(Program({{Kind::kFailure, 0, 5, 0}})).recorded_failures_fit, 1u);
}

TEST(PoolReplay, SizesOfNothingAndBeyondEverything) {
  const std::uint64_t largest = ~std::uint64_t{0};
  const StatusOr<ReplayResult> result =
      Replay(Program({Allocate(1, 0), Allocate(2, largest), Allocate(3, largest - 300), Allocate(4, kCapacityMost * 2),
                      Allocate(5, 0), Allocate(6, kCapacityMost / 2)}),
             {});
  // Sanitizers leave a process a fraction of the addresses that it has otherwise.
  if (result.status().code() == StatusCode::kResourceExhausted) GTEST_SKIP() << result.status();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->failures, 3u);
  EXPECT_EQ(result->addresses, CrcOf({0, largest, largest, largest, 256, 512}));
}

TEST(PoolReplay, EqualForEveryTierAndAlways) {
  const ReplayProgram program = Program(RandomEvents(1, 20'000));
  const ReplayResult first = Replayed(program);
  EXPECT_TRUE(first.repeated_equally);
  EXPECT_EQ(first.failures, 0u);
  EXPECT_GE(first.peak.reserved, first.peak.live + first.peak.rounding);
  EXPECT_GT(first.worst.free, first.worst.largest_hole);
  for (const Tier tier : {Tier::kDevice, Tier::kPinned, Tier::kPageable}) {
    const ReplayResult again = Replayed(program, {.tier = tier});
    EXPECT_EQ(again.addresses, first.addresses) << TierName(tier);
    EXPECT_EQ(again.peak.reserved, first.peak.reserved) << TierName(tier);
    EXPECT_EQ(again.worst.free, first.worst.free) << TierName(tier);
    EXPECT_EQ(again.worst.largest_hole, first.worst.largest_hole) << TierName(tier);
  }
  const ReplayResult coarse = Replayed(program, {.alignment = 4096});
  EXPECT_NE(coarse.addresses, first.addresses);
  EXPECT_GT(coarse.peak.rounding, first.peak.rounding);
  EXPECT_EQ(coarse.peak.live, first.peak.live);
}

TEST(PoolReplay, TwoRunsAgreeWhateverTheConfiguration) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const ReplayProgram program = Program(RandomEvents(seed, 2000));
    for (const PoolConfiguration& pool :
         std::vector<PoolConfiguration>{{.growth = 1},
                                        {.growth = 1000},
                                        {.alignment = 1},
                                        {.alignment = MiB(4)},
                                        {.capacity = MiB(1)},
                                        {.capacity = MiB(3) + 77, .alignment = 8192, .growth = 5000},
                                        {.capacity = KiB(4), .alignment = MiB(1)},
                                        {.tier = Tier::kPinned, .capacity = MiB(1) + 5, .growth = 3}}) {
      const ReplayResult result = Replayed(program, pool);
      EXPECT_TRUE(result.repeated_equally) << "seed " << seed << " alignment " << pool.alignment;
    }
  }
}

// The pool's own trace of a run, replayed, gives the addresses of the run.
TEST(PoolReplay, GivesTheAddressesThatATierlibTraceRecorded) {
  TemporaryFolder folder;
  std::vector<std::uint64_t> offsets;
  {
    const auto recorder = trace::Recorder::Open({.path = folder / "run.tlt"}).value();
    PoolUnderTest test = MakePoolUnderTest(MiB(64), ShapeOnly(), 2, recorder.get());
    offsets.push_back(0);  // of the block by which the test finds the base
    std::vector<void*> live;
    Random random(5);
    for (int i = 0; i < 3000; ++i) {
      if (!live.empty() && random.UniformInt(2) == 0) {
        std::swap(live[random.UniformInt(live.size())], live.back());
        test.pool->Free(live.back(), {test.streams[random.UniformInt(2)]});
        live.pop_back();
      } else {
        live.push_back(test.pool->Allocate(random.UniformInt(100'000), test.streams[random.UniformInt(2)]).value());
        offsets.push_back(test.OffsetOf(live.back()));
      }
    }
    for (void* block : live) test.pool->Free(block, {test.streams[0]});
  }
  const auto trace = ReadTierlibTrace(ReadWhole(folder / "run.tlt"), {});
  ASSERT_TRUE(trace.ok()) << trace.status();
  const ReplayResult result = Replayed(MakeProgram(*trace));
  EXPECT_EQ(result.addresses, CrcOf(offsets));
  EXPECT_EQ(result.live_at_end, 0u);
}

TEST(PoolReplay, AnImpossiblePoolIsRefused) {
  EXPECT_FALSE(Replay(Program({Allocate(1, 1)}), {.capacity = 1}).ok());
  EXPECT_FALSE(Replay(Program({Allocate(1, 1)}), {.capacity = std::uint64_t{1} << 63}).ok());
}

}  // namespace
}  // namespace tierlib::trace_replay
