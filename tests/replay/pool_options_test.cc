// Each option of a pool does in a replay what it does in a program.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "replay/allocation_events.h"

namespace tierlib::trace_replay {
namespace {

constexpr std::uint64_t kFailed = ~std::uint64_t{0};

std::vector<std::int64_t> Every(std::int64_t ns, std::size_t count) {
  std::vector<std::int64_t> times;
  for (std::size_t i = 0; i < count; ++i) times.push_back(static_cast<std::int64_t>(i) * ns);
  return times;
}

TEST(PoolOptions, GranularityRoundsWhatIsReserved) {
  const ReplayProgram program = Program({Allocate(1, 1000), Allocate(2, MiB(3))});
  EXPECT_EQ(Replayed(program, {.growth = 1}).reserved_most, 1024u + MiB(3));
  const ReplayResult coarse = Replayed(program, {.growth = 1, .granularity = MiB(2)});
  EXPECT_EQ(coarse.reserved_most, MiB(4));
  EXPECT_EQ(coarse.addresses, CrcOf({0, 1024}));
  // A capacity is what whole pieces of the granularity it holds.
  EXPECT_EQ(Replayed(program, {.capacity = MiB(3) + KiB(2), .growth = 1}).failures, 0u);
  EXPECT_EQ(Replayed(program, {.capacity = MiB(3) + KiB(2), .growth = 1, .granularity = MiB(2)}).failures, 1u);
}

TEST(PoolOptions, MallocTakesTheWholeCapacity) {
  const ReplayProgram program = Program({Allocate(1, 1000), Free(1)});
  const ReplayResult whole = Replayed(program, {.capacity = MiB(32), .backing = DeviceBacking::kMalloc});
  EXPECT_EQ(whole.reserved_most, MiB(32));
  EXPECT_EQ(whole.peak.reserved, MiB(32));
  EXPECT_EQ(Replayed(program, {.capacity = MiB(32), .backing = DeviceBacking::kManaged}).reserved_most, MiB(2));
}

TEST(PoolOptions, SpareMemoryIsTakenRatherThanWaitedFor) {
  // Block 1 is freed on stream 0. Stream 1 would have to wait for its place, stream 0 would not.
  const auto program = [](std::uint64_t stream) {
    return Program({Allocate(1, 256), Allocate(2, 256), Free(1, 0), Allocate(3, 256, stream)});
  };
  const std::uint32_t reused = CrcOf({0, 256, 0});
  const std::uint32_t unused = CrcOf({0, 256, 512});
  const ReplayResult waits = Replayed(program(1), {.lag = 10});
  EXPECT_EQ(waits.addresses, reused);
  EXPECT_EQ(waits.waits, 1u);
  const ReplayResult spares = Replayed(program(1), {.spare_bytes = KiB(4), .lag = 10});
  EXPECT_EQ(spares.addresses, unused);
  EXPECT_EQ(spares.waits, 0u);
  EXPECT_EQ(Replayed(program(1), {.spare_bytes = 255, .lag = 10}).addresses, reused) << "256 bytes would lie free";
  EXPECT_EQ(Replayed(program(0), {.spare_bytes = KiB(4), .lag = 10}).addresses, reused) << "the same stream";
  EXPECT_EQ(Replayed(program(1), {.spare_bytes = KiB(4)}).addresses, reused) << "the work has ended";
}

TEST(PoolOptions, TheDeviceIsTheLagBehind) {
  // Stream 1 asks for what stream 0 freed one operation before, and has a hole with what it freed earlier.
  const ReplayProgram program =
      Program({Allocate(1, 256), Allocate(2, 256), Free(1, 0), Allocate(3, 512), Free(2, 0), Allocate(4, 256, 1)});
  for (const std::uint64_t lag : {0, 1}) {
    EXPECT_EQ(Replayed(program, {.spare_bytes = KiB(4), .lag = lag}).addresses, CrcOf({0, 256, 512, 0})) << lag;
  }
  for (const std::uint64_t lag : {2, 50}) {
    EXPECT_EQ(Replayed(program, {.spare_bytes = KiB(4), .lag = lag}).addresses, CrcOf({0, 256, 512, 1024})) << lag;
  }
}

TEST(PoolOptions, AFreeComesAfterAllItsStreams) {
  AllocationTrace trace;
  trace.events = {Allocate(1, 256), Allocate(2, 256), Free(1, 0), Allocate(3, 256, 0)};
  EXPECT_EQ(Replayed(MakeProgram(trace), {.lag = 10}).waits, 0u);
  trace.further = {{2, 7}, {2, 8}};
  const ReplayProgram program = MakeProgram(trace);
  EXPECT_EQ(program.streams, 3u);
  EXPECT_EQ(Replayed(program, {.lag = 10}).waits, 2u) << "for streams 7 and 8";
}

TEST(PoolOptions, FreeMemoryBeyondTheLimitGoesBackAtTheEndOfAStep) {
  const ReplayProgram program = Program({Allocate(1, MiB(2)), Allocate(2, MiB(2)), Allocate(3, MiB(2)), Free(3),
                                         Free(2), StepEnd(), Allocate(4, MiB(2))});
  const ReplayResult unbounded = Replayed(program);
  EXPECT_EQ(unbounded.given_back, 0u);
  EXPECT_EQ(unbounded.reserved_at_end, MiB(6));
  const ReplayResult bounded = Replayed(program, {.cached_limit = MiB(2)});
  EXPECT_EQ(bounded.given_back, MiB(2));
  EXPECT_EQ(bounded.reserved_most, MiB(6));
  EXPECT_EQ(bounded.reserved_at_end, MiB(4));
  EXPECT_EQ(bounded.addresses, unbounded.addresses);
  EXPECT_EQ(Replayed(program, {.cached_limit = 0}).reserved_at_end, MiB(4));
  EXPECT_EQ(Replayed(program, {.lag = 100, .cached_limit = 0}).given_back, 0u) << "work still uses it";
}

TEST(PoolOptions, StepsEndAfterSoManyOperations) {
  const ReplayProgram program = Program({Allocate(1, MiB(2)), Allocate(2, MiB(2)), Free(2), Allocate(3, 1), Free(3)});
  EXPECT_EQ(Replayed(program, {.cached_limit = 0, .step_operations = 3}).given_back, MiB(2));
  EXPECT_EQ(Replayed(program, {.cached_limit = 0, .step_operations = 1}).given_back, 2 * MiB(2));
  EXPECT_EQ(Replayed(program, {.cached_limit = 0, .step_operations = 4}).given_back, 0u);
}

TEST(PoolOptions, MemoryGoesBackWhenItIsOldByTheTracesClock) {
  const std::vector<AllocationEvent> events = {Allocate(1, MiB(2)), Allocate(2, MiB(2)), Free(2),
                                               StepEnd(),           StepEnd(),           StepEnd()};
  const auto given_back = [&events](std::int64_t apart_ns, std::int64_t age_ns) {
    return Replayed(Program(events, Every(apart_ns, events.size())), {.cached_age_ns = age_ns}).given_back;
  };
  EXPECT_EQ(given_back(1000, 1000), MiB(2));
  EXPECT_EQ(given_back(1000, 2000), MiB(2)) << "at the end of the third step, two after the first look";
  EXPECT_EQ(given_back(1000, 2001), 0u);
  EXPECT_EQ(given_back(1000, 1'000'000), 0u);
}

TEST(PoolOptions, TimesThatFallStandStill) {
  const ReplayProgram program =
      Program({Allocate(1, 1), Allocate(2, 1), Free(1), Free(2)}, {INT64_MIN, INT64_MIN + 7, INT64_MIN + 3, INT64_MAX});
  EXPECT_TRUE(program.has_times);
  std::vector<std::int64_t> times;
  for (const ReplayProgram::Step& step : program.steps) times.push_back(step.time_ns);
  EXPECT_EQ(times, (std::vector<std::int64_t>{0, 7, 7, 7})) << "the last one is centuries later than there is room for";
}

TEST(PoolOptions, ATagHasItsLimit) {
  const ReplayProgram program =
      Program({Allocate(1, 1000, 0, trace::Tag::kSaved), Allocate(2, 1000, 0, trace::Tag::kSaved),
               Allocate(3, 1000, 0, trace::Tag::kActivation), Failure(1000, trace::Tag::kSaved),
               Failure(1000, trace::Tag::kActivation), Free(1), Allocate(4, 1000, 0, trace::Tag::kSaved)});
  PoolConfiguration pool{.capacity = MiB(2)};
  EXPECT_EQ(Replayed(program, pool).failures, 0u);
  pool.tag_limits[static_cast<std::size_t>(trace::Tag::kSaved)] = 2047;  // of 1,024 bytes each, rounded
  const ReplayResult limited = Replayed(program, pool);
  EXPECT_EQ(limited.failures, 1u);
  EXPECT_EQ(limited.tag_limit_failures, 1u);
  EXPECT_EQ(limited.first_failure, 2u);
  EXPECT_EQ(limited.recorded_failures_fit, 1u) << "the one of another tag";
  EXPECT_EQ(limited.addresses, CrcOf({0, kFailed, 1024, 0}));
  pool.tag_limits[static_cast<std::size_t>(trace::Tag::kSaved)] = 2048;
  EXPECT_EQ(Replayed(program, pool).failures, 0u);
}

TEST(PoolOptions, HardenedBlocksHaveGuardsAndAQuarantine) {
  const std::vector<AllocationEvent> events = {Allocate(1, 256), Free(1), Allocate(2, 256), Free(2), Allocate(3, 256)};
  EXPECT_EQ(Replayed(Program(events)).addresses, CrcOf({0, 0, 0}));
  const PoolConfiguration pool{.capacity = MiB(2), .hardened = true};
  const ReplayResult held = Replayed(Program(events), pool);
  EXPECT_EQ(held.addresses, CrcOf({256, 1024, 1792})) << "a guard before each, and none of them used again";
  EXPECT_EQ(held.peak.live, 256u);
  EXPECT_EQ(held.peak.rounding, 512u) << "the guards of the first one";
  PoolConfiguration small = pool;
  small.quarantine = 0;
  EXPECT_EQ(Replayed(Program(events), small).addresses, CrcOf({256, 256, 256}));
  // What is in quarantine is given up before a request fails.
  PoolConfiguration tight = pool;
  tight.capacity = KiB(64);  // so 8 KiB may be in quarantine
  const ReplayResult full =
      Replayed(Program({Allocate(1, KiB(6)), Free(1), Allocate(2, KiB(58)), Allocate(3, KiB(6))}), tight);
  EXPECT_EQ(full.addresses, CrcOf({256, 256, kFailed}));
}

TEST(PoolOptions, TurnsChangeNothingButTheTime) {
  const ReplayProgram program = Program(RandomEvents(3, 2000));
  EXPECT_EQ(Replayed(program, {.threads_take_turns = true}).addresses, Replayed(program).addresses);
}

TEST(PoolOptions, TwoRunsAgreeWhateverTheOptions) {
  for (std::uint64_t seed = 1; seed <= 40 / TIERLIB_RANDOM_SCALE + 4; ++seed) {
    Random random(seed);
    const std::vector<AllocationEvent> events = RandomEvents(seed, 2000);
    const ReplayProgram program = Program(events, Every(1000, events.size()));
    PoolConfiguration pool;
    pool.tier = random.UniformInt(2) == 0 ? Tier::kDevice : Tier::kPinned;
    if (random.UniformInt(2) == 0) pool.capacity = MiB(1 + random.UniformInt(8));
    pool.alignment = std::size_t{1} << random.UniformInt(14);
    pool.growth = random.UniformInt(MiB(4));
    pool.lag = random.UniformInt(200);
    if (pool.tier == Tier::kDevice) {
      pool.spare_bytes = random.UniformInt(MiB(4));
      pool.granularity = std::size_t{256} << random.UniformInt(13);
    }
    if (random.UniformInt(2) == 0) pool.cached_limit = random.UniformInt(MiB(2));
    if (random.UniformInt(2) == 0) pool.cached_age_ns = static_cast<std::int64_t>(1 + random.UniformInt(500'000));
    if (pool.has_cache_bounds()) pool.step_operations = random.UniformInt(100);
    if (random.UniformInt(2) == 0) pool.tag_limits[static_cast<std::size_t>(trace::Tag::kSaved)] = MiB(2);
    pool.hardened = random.UniformInt(3) == 0;
    pool.quarantine = random.UniformInt(MiB(1));
    const std::string what = "seed " + std::to_string(seed) + ": " + DescribePool(pool) + ", " + DescribeOptions(pool);
    const ReplayResult first = Replayed(program, pool);
    const ReplayResult second = Replayed(program, pool);
    EXPECT_TRUE(first.repeated_equally) << what;
    EXPECT_EQ(first.addresses, second.addresses) << what;
    EXPECT_EQ(first.waits, second.waits) << what;
    EXPECT_EQ(first.given_back, second.given_back) << what;
    EXPECT_EQ(first.peak.reserved, second.peak.reserved) << what;
    EXPECT_EQ(first.peak.rounding, second.peak.rounding) << what;
    EXPECT_EQ(first.worst.largest_hole, second.worst.largest_hole) << what;
    EXPECT_GE(first.peak.reserved, first.peak.live + first.peak.rounding) << what;
    EXPECT_GE(first.reserved_most, first.peak.reserved) << what;
    EXPECT_LE(first.worst.largest_hole, first.worst.free) << what;
  }
}

TEST(PoolOptions, WhatIsNoPoolIsRefusedByTheNameOfItsFlag) {
  const auto refusal = [](const PoolConfiguration& pool) {
    return std::string(Replay(Program({Allocate(1, 1)}), pool).status().message());
  };
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal({.granularity = 100}).find("--granularity: a power of two"), 0u);
  EXPECT_EQ(refusal({.capacity = MiB(1), .granularity = MiB(2)}).find("--granularity: 2 MiB is more than"), 0u);
  EXPECT_EQ(refusal({.tier = Tier::kPinned, .granularity = 256}).find("--granularity is for --tier device"), 0u);
  EXPECT_EQ(refusal({.tier = Tier::kFile, .spare_bytes = 1}).find("--spare is for --tier device"), 0u);
  EXPECT_EQ(refusal({.tier = Tier::kPageable, .backing = DeviceBacking::kManaged}).find("--backing is for"), 0u);
  EXPECT_EQ(refusal({.backing = DeviceBacking::kMalloc}).find("--backing malloc takes the whole capacity"), 0u);
  EXPECT_EQ(refusal({.capacity = MiB(1), .backing = DeviceBacking::kMalloc, .cached_limit = 0})
                .find("--backing malloc gives nothing back"),
            0u);
  EXPECT_EQ(refusal({.backing = DeviceBacking::kMallocAsync}).find("--backing malloc-async: "), 0u);
  EXPECT_EQ(refusal({.cached_limit = 0}).find("--cached-limit is looked at when a step ends"), 0u);
  EXPECT_EQ(refusal({.cached_age_ns = 1, .step_operations = 1}).find("--cached-age goes by the times"), 0u);
  EXPECT_EQ(refusal({.cached_age_ns = -1}).find("--cached-age: not less than 0"), 0u);
  EXPECT_EQ(refusal({.step_operations = 1}).find("--step-operations does nothing"), 0u);
}

}  // namespace
}  // namespace tierlib::trace_replay
