// TransferEngine on devices that delay copies, poison bytes that have not arrived, and fail.
#include "storage/transfer_engine.h"

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gtest/gtest.h"
#include "storage/failing_device.h"

namespace tierlib {
namespace {

constexpr std::size_t kBlock = 1024;
constexpr StorageId kStorage{0, 1};

class Engine {
 public:
  explicit Engine(const DeviceOptions& options)
      : device(options),
        events(device),
        engine(TransferEngine::Create(device, events, nullptr).value()),
        compute(device.CreateStream("compute").value()),
        bytes(static_cast<std::uint8_t*>(device.Reserve(8 * kBlock).value())) {}

  // Enqueues writing `value` to a block of the device on compute, and a copy of it to `host`.
  StatusOr<TransferRef> WriteAndCopyOut(std::uint8_t value, void* host, std::shared_ptr<void> keeps = nullptr,
                                        std::size_t block = 0) {
    std::uint8_t* const from = bytes + block * kBlock;
    TIERLIB_RETURN_IF_ERROR(device.Fill(from, value, kBlock, compute));
    TIERLIB_ASSIGN_OR_RETURN(const MarkRef written, events.MarkNow(compute));
    const CopyRun run{host, from, kBlock};
    return engine->CopyOut({&run, 1}, *written, kStorage, std::move(keeps));
  }

  FailingDevice device;
  EventPool events;
  std::unique_ptr<TransferEngine> engine;
  Stream compute;
  std::uint8_t* bytes;
};

// OFFLOAD.md, test 24: a copy in waits for its own copy out, also right after it; a copy out waits for its producer.
TEST(TransferEngine, ACopyInStartsAfterItsOwnCopyOut) {
  for (std::uint64_t seed = 1; seed <= 200 / TIERLIB_RANDOM_SCALE + 4; ++seed) {
    Engine e(DeterministicDevice(seed));
    std::vector<std::uint8_t> host(kBlock), expected(kBlock, 7), seen(kBlock);
    const TransferRef out = e.WriteAndCopyOut(7, host.data()).value();
    const CopyRun back{e.bytes + kBlock, host.data(), kBlock};
    const TransferRef in = e.engine->CopyIn({&back, 1}, {&out, 1}, kStorage, nullptr).value();
    EXPECT_TRUE(e.engine->WaitOn(e.compute, in).value()) << "a wait was needed";
    ASSERT_TRUE(e.device
                    .Launch(e.compute,
                            {"read", {}, [&](KernelContext&) { std::memcpy(seen.data(), e.bytes + kBlock, kBlock); }})
                    .ok());
    ASSERT_TRUE(e.device.SynchronizeStream(e.compute).ok());
    ASSERT_EQ(seen, expected) << "seed " << seed;
    EXPECT_EQ(e.engine->copied_bytes(CopyDirection::kDeviceToHost), kBlock);
    EXPECT_EQ(e.engine->copied_bytes(CopyDirection::kHostToDevice), kBlock);
  }
}

TEST(TransferEngine, CopiesEachRunToItsPlace) {
  Engine e(DeterministicDevice(3));
  ASSERT_TRUE(e.device.Fill(e.bytes, 1, kBlock, e.compute).ok());
  ASSERT_TRUE(e.device.Fill(e.bytes + kBlock, 2, kBlock, e.compute).ok());
  const MarkRef written = e.events.MarkNow(e.compute).value();
  std::vector<std::uint8_t> host(30);
  const CopyRun runs[] = {{host.data(), e.bytes + kBlock - 5, 10}, {host.data() + 10, e.bytes, 20}};
  const TransferRef out = e.engine->CopyOut(runs, *written, kStorage, nullptr).value();
  EXPECT_EQ(out->bytes, 30u);
  ASSERT_TRUE(e.engine->Await(out).ok());
  std::vector<std::uint8_t> expected(30, 1);
  for (int i = 5; i < 10; ++i) expected[static_cast<std::size_t>(i)] = 2;
  EXPECT_EQ(host, expected);
}

TEST(TransferEngine, KeepsTheProgramsMemoryUntilTheCopyEnded) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Engine e(DeterministicDevice(seed));
    std::vector<std::uint8_t> host(kBlock);
    auto keepalive = std::make_shared<int>(1);
    const TransferRef out = e.WriteAndCopyOut(9, host.data(), keepalive).value();
    while (!out->ended) {
      EXPECT_EQ(keepalive.use_count(), 2);
      e.engine->Poll();
    }
    EXPECT_EQ(keepalive.use_count(), 1);
    EXPECT_EQ(host.back(), 9) << "seed " << seed;
    EXPECT_EQ(e.engine->bytes_in_flight(), 0u);
  }
}

TEST(TransferEngine, WaitingForAnEndedTransferInsertsNothing) {
  Engine e(DeterministicDevice(1));
  std::vector<std::uint8_t> host(kBlock);
  const TransferRef out = e.WriteAndCopyOut(9, host.data()).value();
  ASSERT_TRUE(e.engine->Drain(NowNs() + 10'000'000'000).ok());
  EXPECT_TRUE(out->ended);
  EXPECT_FALSE(e.engine->WaitOn(e.compute, out).value());
}

TEST(TransferEngine, ARefusedCopyIsReturnedAndNotInFlight) {
  Engine e(DeterministicDevice(1));
  std::vector<std::uint8_t> host(kBlock);
  auto keepalive = std::make_shared<int>(1);
  e.device.copy.calls = 0;
  EXPECT_EQ(e.WriteAndCopyOut(9, host.data(), keepalive).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(keepalive.use_count(), 1);
  EXPECT_EQ(e.engine->bytes_in_flight(), 0u);
  EXPECT_TRUE(e.engine->health().ok());
}

TEST(TransferEngine, AFailedCopySurfacesWhereverItIsAsked) {
  std::vector<std::uint8_t> host(kBlock);  // outlives the engine: a failed copy may still be under way
  Engine e(DeterministicDevice(1));
  auto keepalive = std::make_shared<int>(1);
  const TransferRef out = e.WriteAndCopyOut(9, host.data(), keepalive).value();
  e.device.event_done.calls = 0;
  e.engine->Poll();
  EXPECT_TRUE(out->ended);
  EXPECT_EQ(keepalive.use_count(), 1);
  EXPECT_EQ(e.engine->health().code(), StatusCode::kUnavailable);
  EXPECT_EQ(e.engine->Await(out).code(), StatusCode::kUnavailable);
  EXPECT_EQ(e.engine->WaitOn(e.compute, out).status().code(), StatusCode::kUnavailable);
  const CopyRun back{e.bytes + kBlock, host.data(), kBlock};
  EXPECT_EQ(e.engine->CopyIn({&back, 1}, {&out, 1}, kStorage, nullptr).status().code(), StatusCode::kUnavailable)
      << "bytes that never arrived must not be copied back";
}

// The copy is on its way but nothing tells when it ended: the memory may be let go only once it did.
TEST(TransferEngine, WithoutAnEventTheCopyIsWaitedForBeforeItsMemoryIsLetGo) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Engine e(DeterministicDevice(seed));
    std::vector<std::uint8_t> host(kBlock);
    bool arrived = false;
    {
      std::shared_ptr<void> keepalive(nullptr, [&](void*) { arrived = host.back() == 9; });
      e.device.record_event.calls = 1;  // the producer's mark, not the copy's
      const StatusOr<TransferRef> out = e.WriteAndCopyOut(9, host.data(), std::move(keepalive));
      ASSERT_TRUE(out.ok()) << out.status();
      EXPECT_TRUE((*out)->ended && (*out)->status.ok());
    }
    EXPECT_TRUE(arrived) << "seed " << seed;
  }
}

DeviceOptions SlowDevice() {
  DeviceOptions options;
  options.capacity = MiB(4);
  options.emulated.copy_out_bytes_per_s = 20'000;  // a block of 1 KiB takes 50 ms
  return options;
}

TEST(TransferEngine, DrainingStopsAtItsDeadline) {
  Engine e(SlowDevice());
  std::vector<std::uint8_t> host(kBlock);
  const TransferRef out = e.WriteAndCopyOut(9, host.data()).value();
  EXPECT_EQ(e.engine->Drain(NowNs() + 1'000'000).code(), StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(out->ended);
  EXPECT_TRUE(e.engine->Drain(NowNs() + 10'000'000'000).ok());
  EXPECT_TRUE(out->ended);
  EXPECT_EQ(host.back(), 9);
}

TEST(TransferEngine, AwaitingBytesInFlightWaitsForTheOldest) {
  Engine e(SlowDevice());
  std::vector<std::uint8_t> host(3 * kBlock);
  const TransferRef first = e.WriteAndCopyOut(1, host.data()).value();
  const TransferRef second = e.WriteAndCopyOut(1, host.data() + kBlock, nullptr, 1).value();
  const TransferRef third = e.WriteAndCopyOut(1, host.data() + 2 * kBlock, nullptr, 2).value();
  EXPECT_EQ(e.engine->bytes_in_flight(), 3 * kBlock);
  ASSERT_TRUE(e.engine->AwaitBytesInFlight(2 * kBlock).ok());
  EXPECT_TRUE(first->ended);
  EXPECT_FALSE(third->ended);
  ASSERT_TRUE(e.engine->AwaitBytesInFlight(0).ok());
  EXPECT_TRUE(second->ended);
  EXPECT_TRUE(third->ended);
  EXPECT_EQ(e.engine->bytes_in_flight(), 0u);
}

}  // namespace
}  // namespace tierlib
