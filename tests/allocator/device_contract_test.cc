// What every kind of device promises (src/allocator/device_backend.h), run over each of them. The tests touch device
// bytes only through copies and fills, so that a backend without host kernels runs the same ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocator/device_backend.h"
#include "allocator/device_factory.h"
#include "base/clock.h"
#include "tierlib/faults.h"

namespace tierlib {
namespace {

struct Backend {
  std::string name;
  DeviceOptions options;
};

void PrintTo(const Backend& backend, std::ostream* out) { *out << backend.name; }

constexpr std::uint64_t kCapacity = MiB(8);

Backend Emulated(std::string name, EmulatedOptions emulated) {
  DeviceOptions options;
  options.capacity = kCapacity;
  options.emulated = emulated;
  return {std::move(name), options};
}

std::vector<Backend> Backends() {
  std::vector<Backend> backends;
  backends.push_back(Emulated("Threaded", {.kernel_threads = 2}));
  backends.push_back(Emulated("ThreadedPoison", {.kernel_threads = 1, .poison = true}));
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    backends.push_back(Emulated(
        "Seed" + std::to_string(seed),
        {.schedule = EmulatedSchedule::kDeterministic, .seed = seed, .kernel_threads = 1, .poison = seed % 2 == 0}));
  }
  for (std::uint64_t seed = 11; seed <= 12; ++seed) {
    backends.push_back(Emulated("StrictSeed" + std::to_string(seed), {.schedule = EmulatedSchedule::kDeterministic,
                                                                      .seed = seed,
                                                                      .kernel_threads = 1,
                                                                      .poison = true,
                                                                      .strict = true}));
  }
  // With faults: none planned, and events late and in another order.
  Backend faulty = Emulated("Faulty", {.kernel_threads = 1});
  faulty.options.faults = std::make_shared<Faults>();
  backends.push_back(faulty);
  FaultPlan late;
  late.slow_queries = 3;
  late.reorder = true;
  for (std::uint64_t seed = 21; seed <= 23; ++seed) {
    faulty = Emulated("LateEventsSeed" + std::to_string(seed),
                      {.schedule = EmulatedSchedule::kDeterministic, .seed = seed, .kernel_threads = 1});
    late.seed = seed;
    faulty.options.faults = std::make_shared<Faults>(late);
    backends.push_back(faulty);
  }
  backends.push_back(Emulated("FindsRaces", {.kernel_threads = 1, .find_races = true}));
  backends.push_back(
      Emulated("FindsRacesSeed31",
               {.schedule = EmulatedSchedule::kDeterministic, .seed = 31, .kernel_threads = 1, .find_races = true}));
  DeviceOptions cuda;
  cuda.kind = DeviceKind::kCuda;
  cuda.capacity = MiB(64);
  backends.push_back({"Cuda", cuda});
  cuda.backing = DeviceBacking::kManaged;
  backends.push_back({"CudaManaged", cuda});
  return backends;
}

class DeviceContract : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    const DeviceOptions& options = GetParam().options;
    if (options.kind == DeviceKind::kCuda && !CudaDevicePresent(options.device)) {
      GTEST_SKIP() << "no CUDA device: " << MakeDevice(options).status();
    }
    StatusOr<std::unique_ptr<DeviceBackend>> device = MakeDevice(options);
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
    granule_ = std::max<std::size_t>(device_->info().granularity, 4096);
  }

  Stream MakeStream(const char* name) { return device_->CreateStream(name).value(); }
  EventId MakeEvent() { return device_->CreateEvent().value(); }
  std::byte* Reserve(std::size_t bytes) { return static_cast<std::byte*>(device_->Reserve(bytes).value()); }

  // Device bytes, read through a copy.
  std::vector<std::uint8_t> Read(const void* from, std::size_t bytes, Stream stream) {
    std::vector<std::uint8_t> host(bytes);
    EXPECT_TRUE(device_->Copy({{host.data(), from, bytes}}, CopyDirection::kDeviceToHost, stream).ok());
    EXPECT_TRUE(device_->SynchronizeStream(stream).ok());
    return host;
  }
  std::vector<std::uint8_t> All(std::uint8_t value, std::size_t bytes) const {
    return std::vector<std::uint8_t>(bytes, value);
  }

  std::unique_ptr<DeviceBackend> device_;
  std::size_t granule_ = 0;
};

TEST_P(DeviceContract, HandsOutItsCapacityExactlyAndAgainAfterRelease) {
  const std::size_t capacity = device_->info().capacity;
  const std::size_t half = capacity / 2;
  std::byte* low = Reserve(half);
  std::byte* high = Reserve(capacity - half);
  EXPECT_EQ(device_->Reserve(device_->info().granularity).status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(device_->Reserve(device_->info().granularity).status().message().empty());
  EXPECT_TRUE(device_->Release(high, capacity - half).ok());
  EXPECT_TRUE(device_->Reserve(capacity - half).ok());
  EXPECT_TRUE(device_->Release(low, half).ok());
  EXPECT_TRUE(device_->Reserve(half).ok());
}

TEST_P(DeviceContract, ReservesAdjacentAscendingRanges) {
  std::byte* first = Reserve(granule_);
  std::byte* second = Reserve(2 * granule_);
  std::byte* third = Reserve(granule_);
  EXPECT_EQ(second, first + granule_);
  EXPECT_EQ(third, second + 2 * granule_);
}

TEST_P(DeviceContract, ReservesAtAnAddressWhereItDoes) {
  const Stream stream = MakeStream("s");
  std::byte* const base = Reserve(granule_);
  std::byte* const middle = base + granule_;
  if (!device_->info().reserves_at) {
    EXPECT_EQ(device_->ReserveAt(middle, granule_).code(), StatusCode::kUnimplemented);
    GTEST_SKIP() << "it chooses itself";
  }
  const auto at = [&](std::byte* address, std::size_t bytes) { return device_->ReserveAt(address, bytes).code(); };
  ASSERT_TRUE(device_->ReserveAt(middle, granule_).ok()) << "right behind what is reserved";
  ASSERT_TRUE(device_->ReserveAt(middle + granule_, 2 * granule_).ok());
  ASSERT_TRUE(device_->Fill(base, 1, granule_, stream).ok());
  ASSERT_TRUE(device_->Fill(middle + granule_, 3, 2 * granule_, stream).ok());
  ASSERT_TRUE(device_->SynchronizeStream(stream).ok());
  ASSERT_TRUE(device_->Release(middle, granule_).ok());
  EXPECT_EQ(at(middle, 2 * granule_), StatusCode::kResourceExhausted) << "the next range is in the way";
  EXPECT_EQ(at(base, granule_), StatusCode::kResourceExhausted) << "it is reserved";
  EXPECT_EQ(at(base, 2 * granule_), StatusCode::kResourceExhausted);
  EXPECT_EQ(at(middle + 2 * granule_, granule_), StatusCode::kResourceExhausted) << "inside another";
  EXPECT_EQ(at(middle, device_->info().capacity), StatusCode::kResourceExhausted);
  EXPECT_EQ(at(middle, 0), StatusCode::kInvalidArgument);
  EXPECT_EQ(at(middle + 1, granule_), StatusCode::kInvalidArgument);
  EXPECT_EQ(at(base - device_->info().granularity, granule_), StatusCode::kInvalidArgument) << "before the range";
  ASSERT_TRUE(device_->ReserveAt(middle, granule_).ok());
  ASSERT_TRUE(device_->Fill(middle, 2, granule_, stream).ok());
  EXPECT_EQ(Read(base, granule_, stream), All(1, granule_)) << "the neighbours keep their bytes";
  EXPECT_EQ(Read(middle, granule_, stream), All(2, granule_));
  EXPECT_EQ(Read(middle + granule_, 2 * granule_, stream), All(3, 2 * granule_));
  for (const auto& [begin, bytes] : {std::pair(base, granule_), std::pair(middle, granule_)}) {
    EXPECT_TRUE(device_->Release(begin, bytes).ok());
  }
  EXPECT_TRUE(device_->Release(middle + granule_, 2 * granule_).ok());
}

TEST_P(DeviceContract, CopiesBackWhatWasCopiedIn) {
  const Stream stream = MakeStream("s");
  std::byte* block = Reserve(granule_);
  std::vector<std::uint8_t> host(granule_);
  for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  const std::size_t cut = granule_ / 3;
  ASSERT_TRUE(device_
                  ->Copy({{block, host.data(), cut}, {block + cut, host.data() + cut, granule_ - cut}},
                         CopyDirection::kHostToDevice, stream)
                  .ok());
  EXPECT_EQ(Read(block, granule_, stream), host);
  EXPECT_EQ(device_->CopiedBytes(CopyDirection::kHostToDevice), granule_);
  EXPECT_EQ(device_->CopiedBytes(CopyDirection::kDeviceToHost), granule_);
  EXPECT_EQ(device_->CopiedBytes(CopyDirection::kDeviceToDevice), 0u);
}

TEST_P(DeviceContract, RunsTheWorkOfOneStreamInOrder) {
  const Stream stream = MakeStream("s");
  std::byte* block = Reserve(2 * granule_);
  for (int value = 0; value < 50; ++value) {
    ASSERT_TRUE(device_->Fill(block, static_cast<std::uint8_t>(value), granule_, stream).ok());
    ASSERT_TRUE(device_->Copy({{block + granule_, block, granule_}}, CopyDirection::kDeviceToDevice, stream).ok());
    ASSERT_TRUE(device_->Fill(block, 0xEE, granule_, stream).ok());
  }
  EXPECT_EQ(Read(block + granule_, granule_, stream), All(49, granule_));
  EXPECT_EQ(Read(block, granule_, stream), All(0xEE, granule_));
}

TEST_P(DeviceContract, OrdersStreamsByEvents) {
  const Stream writer = MakeStream("writer");
  const Stream reader = MakeStream("reader");
  std::byte* block = Reserve(granule_);
  const EventId written = MakeEvent();
  const EventId read = MakeEvent();
  std::vector<std::vector<std::uint8_t>> host(60, All(0, granule_));
  for (std::size_t i = 0; i < host.size(); ++i) {
    ASSERT_TRUE(device_->WaitEvent(writer, read).ok());
    ASSERT_TRUE(device_->Fill(block, static_cast<std::uint8_t>(i + 1), granule_, writer).ok());
    ASSERT_TRUE(device_->RecordEvent(written, writer).ok());
    ASSERT_TRUE(device_->WaitEvent(reader, written).ok());
    ASSERT_TRUE(device_->Copy({{host[i].data(), block, granule_}}, CopyDirection::kDeviceToHost, reader).ok());
    ASSERT_TRUE(device_->RecordEvent(read, reader).ok());
    if (i % 8 == 0) {
      ASSERT_TRUE(device_->SynchronizeEvent(read).ok());
      EXPECT_EQ(host[i], All(static_cast<std::uint8_t>(i + 1), granule_));
    }
  }
  ASSERT_TRUE(device_->SynchronizeStream(reader).ok());
  for (std::size_t i = 0; i < host.size(); ++i) EXPECT_EQ(host[i], All(static_cast<std::uint8_t>(i + 1), granule_));
  EXPECT_TRUE(device_->health().ok());
}

TEST_P(DeviceContract, StampsEventsInOrder) {
  const Stream stream = MakeStream("s");
  std::byte* block = Reserve(granule_);
  const EventId first = MakeEvent();
  const EventId second = MakeEvent();
  EXPECT_TRUE(device_->EventDone(first).value()) << "an event that was never recorded is complete";
  const std::int64_t before_ns = NowNs();
  ASSERT_TRUE(device_->RecordEvent(first, stream).ok());
  ASSERT_TRUE(device_->Fill(block, 1, granule_, stream).ok());
  ASSERT_TRUE(device_->RecordEvent(second, stream).ok());
  while (!device_->EventDone(second).value()) {
  }
  EXPECT_TRUE(device_->EventDone(first).value());
  // A device's clock may be off by a little from the host's.
  EXPECT_GE(device_->EventTimeNs(first), before_ns - 1'000'000);
  EXPECT_GE(device_->EventTimeNs(second), device_->EventTimeNs(first));
  EXPECT_LE(device_->EventTimeNs(second), NowNs() + 1'000'000);
}

TEST_P(DeviceContract, DestroysStreamsAfterTheirWork) {
  std::byte* block = Reserve(granule_);
  std::vector<std::uint8_t> host(granule_);
  const Stream stream = MakeStream("s");
  ASSERT_TRUE(device_->Fill(block, 5, granule_, stream).ok());
  ASSERT_TRUE(device_->Copy({{host.data(), block, granule_}}, CopyDirection::kDeviceToHost, stream).ok());
  ASSERT_TRUE(device_->DestroyStream(stream).ok());
  EXPECT_EQ(host, All(5, granule_));
}

TEST_P(DeviceContract, SynchronizesEveryStreamAtOnce) {
  std::byte* block = Reserve(4 * granule_);
  std::vector<std::vector<std::uint8_t>> host(4, All(0, granule_));
  for (std::size_t i = 0; i < host.size(); ++i) {
    const Stream stream = MakeStream("s");
    ASSERT_TRUE(device_->Fill(block + i * granule_, static_cast<std::uint8_t>(i + 1), granule_, stream).ok());
    ASSERT_TRUE(
        device_->Copy({{host[i].data(), block + i * granule_, granule_}}, CopyDirection::kDeviceToHost, stream).ok());
  }
  ASSERT_TRUE(device_->Synchronize().ok());
  for (std::size_t i = 0; i < host.size(); ++i) EXPECT_EQ(host[i], All(static_cast<std::uint8_t>(i + 1), granule_));
}

TEST_P(DeviceContract, KeepsHostRegistrations) {
  alignas(4096) static std::uint8_t host[1 << 16];
  ASSERT_TRUE(device_->PinHost(host, sizeof(host)).ok());
  EXPECT_TRUE(device_->UnpinHost(host, sizeof(host)).ok());
}

// A block of a pool of pinned memory may lie across pieces that were registered one by one.
TEST_P(DeviceContract, CopiesAcrossTheBorderOfTwoHostRegistrations) {
  const Stream stream = MakeStream("s");
  std::byte* block = Reserve(3 * granule_);
  constexpr std::size_t kRange = 4096;
  alignas(kRange) static std::uint8_t host[3 * kRange];
  alignas(kRange) static std::uint8_t back[3 * kRange];
  ASSERT_TRUE(device_->PinHost(host, kRange).ok());
  ASSERT_TRUE(device_->PinHost(host + kRange, kRange).ok());
  ASSERT_TRUE(device_->PinHost(back, kRange).ok());
  ASSERT_TRUE(device_->PinHost(back + kRange, kRange).ok());
  for (std::size_t i = 0; i < sizeof(host); ++i) host[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  std::memset(back, 0, sizeof(back));
  // One run over both, on into memory that is not registered; then rows on both sides, one of them across the border.
  std::vector<CopyRun> in = {{block, host + 100, 2 * kRange + 300}};
  std::vector<CopyRun> out = {{back + 100, block, 2 * kRange + 300}};
  ASSERT_TRUE(device_->Copy(in, CopyDirection::kHostToDevice, stream).ok());
  ASSERT_TRUE(device_->Copy(out, CopyDirection::kDeviceToHost, stream).ok());
  ASSERT_TRUE(device_->SynchronizeStream(stream).ok());
  EXPECT_EQ(std::memcmp(back + 100, host + 100, 2 * kRange + 300), 0);
  in.clear();
  out.clear();
  std::memset(back, 0, sizeof(back));
  for (std::size_t row = 0; row + 96 <= 2 * kRange; row += 160) {
    in.push_back({block + row, host + row, 96});
    out.push_back({back + row, block + row, 96});
  }
  ASSERT_TRUE(device_->Copy(in, CopyDirection::kHostToDevice, stream).ok());
  ASSERT_TRUE(device_->Copy(out, CopyDirection::kDeviceToHost, stream).ok());
  ASSERT_TRUE(device_->SynchronizeStream(stream).ok());
  for (std::size_t i = 0; i < 2 * kRange; ++i) {
    const bool copied = i % 160 < 96 && i - i % 160 + 96 <= 2 * kRange;
    ASSERT_EQ(back[i], copied ? host[i] : 0) << i;
  }
  for (std::uint8_t* base : {host, host + kRange, back, back + kRange}) {
    EXPECT_TRUE(device_->UnpinHost(base, kRange).ok());
  }
}

TEST_P(DeviceContract, NumbersStreamsAndKnowsItsOwn) {
  const Stream first = MakeStream("first");
  const Stream second = MakeStream("second");
  const std::uint64_t number = device_->StreamNumber(first).value();
  EXPECT_NE(number, device_->StreamNumber(second).value());
  EXPECT_TRUE(device_->Owns(first));
  EXPECT_FALSE(device_->Owns({device_->info().device + 1, first.handle}));
  ASSERT_TRUE(device_->DestroyStream(first).ok());
  EXPECT_FALSE(device_->Owns(first));
  for (int i = 0; i < 20; ++i) {  // until a handle comes back, where the device uses them again
    const Stream next = MakeStream("next");
    EXPECT_TRUE(device_->Owns(next));
    EXPECT_NE(device_->StreamNumber(next).value(), number);
    EXPECT_EQ(device_->StreamNumber(next).value(), device_->StreamNumber(next).value());
    ASSERT_TRUE(device_->DestroyStream(next).ok());
  }
}

TEST_P(DeviceContract, TakesEmptyCopiesAndFills) {
  const Stream stream = MakeStream("s");
  EXPECT_TRUE(device_->Copy({}, CopyDirection::kDeviceToHost, stream).ok());
  EXPECT_TRUE(device_->Copy({{nullptr, nullptr, 0}}, CopyDirection::kHostToDevice, stream).ok());
  EXPECT_TRUE(device_->Fill(nullptr, 0, 0, stream).ok());
  EXPECT_TRUE(device_->SynchronizeStream(stream).ok());
}

TEST_P(DeviceContract, RefusesBadArguments) {
  const Stream stream = MakeStream("s");
  std::byte* block = Reserve(granule_);
  const Stream elsewhere{device_->info().device + 1, stream.handle};
  EventId event = MakeEvent();
  const auto code = [](const Status& status) { return status.code(); };
  EXPECT_EQ(code(device_->Reserve(0).status()), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->Release(block, 2 * granule_)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->Release(&event, granule_)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->Fill(block, 0, granule_, elsewhere)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->RecordEvent(event, elsewhere)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->WaitEvent(elsewhere, event)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->SynchronizeStream(elsewhere)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->DestroyStream(elsewhere)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->StreamNumber(elsewhere).status()), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->Fill(block, 0, 0, elsewhere)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->Copy({}, CopyDirection::kHostToDevice, elsewhere)), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->Copy({{block, nullptr, 1}}, CopyDirection::kHostToDevice, stream)),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(code(device_->Fill(nullptr, 0, 1, stream)), StatusCode::kInvalidArgument);
  device_->DestroyEvent(event);
  for (const EventId unknown : {EventId{0}, EventId{12345}, event}) {
    EXPECT_EQ(code(device_->RecordEvent(unknown, stream)), StatusCode::kInvalidArgument);
    EXPECT_EQ(code(device_->WaitEvent(stream, unknown)), StatusCode::kInvalidArgument);
    EXPECT_EQ(code(device_->EventDone(unknown).status()), StatusCode::kInvalidArgument);
    EXPECT_EQ(code(device_->SynchronizeEvent(unknown)), StatusCode::kInvalidArgument);
    device_->DestroyEvent(unknown);
  }
  EXPECT_TRUE(device_->health().ok());
}

TEST_P(DeviceContract, AllocatesInStreamOrderWhereItDoes) {
  const Stream stream = MakeStream("s");
  const Stream other = MakeStream("other");
  const std::size_t half = device_->info().capacity / 2;
  for (int i = 0; i < 6; ++i) {
    const Stream user = i % 3 == 0 ? other : stream;
    const StatusOr<void*> block = device_->AllocateInOrder(half + 1, user);
    if (block.status().code() == StatusCode::kUnimplemented) GTEST_SKIP() << block.status();
    ASSERT_TRUE(block.ok()) << block.status();
    ASSERT_TRUE(device_->Fill(*block, static_cast<std::uint8_t>(i), half + 1, user).ok());
    EXPECT_EQ(Read(static_cast<std::byte*>(*block) + half - 63, 64, user), All(static_cast<std::uint8_t>(i), 64));
    EXPECT_GT(device_->ReservedInOrder(), half);
    ASSERT_TRUE(device_->FreeInOrder(*block, user).ok());
  }
  EXPECT_EQ(device_->AllocateInOrder(1, {device_->info().device + 1, 1}).status().code(), StatusCode::kInvalidArgument);
}

// --- captured graphs

TEST_P(DeviceContract, RunsCapturedWorkAtEachLaunchAndNotBefore) {
  const Stream stream = MakeStream("captured");
  const Stream other = MakeStream("other");
  std::byte* block = Reserve(granule_);
  std::vector<std::uint8_t> in(granule_, 1);
  std::vector<std::uint8_t> out(granule_, 0);
  ASSERT_TRUE(device_->Fill(block, 9, granule_, stream).ok());
  ASSERT_TRUE(device_->SynchronizeStream(stream).ok());
  ASSERT_TRUE(device_->BeginCapture(stream).ok());
  EXPECT_TRUE(device_->InCapture(stream));
  EXPECT_FALSE(device_->InCapture(other));
  ASSERT_TRUE(device_->Copy({{block, in.data(), granule_}}, CopyDirection::kHostToDevice, stream).ok());
  ASSERT_TRUE(device_->Fill(block, 200, 16, stream).ok());
  ASSERT_TRUE(device_->Copy({{out.data(), block, granule_}}, CopyDirection::kDeviceToHost, stream).ok());
  EXPECT_EQ(Read(block, granule_, other), All(9, granule_)) << "other streams go on, and nothing captured has run";
  const GraphId graph = device_->EndCapture(stream).value();
  EXPECT_FALSE(device_->InCapture(stream));
  EXPECT_EQ(out, All(0, granule_));
  const std::uint64_t before = device_->CopiedBytes(CopyDirection::kHostToDevice);
  for (std::uint8_t launch = 1; launch <= 3; ++launch) {
    in.assign(granule_, launch);  // the bytes that are there when the graph runs
    ASSERT_TRUE(device_->LaunchGraph(graph, launch == 2 ? other : stream).ok());
    ASSERT_TRUE(device_->SynchronizeStream(launch == 2 ? other : stream).ok());
    std::vector<std::uint8_t> expected(granule_, launch);
    std::fill(expected.begin(), expected.begin() + 16, 200);
    EXPECT_EQ(out, expected);
    EXPECT_EQ(device_->CopiedBytes(CopyDirection::kHostToDevice), before + launch * granule_);
  }
  EXPECT_TRUE(device_->DestroyGraph(graph).ok());
  EXPECT_EQ(device_->LaunchGraph(graph, stream).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(device_->Fill(block, 3, granule_, stream).ok());
  EXPECT_EQ(Read(block, granule_, stream), All(3, granule_));
  EXPECT_TRUE(device_->health().ok()) << device_->health();
}

TEST_P(DeviceContract, OrdersALaunchAfterWhatCameBeforeAndBeforeWhatComesAfter) {
  const Stream stream = MakeStream("captured");
  const Stream side = MakeStream("side");
  const Stream user = MakeStream("user");
  std::byte* block = Reserve(3 * granule_);
  const EventId forked = MakeEvent();
  const EventId joined = MakeEvent();
  // One block to the next on one stream, and on to the last on another one that joins.
  ASSERT_TRUE(device_->BeginCapture(stream).ok());
  ASSERT_TRUE(device_->Copy({{block + granule_, block, granule_}}, CopyDirection::kDeviceToDevice, stream).ok());
  ASSERT_TRUE(device_->RecordEvent(forked, stream).ok());
  ASSERT_TRUE(device_->WaitEvent(side, forked).ok());
  EXPECT_TRUE(device_->InCapture(side));
  ASSERT_TRUE(
      device_->Copy({{block + 2 * granule_, block + granule_, granule_}}, CopyDirection::kDeviceToDevice, side).ok());
  ASSERT_TRUE(device_->RecordEvent(joined, side).ok());
  ASSERT_TRUE(device_->Fill(block, 0xEE, granule_, stream).ok());
  ASSERT_TRUE(device_->WaitEvent(stream, joined).ok());
  const GraphId graph = device_->EndCapture(stream).value();
  EXPECT_FALSE(device_->InCapture(side));
  std::vector<std::vector<std::uint8_t>> seen(20, All(0, granule_));
  for (std::size_t i = 0; i < seen.size(); ++i) {  // nothing waits between them
    ASSERT_TRUE(device_->Fill(block, static_cast<std::uint8_t>(i + 1), granule_, user).ok());
    ASSERT_TRUE(device_->LaunchGraph(graph, user).ok());
    ASSERT_TRUE(
        device_->Copy({{seen[i].data(), block + 2 * granule_, granule_}}, CopyDirection::kDeviceToHost, user).ok());
  }
  ASSERT_TRUE(device_->DestroyGraph(graph).ok());
  ASSERT_TRUE(device_->SynchronizeStream(user).ok());
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], All(static_cast<std::uint8_t>(i + 1), granule_));
  EXPECT_EQ(Read(block, granule_, user), All(0xEE, granule_));
  EXPECT_TRUE(device_->health().ok()) << device_->health();
}

TEST_P(DeviceContract, RefusesInACaptureWhatItCannotHold) {
  const Stream stream = MakeStream("captured");
  const Stream other = MakeStream("other");
  const EventId inside = MakeEvent();
  const EventId outside = MakeEvent();
  std::byte* block = Reserve(granule_);
  ASSERT_TRUE(device_->Fill(block, 1, granule_, other).ok());
  ASSERT_TRUE(device_->RecordEvent(outside, other).ok());
  GraphId graph = 0;
  {  // one to refuse the launch of
    ASSERT_TRUE(device_->BeginCapture(stream).ok());
    ASSERT_TRUE(device_->Fill(block, 2, granule_, stream).ok());
    graph = device_->EndCapture(stream).value();
  }
  const std::vector<std::pair<const char*, std::function<Status()>>> calls = {
      {"SynchronizeStream", [&] { return device_->SynchronizeStream(stream); }},
      {"DestroyStream", [&] { return device_->DestroyStream(stream); }},
      {"BeginCapture", [&] { return device_->BeginCapture(stream); }},
      {"LaunchGraph", [&] { return device_->LaunchGraph(graph, stream); }},
      {"Synchronize", [&] { return device_->Synchronize(); }},
      {"EventDone", [&] { return device_->EventDone(inside).status(); }},
      {"SynchronizeEvent", [&] { return device_->SynchronizeEvent(inside); }},
      {"WaitEvent", [&] { return device_->WaitEvent(stream, outside); }},
  };
  for (const auto& [name, call] : calls) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(device_->BeginCapture(stream).ok());
    ASSERT_TRUE(device_->RecordEvent(inside, stream).ok());
    const Status refused = call();
    EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition) << refused;
    if (device_->info().runs_host_kernels) {  // elsewhere it is the driver's name of it
      EXPECT_EQ(refused.message().substr(0, std::strlen(name) + 1), std::string(name) + ":") << refused;
    }
    const StatusOr<GraphId> ended = device_->EndCapture(stream);  // what was refused may have spoilt it
    if (ended.ok()) {
      EXPECT_TRUE(device_->DestroyGraph(*ended).ok());
    }
    EXPECT_FALSE(device_->InCapture(stream));
  }
  EXPECT_EQ(device_->WaitEvent(other, inside).code(), StatusCode::kFailedPrecondition) << "its capture has ended";
  EXPECT_EQ(device_->EndCapture(stream).status().code(), StatusCode::kFailedPrecondition) << "none was begun";
  EXPECT_EQ(device_->BeginCapture({device_->info().device + 1, 1}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(device_->LaunchGraph(graph + 1000, stream).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(device_->DestroyGraph(graph + 1000).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(device_->DestroyGraph(graph).ok());
  EXPECT_EQ(Read(block, granule_, other), All(1, granule_));
  EXPECT_TRUE(device_->health().ok()) << device_->health();
}

TEST_P(DeviceContract, EndsNoCaptureThatLosesAStream) {
  const Stream stream = MakeStream("captured");
  const Stream side = MakeStream("side");
  const EventId event = MakeEvent();
  std::byte* block = Reserve(granule_);
  ASSERT_TRUE(device_->BeginCapture(stream).ok());
  ASSERT_TRUE(device_->RecordEvent(event, stream).ok());
  ASSERT_TRUE(device_->WaitEvent(side, event).ok());
  ASSERT_TRUE(device_->Fill(block, 1, granule_, side).ok());
  EXPECT_EQ(device_->EndCapture(stream).status().code(), StatusCode::kFailedPrecondition);
  for (const Stream each : {stream, side}) {  // both are as before
    EXPECT_FALSE(device_->InCapture(each));
    ASSERT_TRUE(device_->Fill(block, 7, granule_, each).ok());
    EXPECT_EQ(Read(block, granule_, each), All(7, granule_));
  }
}

INSTANTIATE_TEST_SUITE_P(All, DeviceContract, testing::ValuesIn(Backends()),
                         [](const testing::TestParamInfo<Backend>& test) { return test.param.name; });

}  // namespace
}  // namespace tierlib
