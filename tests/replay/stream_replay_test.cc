// Streams of a tierlib trace: what a pool recorded of them is what a replay gets.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "allocator/memory_source.h"
#include "allocator/pool_under_test.h"
#include "base/random.h"
#include "io/temporary_folder.h"
#include "lagging_device.h"
#include "replay/allocation_events.h"
#include "trace/recorder.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

using Kind = AllocationEvent::Kind;

TEST(StreamReplay, EveryEventHasItsStreams) {
  TemporaryFolder folder;
  constexpr std::uint64_t kStreams = 4;
  std::vector<std::vector<std::uint64_t>> used = {{1}, {1}};  // by event: the test's own block comes first
  {
    const auto recorder = trace::Recorder::Open({.path = folder / "run.tlt"}).value();
    PoolUnderTest test = MakePoolUnderTest(MiB(64), ShapeOnly(), kStreams, recorder.get());
    std::vector<void*> live;
    Random random(11);
    for (int i = 0; i < 3000; ++i) {
      if (live.size() < 5 || (live.size() < 100 && random.UniformInt(2) == 0)) {
        const std::uint64_t stream = random.UniformInt(kStreams);
        live.push_back(test.pool->Allocate(1 + random.UniformInt(100'000), test.streams[stream]).value());
        used.push_back({stream + 1});
        continue;
      }
      std::swap(live[random.UniformInt(live.size())], live.back());
      std::vector<Stream> streams;
      used.emplace_back();
      for (std::uint64_t stream = 0; stream < kStreams; ++stream) {
        if (stream > 0 && random.UniformInt(3) > 0) continue;
        streams.push_back(test.streams[stream]);
        used.back().push_back(stream + 1);
      }
      test.pool->Free(live.back(), streams);
      live.pop_back();
    }
    for (void* block : live) {
      test.pool->Free(block, {test.streams[0]});
      used.push_back({1});
    }
  }
  const auto trace = ReadTierlibTrace(ReadWhole(folder / "run.tlt"), {});
  ASSERT_TRUE(trace.ok()) << trace.status();
  ASSERT_EQ(trace->events.size(), used.size());
  std::vector<std::vector<std::uint64_t>> read;
  for (const AllocationEvent& event : trace->events) read.push_back({event.stream});
  for (const AllocationTrace::FurtherStream& further : trace->further) read[further.event].push_back(further.stream);
  EXPECT_EQ(read, used);
  const ReplayProgram program = MakeProgram(*trace);
  EXPECT_EQ(program.streams, kStreams);
  // Where the device is behind, a replay of all on one stream would find nothing to wait for, and nothing to spare.
  const ReplayResult result = Replayed(program, {.lag = 100});
  EXPECT_GT(result.waits, 0u);
  EXPECT_NE(Replayed(program, {.spare_bytes = MiB(1), .lag = 100}).addresses, result.addresses);
  EXPECT_LT(Replayed(program, {.spare_bytes = MiB(1), .lag = 100}).waits, result.waits);
}

// A run with spare memory on a device that never gets anything done: its trace says all that decided the addresses.
TEST(StreamReplay, ReplaysTheSpareMemoryOfARun) {
  constexpr std::uint64_t kForever = 1'000'000;
  constexpr std::size_t kSpare = MiB(2);
  TemporaryFolder folder;
  std::vector<std::uint64_t> offsets;
  {
    const auto recorder = trace::Recorder::Open({.path = folder / "run.tlt"}).value();
    LaggingDevice device(MakeDevice({.capacity = MiB(64), .emulated = ShapeOnly()}).value(), kForever, 0);
    std::vector<Stream> streams;
    for (const char* name : {"a", "b", "c"}) streams.push_back(device.CreateStream(name).value());
    std::unique_ptr<MemorySource> source = MakeDeviceSource(device).value();
    const MemorySource& memory = *source;
    BlockPool pool(BlockPool::Options{
        .source = std::move(source), .device = &device, .spare_bytes = kSpare, .recorder = recorder.get()});
    std::vector<void*> live;
    Random random(12);
    for (int i = 0; i < 2000; ++i) {
      if (live.size() < 5 || (live.size() < 50 && random.UniformInt(2) == 0)) {
        live.push_back(pool.Allocate(1 + random.UniformInt(100'000), streams[random.UniformInt(3)]).value());
        offsets.push_back(static_cast<std::uint64_t>(static_cast<std::byte*>(live.back()) - memory.base()));
        continue;
      }
      std::swap(live[random.UniformInt(live.size())], live.back());
      const std::size_t first = random.UniformInt(3);
      const Stream both[] = {streams[first], streams[(first + 1) % 3]};
      pool.Free(live.back(), {both, 1 + random.UniformInt(2)});
      for (const Stream stream : streams) pool.Tick(stream);
      live.pop_back();
    }
    for (void* block : live) pool.Free(block, {streams[0]});
  }
  const auto trace = ReadTierlibTrace(ReadWhole(folder / "run.tlt"), {});
  ASSERT_TRUE(trace.ok()) << trace.status();
  const ReplayProgram program = MakeProgram(*trace);
  EXPECT_EQ(Replayed(program, {.spare_bytes = kSpare, .lag = kForever}).addresses, CrcOf(offsets));
  EXPECT_NE(Replayed(program, {.spare_bytes = kSpare}).addresses, CrcOf(offsets));
}

}  // namespace
}  // namespace tierlib::trace_replay
