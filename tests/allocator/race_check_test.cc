// Races: found in whatever order things ran, and not found where something orders the two.
#include "allocator/race_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/device_factory.h"
#include "allocator/memory_source.h"
#include "base/random.h"
#include "tierlib/faults.h"

namespace tierlib {
namespace {

// A device whose work runs at once, so that no race ever shows in the bytes.
struct Device {
  explicit Device(EmulatedOptions emulated = {.schedule = EmulatedSchedule::kShapeOnly}) {
    DeviceOptions options;
    options.capacity = KiB(64);
    options.emulated = emulated;
    options.emulated.kernel_threads = 1;
    options.emulated.find_races = true;
    device = MakeDevice(options).value();
    compute = device->CreateStream("compute").value();
    copies = device->CreateStream("copies").value();
    event = device->CreateEvent().value();
    block = static_cast<std::byte*>(device->Reserve(KiB(4)).value());
  }
  void Kernel(Stream stream, std::size_t begin, std::size_t bytes, bool writes) {
    ASSERT_TRUE(device->Launch(stream, {"add", {{block + begin, bytes, writes}}, [](KernelContext&) {}}).ok());
  }
  void CopyIn(std::size_t begin, std::size_t bytes) {
    const CopyRun run = {block + begin, host.data() + begin, bytes};
    ASSERT_TRUE(device->Copy({&run, 1}, CopyDirection::kHostToDevice, copies).ok());
  }
  void CopyOut(std::size_t begin, std::size_t bytes, Stream stream) {
    const CopyRun run = {host.data() + begin, block + begin, bytes};
    ASSERT_TRUE(device->Copy({&run, 1}, CopyDirection::kDeviceToHost, stream).ok());
  }
  // `after` waits for the work of `before` so far.
  void Order(Stream before, Stream after) {
    ASSERT_TRUE(device->RecordEvent(event, before).ok());
    ASSERT_TRUE(device->WaitEvent(after, event).ok());
  }
  Status health() const { return device->health(); }

  std::unique_ptr<DeviceBackend> device;
  Stream compute;
  Stream copies;
  EventId event = 0;
  std::byte* block = nullptr;
  std::vector<std::byte> host = std::vector<std::byte>(KiB(4));
};

TEST(FindRaces, NamesBothAccessesAndWhatWouldOrderThem) {
  Device d;
  d.CopyIn(256, 256);
  d.Kernel(d.compute, 0, 300, /*writes=*/false);
  const Status status = d.health();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              testing::MatchesRegex(
                  "race on bytes .*: copy in on stream 2 \\(copies\\), which uses .*, writes them, then kernel add on "
                  "stream 1 \\(compute\\), which uses .*, reads them, and nothing orders the second after the first. "
                  "What would: an event recorded on stream 2 after the first, and waited for by stream 1 or the host "
                  "before the second"));
  EXPECT_EQ(d.device->Synchronize(), status) << "it stays";
  EXPECT_EQ(d.device->EventDone(d.event).status(), status);
}

TEST(FindRaces, TwoReadersAndOtherBytesAreNone) {
  Device d;
  d.CopyOut(0, 256, d.copies);
  d.Kernel(d.compute, 0, 256, /*writes=*/false);
  d.Kernel(d.compute, 256, 256, /*writes=*/true);
  d.CopyOut(512, 256, d.copies);
  EXPECT_TRUE(d.health().ok()) << d.health();
  d.Kernel(d.compute, 511, 2, /*writes=*/true);  // a byte of the last copy's
  EXPECT_FALSE(d.health().ok());
}

TEST(FindRaces, AWriteAfterAnEarlierOfTwoReadsIsOne) {
  for (const bool waits : {false, true}) {
    Device d;
    d.CopyOut(0, 256, d.copies);
    d.Kernel(d.compute, 0, 256, /*writes=*/false);
    if (waits) d.Order(d.copies, d.compute);
    d.Kernel(d.compute, 0, 1, /*writes=*/true);
    EXPECT_EQ(d.health().ok(), waits) << d.health();
  }
}

TEST(FindRaces, OnHostBytesToo) {
  for (const bool waits : {false, true}) {
    Device d;
    d.CopyOut(0, 256, d.compute);
    if (waits) d.Order(d.compute, d.copies);
    const CopyRun run = {d.block + 512, d.host.data() + 100, 10};
    ASSERT_TRUE(d.device->Copy({&run, 1}, CopyDirection::kHostToDevice, d.copies).ok());
    EXPECT_EQ(d.health().ok(), waits) << d.health();
  }
}

TEST(FindRaces, EachKindOfOrderIsOne) {
  const std::map<std::string, std::function<void(Device&)>> orders = {
      {"event", [](Device& d) { d.Order(d.compute, d.copies); }},
      {"two events",
       [](Device& d) {
         const Stream between = d.device->CreateStream("between").value();
         d.Order(d.compute, between);
         d.Order(between, d.copies);
       }},
      {"stream", [](Device& d) { ASSERT_TRUE(d.device->SynchronizeStream(d.compute).ok()); }},
      {"device", [](Device& d) { ASSERT_TRUE(d.device->Synchronize().ok()); }},
      {"destroyed stream", [](Device& d) { ASSERT_TRUE(d.device->DestroyStream(d.compute).ok()); }},
      {"event seen",
       [](Device& d) {
         ASSERT_TRUE(d.device->RecordEvent(d.event, d.compute).ok());
         ASSERT_TRUE(d.device->EventDone(d.event).value());
       }},
      {"event waited for",
       [](Device& d) {
         ASSERT_TRUE(d.device->RecordEvent(d.event, d.compute).ok());
         ASSERT_TRUE(d.device->SynchronizeEvent(d.event).ok());
       }},
  };
  for (const auto& [name, order] : orders) {
    Device d;
    d.Kernel(d.compute, 0, 256, /*writes=*/true);
    order(d);
    d.CopyOut(0, 256, d.copies);
    EXPECT_TRUE(d.health().ok()) << name << ": " << d.health();
  }
}

TEST(FindRaces, WhatOrdersOtherWorkDoesNot) {
  const std::map<std::string, std::function<void(Device&)>> mistakes = {
      {"nothing", [](Device&) {}},
      {"recorded before", [](Device& d) { ASSERT_TRUE(d.device->WaitEvent(d.copies, d.event).ok()); }},
      {"the wrong way round", [](Device& d) { d.Order(d.copies, d.compute); }},
      {"recorded, not waited for", [](Device& d) { ASSERT_TRUE(d.device->RecordEvent(d.event, d.compute).ok()); }},
      {"another stream", [](Device& d) { ASSERT_TRUE(d.device->SynchronizeStream(d.copies).ok()); }},
      {"another stream's end",
       [](Device& d) {
         const Stream other = d.device->CreateStream("other").value();
         ASSERT_TRUE(d.device->DestroyStream(other).ok());
       }},
  };
  for (const auto& [name, mistake] : mistakes) {
    Device d;
    ASSERT_TRUE(d.device->RecordEvent(d.event, d.compute).ok());
    d.Kernel(d.compute, 0, 256, /*writes=*/true);
    mistake(d);
    d.CopyOut(0, 256, d.copies);
    EXPECT_FALSE(d.health().ok()) << name;
  }
}

// An event that is late is not complete, whatever the device below says.
TEST(FindRaces, AnEventThatWasSaidToBePendingOrdersNothing) {
  DeviceOptions options;
  options.capacity = KiB(64);
  options.emulated.schedule = EmulatedSchedule::kShapeOnly;
  options.emulated.find_races = true;
  FaultPlan plan;
  plan.slow_queries = 1;
  options.faults = std::make_shared<Faults>(plan);
  for (const int queries : {1, 2}) {
    const auto device = MakeDevice(options).value();
    const Stream one = device->CreateStream("one").value();
    const Stream other = device->CreateStream("other").value();
    const EventId event = device->CreateEvent().value();
    void* block = device->Reserve(256).value();
    ASSERT_TRUE(device->Fill(block, 1, 256, one).ok());
    ASSERT_TRUE(device->RecordEvent(event, one).ok());
    for (int i = 0; i < queries; ++i) (void)device->EventDone(event);
    ASSERT_TRUE(device->Fill(block, 2, 256, other).ok());
    EXPECT_EQ(device->health().ok(), queries == 2) << device->health();
  }
}

TEST(FindRaces, MemoryThatIsGivenBackWhileItIsUsedIsOne) {
  for (const bool waits : {false, true}) {
    Device d;
    d.Kernel(d.compute, 0, 8, /*writes=*/false);
    if (waits) {
      ASSERT_TRUE(d.device->SynchronizeStream(d.compute).ok());
    }
    (void)d.device->Release(d.block, KiB(4));
    EXPECT_EQ(d.health().ok(), waits) << d.health();
  }
}

// A pool hands a block out again before a copy that it was not told of: nothing else uses the block yet.
TEST(FindRaces, ABlockHandedOutAgainTooEarlyIsOne) {
  for (const bool told : {false, true}) {
    Device d;
    BlockPool::Options options;
    options.source = MakeDeviceSource(*d.device).value();
    options.device = d.device.get();
    options.growth = KiB(4);
    {
      BlockPool pool(std::move(options));
      void* block = pool.Allocate(256, d.compute).value();
      d.Order(d.compute, d.copies);
      const CopyRun run = {d.host.data(), block, 256};
      ASSERT_TRUE(d.device->Copy({&run, 1}, CopyDirection::kDeviceToHost, d.copies).ok());
      if (told) {
        pool.Free(block, {d.compute, d.copies});
      } else {
        pool.Free(block, {d.compute});
      }
      void* again = pool.Allocate(256, d.compute).value();
      EXPECT_EQ(again, block);
      EXPECT_EQ(d.health().ok(), told) << d.health();
      pool.Free(again, {d.compute});
      (void)d.device->Synchronize();
    }
  }
}

// What a capture records is no access; what a launch does is, on streams of the graph's own.
TEST(FindRaces, ALaunchedGraphUsesWhatItsCaptureSaid) {
  for (const bool ordered : {true, false}) {
    Device d;
    ASSERT_TRUE(d.device->BeginCapture(d.compute).ok());
    d.Kernel(d.compute, 0, 256, /*writes=*/true);
    const GraphId graph = d.device->EndCapture(d.compute).value();
    d.CopyIn(0, 256);
    EXPECT_TRUE(d.health().ok()) << d.health();
    d.Order(d.copies, d.compute);
    for (int launch = 0; launch < 3; ++launch) ASSERT_TRUE(d.device->LaunchGraph(graph, d.compute).ok());
    d.Kernel(d.compute, 0, 256, /*writes=*/true);
    EXPECT_TRUE(d.health().ok()) << "they follow each other and what came before: " << d.health();
    ASSERT_TRUE(d.device->LaunchGraph(graph, d.compute).ok());
    if (ordered) d.Order(d.compute, d.copies);
    d.CopyIn(0, 256);
    EXPECT_EQ(d.health().ok(), ordered) << d.health();
    if (!ordered) {
      EXPECT_THAT(std::string(d.health().message()), testing::HasSubstr("kernel add on stream"));
      EXPECT_THAT(std::string(d.health().message()), testing::HasSubstr("(of a graph)"));
    }
    ASSERT_TRUE(d.device->DestroyGraph(graph).ok());
  }
}

TEST(FindRaces, StreamsOfOneGraphRaceAsTheyDidInItsCapture) {
  for (const bool ordered : {true, false}) {
    Device d;
    ASSERT_TRUE(d.device->BeginCapture(d.compute).ok());
    d.Order(d.compute, d.copies);
    d.Kernel(d.compute, 0, 256, /*writes=*/true);
    if (ordered) d.Order(d.compute, d.copies);
    d.CopyIn(0, 256);
    d.Order(d.copies, d.compute);
    const GraphId graph = d.device->EndCapture(d.compute).value();
    EXPECT_TRUE(d.health().ok()) << d.health();
    ASSERT_TRUE(d.device->LaunchGraph(graph, d.compute).ok());
    EXPECT_EQ(d.health().ok(), ordered) << d.health();
  }
}

TEST(FindRaces, BlocksOfTheDevicesOwnAllocatorAreOrderedByIt) {
  for (const bool waits : {false, true}) {
    Device d({.schedule = EmulatedSchedule::kDeterministic});
    void* block = d.device->AllocateInOrder(256, d.compute).value();
    ASSERT_TRUE(d.device->Fill(block, 1, 256, d.compute).ok());
    if (waits) d.Order(d.compute, d.copies);
    ASSERT_TRUE(d.device->FreeInOrder(block, d.copies).ok());
    EXPECT_EQ(d.health().ok(), waits) << d.health();
    if (!waits) continue;
    for (int i = 0; i < 300; ++i) {  // the same addresses come back, on streams that nothing orders
      const Stream stream = i % 2 == 0 ? d.compute : d.copies;
      block = d.device->AllocateInOrder(256, stream).value();
      ASSERT_TRUE(d.device->Fill(block, 1, 256, stream).ok());
      ASSERT_TRUE(d.device->FreeInOrder(block, stream).ok());
    }
    EXPECT_TRUE(d.health().ok()) << d.health();
  }
}

// --- the same answers as from a model of single bytes ---------------------------------------------------------------

// Every access to each byte, with whether it came before: the order itself, as a relation.
class Model {
 public:
  // What is enqueued after `before`, on streams 0 to 2 or by the host.
  using Set = std::vector<bool>;
  void Join(Set& to, const Set& from) {
    if (to.size() < from.size()) to.resize(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) to[i] = to[i] || from[i];
  }
  bool Work(std::size_t stream, std::size_t begin, std::size_t end, bool writes) {  // true: a race
    Join(streams[stream], host);
    bool race = false;
    const std::size_t self = count_++;
    for (std::size_t byte = begin; byte < end; ++byte) {
      for (const auto& [other, other_writes] : bytes_[byte]) {
        const bool ordered = other < streams[stream].size() && streams[stream][other];
        race = race || ((writes || other_writes) && !ordered);
      }
      bytes_[byte].emplace_back(self, writes);
    }
    streams[stream].resize(count_);
    streams[stream][self] = true;
    return race;
  }
  Set streams[3];
  Set host;

 private:
  std::size_t count_ = 0;
  std::map<std::size_t, std::vector<std::pair<std::size_t, bool>>> bytes_;
};

TEST(RaceCheck, AnswersAsAModelOfSingleBytesDoes) {
  constexpr std::uintptr_t kBase = 4096;
  int races = 0;
  const int programs = 4000 / TIERLIB_RANDOM_SCALE;
  for (int program = 0; program < programs; ++program) {
    SCOPED_TRACE("seed " + std::to_string(program));
    Random random(static_cast<std::uint64_t>(program));
    RaceCheck check;
    Model model;
    Model::Set events[3];
    bool recorded[3] = {};
    bool race = false;
    for (std::size_t i = 0; i < 3; ++i) check.StreamBegins({0, i + 1}, "s");
    for (int step = 0; step < 25 && !race; ++step) {
      const std::size_t stream = random.UniformInt(3);
      const Stream handle = {0, stream + 1};
      const std::size_t event = random.UniformInt(3);
      switch (random.UniformInt(8)) {
        case 0:
        case 1:
          check.Recorded(event + 1, handle);
          events[event] = model.streams[stream];
          recorded[event] = true;
          break;
        case 2:
        case 3:
          check.Waits(handle, event + 1);
          if (recorded[event]) model.Join(model.streams[stream], events[event]);
          break;
        case 4:
          if (random.UniformInt(3) != 0) break;
          check.HostSaw(event + 1);
          if (recorded[event]) model.Join(model.host, events[event]);
          break;
        default: {
          const std::size_t begin = random.UniformInt(20);
          const std::size_t bytes = 1 + random.UniformInt(6);
          const bool writes = random.UniformInt(3) == 0;
          check.Work(handle, {"work"}, {{reinterpret_cast<const void*>(kBase + begin), bytes, writes}});
          race = model.Work(stream, begin, begin + bytes, writes);
        }
      }
      check.CheckInvariants();
      ASSERT_EQ(check.first().ok(), !race) << "step " << step << ": " << check.first();
    }
    races += race ? 1 : 0;
  }
  EXPECT_GT(races, programs / 4);
  EXPECT_LT(races, programs - programs / 20);
}

TEST(RaceCheck, ForgetsWhatTheHostSawToHaveEnded) {
  RaceCheck check;
  const Stream stream = {0, 1};
  check.StreamBegins(stream, "s");
  for (std::uintptr_t i = 0; i < 100'000 / std::min(TIERLIB_RANDOM_SCALE, 10); ++i) {
    check.Work(stream, {"work"}, {{reinterpret_cast<const void*>(4096 + 16 * i), 8, i % 2 == 0}});
    if (i % 100 == 0) check.HostSaw(check.Before(stream));
  }
  EXPECT_LT(check.ranges(), 2048u);
  EXPECT_TRUE(check.first().ok());
}

}  // namespace
}  // namespace tierlib
