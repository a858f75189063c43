// Copies out that are gathered and enqueued as one: when they go, what they hold until then, and what a failure means.
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gtest/gtest.h"
#include "storage/failing_device.h"
#include "storage/transfer_engine.h"

namespace tierlib {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kBlocks = 8;
constexpr StorageId kStorage{0, 1};

using Bytes = std::vector<std::uint8_t>;

class Engine {
 public:
  explicit Engine(std::uint64_t seed, CopyLimits limits = {.coalesce_bytes = kBlocks * kBlock})
      : device(Device(seed)),
        events(device),
        engine(TransferEngine::Create(device, events, nullptr, nullptr, limits).value()),
        streams{device.CreateStream("compute").value(), device.CreateStream("other").value()},
        bytes(static_cast<std::uint8_t*>(device.Reserve(2 * kBlocks * kBlock).value())),
        host(kBlocks * kBlock) {}

  std::uint8_t* Block(std::size_t i) { return bytes + i * kBlock; }
  // Enqueues writing i + 1 to block i on a stream, and gathers a copy of it to the host.
  StatusOr<TransferRef> Gather(std::size_t i, std::shared_ptr<void> keeps = nullptr, std::size_t stream = 0) {
    TIERLIB_RETURN_IF_ERROR(device.Fill(Block(i), static_cast<std::uint8_t>(i + 1), kBlock, streams[stream]));
    TIERLIB_ASSIGN_OR_RETURN(MarkRef written, events.MarkNow(streams[stream]));
    return engine->GatherCopyOut({nullptr, {{&host[i * kBlock], Block(i), kBlock}}, kBlock, block, host_block},
                                 std::move(written), {static_cast<std::uint32_t>(i), 1}, std::move(keeps));
  }
  bool HasArrived(std::size_t i) {
    const Bytes expected(kBlock, static_cast<std::uint8_t>(i + 1));
    return std::memcmp(&host[i * kBlock], expected.data(), kBlock) == 0;
  }

  static DeviceOptions Device(std::uint64_t seed) {
    DeviceOptions options = DeterministicDevice(seed);
    options.emulated.find_races = true;
    return options;
  }

  FailingDevice device;
  EventPool events;
  std::unique_ptr<TransferEngine> engine;
  const Stream streams[2];
  std::uint8_t* bytes;
  Bytes host;
  std::shared_ptr<int> block = std::make_shared<int>();  // stand for what the copies read and write
  std::shared_ptr<int> host_block = std::make_shared<int>();
};

TEST(CopyBatch, GoesAsOneCopyAfterAllWhoMadeItsBytes) {
  for (std::uint64_t seed = 1; seed <= 200 / TIERLIB_RANDOM_SCALE + 10; ++seed) {
    Engine e(seed);
    const std::uint64_t copies = e.device.copy.count;
    std::vector<TransferRef> gathered;
    for (std::size_t i = 0; i + 1 < kBlocks; ++i) gathered.push_back(e.Gather(i, nullptr, i % 2).value());
    EXPECT_EQ(e.device.copy.count, copies);
    EXPECT_EQ(e.engine->bytes_in_flight(), (kBlocks - 1) * kBlock);
    EXPECT_EQ(e.block.use_count(), kBlocks) << "each holds it";
    EXPECT_EQ(e.host_block.use_count(), kBlocks);
    const std::uint64_t marks = e.device.record_event.count;
    ASSERT_TRUE(e.engine->FlushBatch().ok());
    EXPECT_EQ(e.device.copy.count, copies + 1);
    EXPECT_EQ(e.device.record_event.count, marks + 1);
    EXPECT_EQ(e.block.use_count(), 1) << "it goes back in stream order";
    EXPECT_EQ(e.host_block.use_count(), 1);
    ASSERT_TRUE(e.engine->Drain(NowNs() + 10'000'000'000).ok());
    for (std::size_t i = 0; i < gathered.size(); ++i) {
      EXPECT_TRUE(gathered[i]->ended && gathered[i]->status.ok());
      ASSERT_TRUE(e.HasArrived(i)) << "seed " << seed;
    }
    EXPECT_TRUE(e.device.health().ok()) << e.device.health();
    EXPECT_EQ(e.engine->bytes_in_flight(), 0u);
    EXPECT_EQ(e.engine->copied_bytes(CopyDirection::kDeviceToHost), (kBlocks - 1) * kBlock);
  }
}

TEST(CopyBatch, GoesWhenItsBlocksReachTheLimit) {
  Engine e(1);
  for (std::size_t i = 0; i + 1 < kBlocks; ++i) ASSERT_TRUE(e.Gather(i).ok());
  EXPECT_TRUE(e.engine->has_batch());
  const TransferRef last = e.Gather(kBlocks - 1).value();
  EXPECT_FALSE(e.engine->has_batch());
  EXPECT_FALSE(last->gathered);
  EXPECT_TRUE(e.engine->Await(last).ok());
  for (std::size_t i = 0; i < kBlocks; ++i) EXPECT_TRUE(e.HasArrived(i));
}

TEST(CopyBatch, GoesBeforeWhatNeedsOneOfIt) {
  struct Need {
    const char* name;
    std::function<void(Engine& e, const TransferRef& gathered)> ask;
  };
  const Need needs[] = {
      {"a copy in",
       [](Engine& e, const TransferRef& gathered) {
         const CopyRun back{e.Block(kBlocks), e.host.data(), kBlock};
         const TransferRef in = e.engine->CopyIn({&back, 1}, {&gathered, 1}, kStorage, nullptr).value();
         ASSERT_TRUE(e.engine->Await(in).ok());
         ASSERT_TRUE(e.device.SynchronizeStream(e.engine->in_stream()).ok());
         ASSERT_TRUE(e.HasArrived(0)) << "the copy in comes after it";
       }},
      {"a wait", [](Engine& e, const TransferRef& g) { EXPECT_TRUE(e.engine->WaitOn(e.streams[0], g).value()); }},
      {"a wait of the host",
       [](Engine& e, const TransferRef& gathered) {
         EXPECT_TRUE(e.engine->Await(gathered).ok());
         EXPECT_TRUE(gathered->ended);
       }},
      {"its storage",
       [](Engine& e, const TransferRef& gathered) {
         EXPECT_EQ(e.engine->LastCopyOut(gathered->storage), gathered);
         EXPECT_TRUE(e.engine->AwaitCopiesOut(gathered->storage).ok());
         EXPECT_TRUE(gathered->ended);
       }},
      {"its storage, by name",
       [](Engine& e, const TransferRef& gathered) {
         EXPECT_TRUE(e.engine->FlushBatchOf({7, 7}).ok());
         EXPECT_TRUE(gathered->gathered) << "it is of another one";
         EXPECT_TRUE(e.engine->FlushBatchOf(gathered->storage).ok());
       }},
      {"the cap on bytes in flight",
       [](Engine& e, const TransferRef& gathered) {
         EXPECT_TRUE(e.engine->AwaitBytesInFlight(2 * kBlock).ok());
         EXPECT_TRUE(gathered->gathered) << "it does not exceed that";
         EXPECT_TRUE(e.engine->AwaitBytesInFlight(kBlock).ok());
         EXPECT_LE(e.engine->bytes_in_flight(), kBlock);
       }},
      {"a copy out that does not wait",
       [](Engine& e, const TransferRef&) {
         const MarkRef written = e.events.MarkNow(e.streams[0]).value();
         const CopyRun run{&e.host[5 * kBlock], e.Block(5), kBlock};
         EXPECT_TRUE(e.engine->CopyOut({&run, 1}, *written, kStorage, nullptr).ok());
       }},
      {"the end", [](Engine& e, const TransferRef&) { EXPECT_TRUE(e.engine->Drain(NowNs() + 10'000'000'000).ok()); }},
  };
  for (const Need& need : needs) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      SCOPED_TRACE(std::string(need.name) + ", seed " + std::to_string(seed));
      Engine e(seed);
      const TransferRef gathered = e.Gather(0).value();
      ASSERT_TRUE(e.Gather(1).ok());
      need.ask(e, gathered);
      EXPECT_FALSE(gathered->gathered);
      EXPECT_FALSE(e.engine->has_batch());
      ASSERT_TRUE(e.engine->Drain(NowNs() + 10'000'000'000).ok());
      EXPECT_TRUE(e.HasArrived(0) && e.HasArrived(1));
      EXPECT_TRUE(e.device.health().ok()) << e.device.health();
    }
  }
}

TEST(CopyBatch, StaysWhereItCannotBeEnqueued) {
  for (FailingDevice::Fuse FailingDevice::*const fuse : {&FailingDevice::copy, &FailingDevice::synchronize_stream}) {
    Engine e(1);
    const TransferRef gathered = e.Gather(0).value();
    ASSERT_TRUE(e.Gather(1).ok());
    if (fuse == &FailingDevice::synchronize_stream) e.device.record_event.calls = 0;  // so that it is asked for
    (e.device.*fuse).calls = 0;
    EXPECT_EQ(e.engine->FlushBatch().code(), StatusCode::kUnavailable);
    EXPECT_EQ(e.engine->WaitOn(e.streams[0], gathered).status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(e.engine->Await(gathered).code(), StatusCode::kUnavailable);
    EXPECT_EQ(e.engine->Drain(NowNs() + 10'000'000'000).code(), StatusCode::kUnavailable);
    EXPECT_TRUE(gathered->gathered && !gathered->ended && gathered->status.ok());
    EXPECT_EQ(e.block.use_count(), 3) << "nothing is lost";
    EXPECT_EQ(e.host_block.use_count(), 3);
    EXPECT_EQ(e.engine->bytes_in_flight(), 2 * kBlock);
    EXPECT_TRUE(e.engine->health().ok());
    e.device.record_event.calls = -1;
    (e.device.*fuse).calls = -1;
    EXPECT_TRUE(e.engine->Await(gathered).ok());
    EXPECT_TRUE(e.HasArrived(0) && e.HasArrived(1));
    EXPECT_EQ(e.block.use_count(), 1);
    EXPECT_EQ(e.engine->copied_bytes(CopyDirection::kDeviceToHost), 2 * kBlock);
  }
}

TEST(CopyBatch, WithoutAnEventItIsWaitedFor) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Engine e(seed);
    const TransferRef gathered = e.Gather(0).value();
    ASSERT_TRUE(e.Gather(1).ok());
    e.device.record_event.calls = 0;
    ASSERT_TRUE(e.engine->FlushBatch().ok());
    EXPECT_TRUE(gathered->ended && gathered->status.ok());
    EXPECT_TRUE(e.HasArrived(0) && e.HasArrived(1)) << "seed " << seed;
    EXPECT_EQ(e.engine->bytes_in_flight(), 0u);
    EXPECT_EQ(e.engine->LastCopyOut(gathered->storage), nullptr);
  }
}

TEST(CopyBatch, KeepsTheProgramsMemoryUntilItEnded) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Engine e(seed);
    auto keepalive = std::make_shared<int>(1);
    const TransferRef gathered = e.Gather(0, keepalive).value();
    ASSERT_TRUE(e.engine->FlushBatch().ok());
    while (!gathered->ended) {
      EXPECT_EQ(keepalive.use_count(), 2);
      e.engine->Poll();
    }
    EXPECT_EQ(keepalive.use_count(), 1);
    EXPECT_TRUE(e.HasArrived(0)) << "seed " << seed;
  }
}

TEST(CopyBatch, FailsAsOneWhereItsCopyFails) {
  Engine e(1);
  const TransferRef gathered[] = {e.Gather(0).value(), e.Gather(1).value()};
  ASSERT_TRUE(e.engine->FlushBatch().ok());
  e.device.event_done.calls = 0;
  e.engine->Poll();
  for (const TransferRef& one : gathered) {
    EXPECT_TRUE(one->ended);
    EXPECT_EQ(one->status.code(), StatusCode::kUnavailable);
  }
  EXPECT_EQ(e.engine->health().code(), StatusCode::kUnavailable);
  EXPECT_EQ(e.engine->bytes_in_flight(), 0u);
  ASSERT_TRUE(e.device.Synchronize().ok());  // the host's bytes go with the test
}

}  // namespace
}  // namespace tierlib
