// What the emulated device promises beyond the contract, whatever its schedule: kernels, poison, options, refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "allocator/device_factory.h"
#include "base/clock.h"
#include "base/thread_pool.h"

namespace tierlib {
namespace {

std::unique_ptr<DeviceBackend> Make(EmulatedOptions emulated, std::uint64_t capacity = MiB(1)) {
  DeviceOptions options;
  options.capacity = capacity;
  options.emulated = emulated;
  return MakeDevice(options).value();
}

HostKernel Kernel(std::function<void(KernelContext&)> run) { return {"test", {}, std::move(run)}; }

class EmulatedDevice : public testing::TestWithParam<EmulatedSchedule> {
 protected:
  EmulatedOptions options() const { return {.schedule = GetParam(), .kernel_threads = 3}; }
};

TEST_P(EmulatedDevice, RunsKernelsOfOneStreamInOrderWithTheThreadsAsked) {
  const auto device = Make(options());
  const Stream stream = device->CreateStream("s").value();
  std::vector<int> order;
  int threads = 0;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(device
                    ->Launch(stream, Kernel([&order, &threads, i](KernelContext& context) {
                               order.push_back(i);
                               threads = context.pool.threads();
                             }))
                    .ok());
  }
  ASSERT_TRUE(device->SynchronizeStream(stream).ok());
  ASSERT_EQ(order.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(threads, 3);
}

TEST_P(EmulatedDevice, TimesKernelsOfAStreamBetweenItsEvents) {
  const auto device = Make(options());
  const Stream busy = device->CreateStream("busy").value();
  const Stream idle = device->CreateStream("idle").value();
  std::vector<EventId> events;
  for (int i = 0; i < 3; ++i) events.push_back(device->CreateEvent().value());
  std::int64_t ran_ns = 0;
  ASSERT_TRUE(device->RecordEvent(events[0], busy).ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(device
                    ->Launch(busy, Kernel([&](KernelContext&) {
                               const std::int64_t begin_ns = NowNs();
                               while (NowNs() < begin_ns + 100'000) {
                               }
                               ran_ns += NowNs() - begin_ns;
                             }))
                    .ok());
  }
  ASSERT_TRUE(device->RecordEvent(events[1], busy).ok());
  ASSERT_TRUE(device->WaitEvent(idle, events[1]).ok());
  ASSERT_TRUE(device->RecordEvent(events[2], idle).ok());
  ASSERT_TRUE(device->SynchronizeStream(idle).ok());
  EXPECT_EQ(device->EventKernelNs(events[0]), 0);
  EXPECT_GE(device->EventKernelNs(events[1]), ran_ns);
  EXPECT_LE(device->EventKernelNs(events[1]), device->EventTimeNs(events[1]) - device->EventTimeNs(events[0]));
  EXPECT_EQ(device->EventKernelNs(events[2]), 0);
}

TEST_P(EmulatedDevice, LetsKernelsOfSeveralStreamsTakeTurns) {
  const auto device = Make(options());
  std::vector<Stream> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(device->CreateStream("s").value());
  std::atomic<int> running{0};
  std::atomic<bool> together{false};
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE(device
                    ->Launch(streams[static_cast<std::size_t>(i % 4)], Kernel([&](KernelContext& context) {
                               if (running.fetch_add(1) != 0) together = true;
                               context.pool.ParallelFor(64, 1, [](std::int64_t, std::int64_t) {});
                               running.fetch_sub(1);
                             }))
                    .ok());
  }
  for (const Stream stream : streams) ASSERT_TRUE(device->SynchronizeStream(stream).ok());
  EXPECT_FALSE(together);
}

TEST_P(EmulatedDevice, WaitsForTheRecordingAsOfTheCall) {
  const auto device = Make(options());
  const Stream first = device->CreateStream("first").value();
  const Stream second = device->CreateStream("second").value();
  const EventId event = device->CreateEvent().value();
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> written{0};
    int seen = -1;
    ASSERT_TRUE(device->Launch(first, Kernel([&](KernelContext&) { written = 1; })).ok());
    ASSERT_TRUE(device->RecordEvent(event, first).ok());
    ASSERT_TRUE(device->WaitEvent(second, event).ok());
    // A new recording on a stream with nothing to do must not release the earlier wait.
    ASSERT_TRUE(device->RecordEvent(event, second).ok());
    ASSERT_TRUE(device->Launch(second, Kernel([&](KernelContext&) { seen = written; })).ok());
    ASSERT_TRUE(device->SynchronizeStream(second).ok());
    ASSERT_TRUE(device->SynchronizeStream(first).ok());
    ASSERT_EQ(seen, 1);
  }
}

TEST_P(EmulatedDevice, RefusesCallsFromInsideAKernel) {
  const auto device = Make(options());
  const Stream stream = device->CreateStream("s").value();
  const EventId event = device->CreateEvent().value();
  std::vector<StatusCode> codes;
  ASSERT_TRUE(device
                  ->Launch(stream, Kernel([&](KernelContext&) {
                             codes.push_back(device->Launch(stream, Kernel([](KernelContext&) {})).code());
                             codes.push_back(device->SynchronizeStream(stream).code());
                             codes.push_back(device->SynchronizeEvent(event).code());
                             codes.push_back(device->RecordEvent(event, stream).code());
                             codes.push_back(device->EventDone(event).status().code());
                             codes.push_back(device->DestroyStream(stream).code());
                           }))
                  .ok());
  ASSERT_TRUE(device->SynchronizeStream(stream).ok());
  EXPECT_THAT(codes, testing::ElementsAre(StatusCode::kFailedPrecondition, StatusCode::kFailedPrecondition,
                                          StatusCode::kFailedPrecondition, StatusCode::kFailedPrecondition,
                                          StatusCode::kFailedPrecondition, StatusCode::kFailedPrecondition));
}

TEST_P(EmulatedDevice, RunsWhatIsEnqueuedBeforeItGoes) {
  std::atomic<int> ran{0};
  {
    const auto device = Make(options());
    const Stream first = device->CreateStream("first").value();
    const Stream second = device->CreateStream("second").value();
    const EventId event = device->CreateEvent().value();
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(device->Launch(first, Kernel([&](KernelContext&) { ++ran; })).ok());
      ASSERT_TRUE(device->RecordEvent(event, first).ok());
      ASSERT_TRUE(device->WaitEvent(second, event).ok());
      ASSERT_TRUE(device->Launch(second, Kernel([&](KernelContext&) { ++ran; })).ok());
    }
  }
  EXPECT_EQ(ran, 200);
}

TEST_P(EmulatedDevice, DropsAKernelOnceItRan) {
  const auto device = Make(options());
  const Stream stream = device->CreateStream("s").value();
  auto held = std::make_shared<int>(7);
  ASSERT_TRUE(device->Launch(stream, Kernel([held](KernelContext&) {})).ok());
  ASSERT_TRUE(device->SynchronizeStream(stream).ok());
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(EmulatedDevice, BoundsItsQueues) {
  const auto device = Make(options());
  const Stream stream = device->CreateStream("s").value();
  std::atomic<int> ran{0};
  int furthest = 0;
  ASSERT_TRUE(device
                  ->Launch(stream, Kernel([](KernelContext&) {
                             const std::int64_t end_ns = NowNs() + 100'000'000;
                             while (NowNs() < end_ns) {
                             }
                           }))
                  .ok());
  for (int i = 0; i < 60'000; ++i) {
    ASSERT_TRUE(device->Launch(stream, Kernel([&ran](KernelContext&) { ++ran; })).ok());
    furthest = std::max(furthest, i - ran.load());
  }
  ASSERT_TRUE(device->SynchronizeStream(stream).ok());
  EXPECT_EQ(ran, 60'000);
  EXPECT_LE(furthest, 2 * 16'384);
}

TEST_P(EmulatedDevice, PoisonsFreshAndFreedBytesInStreamOrder) {
  EmulatedOptions poisoned = options();
  poisoned.poison = true;
  const auto device = Make(poisoned);
  const Stream stream = device->CreateStream("s").value();
  auto* block = static_cast<std::uint8_t*>(device->Reserve(1024).value());
  std::vector<std::vector<std::uint8_t>> host(3, std::vector<std::uint8_t>(1024));
  const auto read = [&](std::size_t i) {
    ASSERT_TRUE(device->Copy({{host[i].data(), block, 1024}}, CopyDirection::kDeviceToHost, stream).ok());
  };
  device->NoteBlock(block, 512, /*live=*/true, stream);
  read(0);
  ASSERT_TRUE(device->Fill(block, 9, 1024, stream).ok());
  read(1);
  device->NoteBlock(block, 512, /*live=*/false, stream);
  read(2);
  ASSERT_TRUE(device->SynchronizeStream(stream).ok());
  EXPECT_EQ(host[0][0], 0xCD);
  EXPECT_EQ(host[0][511], 0xCD);
  EXPECT_EQ(host[0][512], 0);
  EXPECT_EQ(host[1], std::vector<std::uint8_t>(1024, 9));
  EXPECT_EQ(host[2][511], 0xEF);
  EXPECT_EQ(host[2][512], 9);
}

INSTANTIATE_TEST_SUITE_P(All, EmulatedDevice,
                         testing::Values(EmulatedSchedule::kThreaded, EmulatedSchedule::kDeterministic),
                         [](const testing::TestParamInfo<EmulatedSchedule>& test) {
                           return test.param == EmulatedSchedule::kThreaded ? "Threaded" : "Deterministic";
                         });

TEST(EmulatedDeviceOptions, AreRefusedWithALineThatNamesThem) {
  const auto message = [](EmulatedOptions emulated, std::uint64_t capacity) {
    DeviceOptions options;
    options.capacity = capacity;
    options.emulated = emulated;
    const Status status = MakeDevice(options).status();
    EXPECT_FALSE(status.ok());
    return status.ToString();
  };
  using testing::HasSubstr;
  EXPECT_THAT(message({.strict = true}, MiB(1)),
              HasSubstr("INVALID_ARGUMENT: emulated.strict needs the deterministic"));
  EXPECT_THAT(message({.kernel_threads = -1}, MiB(1)), HasSubstr("kernel_threads -1: not in 0 to 1024"));
  EXPECT_THAT(message({.kernel_threads = 1025}, MiB(1)), HasSubstr("kernel_threads 1025"));
  EXPECT_THAT(message({.copy_out_bytes_per_s = -1}, MiB(1)), HasSubstr("bandwidth -1 B/s"));
  EXPECT_THAT(message({.copy_in_bytes_per_s = std::numeric_limits<double>::quiet_NaN()}, MiB(1)),
              HasSubstr("bandwidth nan B/s"));
  EXPECT_THAT(message({}, 0), HasSubstr("INVALID_ARGUMENT: device capacity 0 B"));
  EXPECT_THAT(message({}, std::uint64_t{1} << 50), HasSubstr("RESOURCE_EXHAUSTED: device capacity 1 PiB"));
  EXPECT_THAT(message({}, ~std::uint64_t{0}), HasSubstr("RESOURCE_EXHAUSTED: device capacity"));
  DeviceOptions negative;
  negative.device = -1;
  EXPECT_EQ(MakeDevice(negative).status().code(), StatusCode::kInvalidArgument);
}

TEST(EmulatedDeviceMemory, LeavesNoUseForAGapThatIsTooSmall) {
  const auto device = Make({.kernel_threads = 1}, KiB(64));
  void* first = device->Reserve(KiB(16)).value();
  void* second = device->Reserve(KiB(16)).value();
  void* third = device->Reserve(KiB(32)).value();
  ASSERT_TRUE(device->Release(second, KiB(16)).ok());
  EXPECT_EQ(device->Reserve(KiB(16) + 256).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(device->Reserve(KiB(16)).value(), second);
  ASSERT_TRUE(device->Release(first, KiB(16)).ok());
  ASSERT_TRUE(device->Release(third, KiB(32)).ok());
  EXPECT_EQ(device->Reserve(KiB(32)).value(), third) << "the unused end comes first";
  EXPECT_EQ(device->Reserve(KiB(16)).value(), first);
}

TEST(EmulatedDeviceMemory, KeepsTheBytesOfANeighbourOnTheSamePage) {
  const auto device = Make({.kernel_threads = 1}, KiB(64));
  auto* low = static_cast<std::uint8_t*>(device->Reserve(256).value());
  void* middle = device->Reserve(KiB(12)).value();
  auto* high = static_cast<std::uint8_t*>(device->Reserve(256).value());
  *low = 1;
  *high = 2;
  ASSERT_TRUE(device->Release(middle, KiB(12)).ok());
  EXPECT_EQ(*low, 1);
  EXPECT_EQ(*high, 2);
}

using EmulatedDeviceMemoryDeathTest = testing::Test;

TEST(EmulatedDeviceMemoryDeathTest, FaultsOnReleasedBytes) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto device = Make({.kernel_threads = 1}, KiB(64));
  auto* bytes = static_cast<volatile std::uint8_t*>(device->Reserve(KiB(16)).value());
  bytes[0] = 1;
  ASSERT_TRUE(device->Release(const_cast<std::uint8_t*>(bytes), KiB(16)).ok());
  EXPECT_DEATH(bytes[0] = 1, "");
}

}  // namespace
}  // namespace tierlib
