// The threaded schedule: copies beside kernels, the throttle, and the price of a launch.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "allocator/device_factory.h"
#include "base/clock.h"
#include "base/random.h"

namespace tierlib {
namespace {

std::unique_ptr<DeviceBackend> Make(EmulatedOptions emulated) {
  DeviceOptions options;
  options.capacity = MiB(64);
  options.emulated = emulated;
  return MakeDevice(options).value();
}

std::int64_t Elapsed(DeviceBackend& device, EventId from, EventId to) {
  return device.EventTimeNs(to) - device.EventTimeNs(from);
}

TEST(ThreadedSchedule, CopiesTakeLatencyAndBandwidth) {
  const auto device = Make(
      {.kernel_threads = 1, .copy_out_bytes_per_s = 100e6, .copy_in_bytes_per_s = 50e6, .copy_latency_ns = 2'000'000});
  const Stream stream = device->CreateStream("s").value();
  void* block = device->Reserve(MiB(1)).value();
  std::vector<std::uint8_t> host(1'000'000);
  const EventId begin = device->CreateEvent().value();
  const EventId middle = device->CreateEvent().value();
  const EventId end = device->CreateEvent().value();
  ASSERT_TRUE(device->RecordEvent(begin, stream).ok());
  ASSERT_TRUE(device->Copy({{host.data(), block, host.size()}}, CopyDirection::kDeviceToHost, stream).ok());
  ASSERT_TRUE(device->RecordEvent(middle, stream).ok());
  ASSERT_TRUE(device->Copy({{block, host.data(), host.size()}}, CopyDirection::kHostToDevice, stream).ok());
  ASSERT_TRUE(device->RecordEvent(end, stream).ok());
  ASSERT_TRUE(device->SynchronizeStream(stream).ok());
  // Never faster; how much later depends on what else the machine does.
  EXPECT_GE(Elapsed(*device, begin, middle), 12'000'000);
  EXPECT_GE(Elapsed(*device, middle, end), 22'000'000);
}

TEST(ThreadedSchedule, CopiesTakeTheJitterThatTheSeedDraws) {
  constexpr std::uint64_t kSeed = 7, kJitterNs = 3'000'000;
  const auto device = Make({.seed = kSeed, .kernel_threads = 1, .copy_jitter_ns = kJitterNs});
  const Stream stream = device->CreateStream("s").value();
  void* block = device->Reserve(MiB(1)).value();
  std::uint8_t host = 0;
  Random draws(kSeed);
  std::vector<EventId> events = {device->CreateEvent().value()};
  ASSERT_TRUE(device->RecordEvent(events[0], stream).ok());
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(device->Copy({{&host, block, 1}}, CopyDirection::kDeviceToHost, stream).ok());
    events.push_back(device->CreateEvent().value());
    ASSERT_TRUE(device->RecordEvent(events.back(), stream).ok());
  }
  ASSERT_TRUE(device->SynchronizeStream(stream).ok());
  for (std::size_t i = 1; i < events.size(); ++i) {
    EXPECT_GE(Elapsed(*device, events[i - 1], events[i]), static_cast<std::int64_t>(draws.UniformInt(kJitterNs + 1)));
  }
}

TEST(ThreadedSchedule, ThrottlesEachDirectionAlone) {
  const auto device = Make({.kernel_threads = 1, .copy_out_bytes_per_s = 50e6, .copy_in_bytes_per_s = 50e6});
  const Stream out = device->CreateStream("out").value();
  const Stream out_too = device->CreateStream("out too").value();
  const Stream in = device->CreateStream("in").value();
  auto* block = static_cast<std::byte*>(device->Reserve(MiB(4)).value());
  std::vector<std::uint8_t> host(3'000'000);
  const std::int64_t start_ns = NowNs();
  ASSERT_TRUE(device->Copy({{host.data(), block, 1'000'000}}, CopyDirection::kDeviceToHost, out).ok());
  ASSERT_TRUE(device->Copy({{host.data() + 1'000'000, block, 1'000'000}}, CopyDirection::kDeviceToHost, out_too).ok());
  ASSERT_TRUE(
      device->Copy({{block + MiB(2), host.data() + 2'000'000, 1'000'000}}, CopyDirection::kHostToDevice, in).ok());
  const auto ended_ns = [&](Stream stream) {
    EXPECT_TRUE(device->SynchronizeStream(stream).ok());
    return NowNs() - start_ns;
  };
  EXPECT_GE(ended_ns(in), 20'000'000);
  const std::int64_t both_ns = std::max(ended_ns(out), ended_ns(out_too));
  EXPECT_GE(both_ns, 40'000'000) << "two copies of one direction take turns";
}

TEST(ThreadedSchedule, CopiesRunBesideKernels) {
  const auto device = Make({.kernel_threads = 1});
  const Stream compute = device->CreateStream("compute").value();
  const Stream copies = device->CreateStream("copies").value();
  void* block = device->Reserve(4096).value();
  std::vector<std::uint8_t> host(4096);
  std::atomic<bool> copied{false};
  // This kernel ends only after a copy that was enqueued later.
  ASSERT_TRUE(device
                  ->Launch(compute, {"until copied",
                                     {},
                                     [&copied](KernelContext&) {
                                       while (!copied.load()) {
                                       }
                                     }})
                  .ok());
  ASSERT_TRUE(device->Copy({{host.data(), block, 4096}}, CopyDirection::kDeviceToHost, copies).ok());
  ASSERT_TRUE(device->SynchronizeStream(copies).ok());
  copied = true;
  ASSERT_TRUE(device->SynchronizeStream(compute).ok());
}

TEST(ThreadedSchedule, EventsOfAStreamThatIsBusyAreNotDone) {
  const auto device = Make({.kernel_threads = 1});
  const Stream busy = device->CreateStream("busy").value();
  const Stream idle = device->CreateStream("idle").value();
  const EventId event = device->CreateEvent().value();
  std::atomic<bool> go{false};
  std::atomic<bool> released{false};
  ASSERT_TRUE(device
                  ->Launch(busy, {"until told",
                                  {},
                                  [&go](KernelContext&) {
                                    while (!go.load()) {
                                    }
                                  }})
                  .ok());
  ASSERT_TRUE(device->RecordEvent(event, busy).ok());
  ASSERT_TRUE(device->WaitEvent(idle, event).ok());
  ASSERT_TRUE(device->Launch(idle, {"after", {}, [&](KernelContext&) { released = go.load(); }}).ok());
  EXPECT_FALSE(device->EventDone(event).value());
  EXPECT_EQ(device->EventTimeNs(event), 0);
  go = true;
  ASSERT_TRUE(device->SynchronizeEvent(event).ok());
  EXPECT_TRUE(device->EventDone(event).value());
  ASSERT_TRUE(device->SynchronizeStream(idle).ok());
  EXPECT_TRUE(released);
}

TEST(ThreadedSchedule, RunsTheKernelsOfAGraphOnceForEachLaunchInTheirOrder) {
  const auto device = Make({.kernel_threads = 1});
  const Stream compute = device->CreateStream("compute").value();
  const Stream side = device->CreateStream("side").value();
  const Stream users[] = {device->CreateStream("user").value(), device->CreateStream("other user").value()};
  const EventId event = device->CreateEvent().value();
  std::vector<int> order;  // by kernels alone, of which one runs at a time
  const auto launch = [&](Stream stream, int number) {
    ASSERT_TRUE(
        device->Launch(stream, {"note", {}, [&order, number](KernelContext&) { order.push_back(number); }}).ok());
  };
  ASSERT_TRUE(device->BeginCapture(compute).ok());
  launch(compute, 1);
  ASSERT_TRUE(device->RecordEvent(event, compute).ok());
  ASSERT_TRUE(device->WaitEvent(side, event).ok());
  launch(side, 2);
  ASSERT_TRUE(device->RecordEvent(event, side).ok());
  ASSERT_TRUE(device->WaitEvent(compute, event).ok());
  launch(compute, 3);
  const GraphId graph = device->EndCapture(compute).value();
  std::vector<int> expected;
  for (int i = 0; i < 100; ++i) {  // launches of one graph follow each other whatever their streams are
    ASSERT_TRUE(device->LaunchGraph(graph, users[i % 2]).ok());
    expected.insert(expected.end(), {1, 2, 3});
  }
  ASSERT_TRUE(device->DestroyGraph(graph).ok());  // waits for them
  EXPECT_EQ(order, expected);
}

}  // namespace
}  // namespace tierlib
