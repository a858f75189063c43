// The deterministic schedule: the same order for the same seed, other orders for others, and unfair enough that a
// missing wait shows.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "allocator/device_factory.h"

namespace tierlib {
namespace {

std::unique_ptr<DeviceBackend> Make(std::uint64_t seed) {
  DeviceOptions options;
  options.capacity = MiB(1);
  options.emulated = {.schedule = EmulatedSchedule::kDeterministic, .seed = seed, .kernel_threads = 1, .poison = true};
  return MakeDevice(options).value();
}

// The order in which the kernels of three streams ran, with events between them and queries in between.
std::string Order(std::uint64_t seed) {
  const auto device = Make(seed);
  std::vector<Stream> streams;
  for (const char* name : {"a", "b", "c"}) streams.push_back(device->CreateStream(name).value());
  const EventId event = device->CreateEvent().value();
  std::string order;
  for (std::size_t i = 0; i < 60; ++i) {
    const char letter = static_cast<char>('a' + i % 3);
    EXPECT_TRUE(
        device->Launch(streams[i % 3], {"k", {}, [&order, letter](KernelContext&) { order.push_back(letter); }}).ok());
    if (i % 10 == 0) {
      EXPECT_TRUE(device->RecordEvent(event, streams[i % 3]).ok());
    }
    if (i % 7 == 0) {
      EXPECT_TRUE(device->EventDone(event).ok());
    }
    if (i % 25 == 0) {
      EXPECT_TRUE(device->WaitEvent(streams[(i + 1) % 3], event).ok());
    }
  }
  for (const Stream stream : streams) EXPECT_TRUE(device->SynchronizeStream(stream).ok());
  return order;
}

TEST(DeterministicSchedule, RunsInTheSameOrderForTheSameSeed) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) EXPECT_EQ(Order(seed), Order(seed)) << "seed " << seed;
}

TEST(DeterministicSchedule, RunsInOtherOrdersForOtherSeeds) {
  std::set<std::string> orders;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) orders.insert(Order(seed));
  EXPECT_EQ(orders.size(), 40u);
}

// What a kernel reads of a copy that it did not wait for.
enum class Saw { kOld, kPoison, kNew };

Saw ReadWithoutWaiting(std::uint64_t seed, bool wait) {
  const auto device = Make(seed);
  const Stream copies = device->CreateStream("copies").value();
  const Stream compute = device->CreateStream("compute").value();
  const EventId copied = device->CreateEvent().value();
  auto* block = static_cast<std::uint8_t*>(device->Reserve(256).value());
  const std::vector<std::uint8_t> host(256, 1);
  std::uint8_t seen = 0;
  EXPECT_TRUE(device->Fill(block, 7, 256, copies).ok());
  EXPECT_TRUE(device->SynchronizeStream(copies).ok());
  EXPECT_TRUE(device->Copy({{block, host.data(), 256}}, CopyDirection::kHostToDevice, copies).ok());
  EXPECT_TRUE(device->RecordEvent(copied, copies).ok());
  if (wait) {
    EXPECT_TRUE(device->WaitEvent(compute, copied).ok());
  }
  EXPECT_TRUE(device->Launch(compute, {"read", {}, [&](KernelContext&) { seen = *block; }}).ok());
  EXPECT_TRUE(device->SynchronizeStream(compute).ok());
  EXPECT_TRUE(device->SynchronizeStream(copies).ok());
  return seen == 7 ? Saw::kOld : seen == 0xFF ? Saw::kPoison : Saw::kNew;
}

TEST(DeterministicSchedule, AMissingWaitShowsInManySeeds) {
  int old = 0;
  int poison = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    EXPECT_EQ(ReadWithoutWaiting(seed, /*wait=*/true), Saw::kNew) << "seed " << seed;
    const Saw saw = ReadWithoutWaiting(seed, /*wait=*/false);
    old += saw == Saw::kOld ? 1 : 0;
    poison += saw == Saw::kPoison ? 1 : 0;
  }
  EXPECT_GT(old, 10);
  EXPECT_GT(poison, 10);
}

TEST(DeterministicSchedule, LetsACopyLagBehind) {
  std::size_t furthest = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const auto device = Make(seed);
    const Stream copies = device->CreateStream("copies").value();
    const Stream compute = device->CreateStream("compute").value();
    auto* block = static_cast<std::uint8_t*>(device->Reserve(256).value());
    std::vector<std::uint8_t> host(256, 0);
    std::size_t ran = 0;
    EXPECT_TRUE(device->Copy({{host.data(), block, 256}}, CopyDirection::kDeviceToHost, copies).ok());
    const EventId copied = device->CreateEvent().value();
    EXPECT_TRUE(device->RecordEvent(copied, copies).ok());
    while (!device->EventDone(copied).value()) {
      EXPECT_TRUE(device->Launch(compute, {"k", {}, [&ran](KernelContext&) { ++ran; }}).ok());
    }
    furthest = std::max(furthest, ran);
    EXPECT_TRUE(device->SynchronizeStream(compute).ok());
  }
  EXPECT_GE(furthest, 5u) << "kernels that ran while one copy did not";
}

TEST(DeterministicSchedule, PollingAnEventEndsEvenWithNothingElseToDo) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto device = Make(seed);
    const Stream stream = device->CreateStream("s").value();
    const EventId event = device->CreateEvent().value();
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(device->Launch(stream, {"k", {}, [](KernelContext&) {}}).ok());
    EXPECT_TRUE(device->RecordEvent(event, stream).ok());
    int queries = 0;
    while (!device->EventDone(event).value()) ASSERT_LT(++queries, 100'000);
  }
}

}  // namespace
}  // namespace tierlib
