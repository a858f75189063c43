// Copies in chunks: how they are split, what waits for what, and what a failed chunk means.
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gtest/gtest.h"
#include "storage/copy_chunks.h"
#include "storage/failing_device.h"
#include "storage/transfer_engine.h"

namespace tierlib {
namespace {

constexpr std::size_t kChunk = 256;
constexpr std::size_t kValue = 4 * kChunk;
constexpr StorageId kStorage{0, 1};

using Bytes = std::vector<std::uint8_t>;

Bytes Ascending(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + i / kChunk);
  return bytes;
}

DeviceOptions RaceTellingDevice(std::uint64_t seed) {
  DeviceOptions options = DeterministicDevice(seed);
  options.emulated.find_races = true;
  return options;
}

class Engine {
 public:
  explicit Engine(const DeviceOptions& options, std::uint64_t chunk_bytes = kChunk)
      : device(options),
        events(device),
        engine(TransferEngine::Create(device, events, nullptr, nullptr, {.chunk_bytes = chunk_bytes}).value()),
        compute(device.CreateStream("compute").value()),
        bytes(static_cast<std::uint8_t*>(device.Reserve(2 * kValue).value())) {}

  // Enqueues writing `value` to the device on compute, and a copy of it to `host`.
  StatusOr<TransferRef> WriteAndCopyOut(const Bytes& value, void* host, std::shared_ptr<void> keeps = nullptr) {
    const CopyRun write{bytes, value.data(), kValue};
    TIERLIB_RETURN_IF_ERROR(device.Copy({&write, 1}, CopyDirection::kHostToDevice, compute));
    device.copy.calls = copies_that_succeed;
    TIERLIB_ASSIGN_OR_RETURN(const MarkRef written, events.MarkNow(compute));
    device.record_event.calls = marks_that_succeed;
    device.record_event.once = true;
    const CopyRun run{host, bytes, kValue};
    return engine->CopyOut({&run, 1}, *written, kStorage, std::move(keeps));
  }
  // Enqueues the way back, to the second half of the memory.
  StatusOr<TransferRef> CopyBack(const void* host, const TransferRef& out) {
    const CopyRun back{bytes + kValue, host, kValue};
    return engine->CopyIn({&back, 1}, {&out, 1}, kStorage, nullptr);
  }
  Bytes ReadBack(const TransferRef& in) {
    Bytes seen(kValue);
    EXPECT_TRUE(engine->WaitOn(compute, in).ok());
    HostKernel read;
    read.name = "read";
    read.accesses = {{bytes + kValue, kValue, false}};
    read.run = [this, &seen](KernelContext&) { std::memcpy(seen.data(), bytes + kValue, kValue); };
    EXPECT_TRUE(device.Launch(compute, std::move(read)).ok());
    EXPECT_TRUE(device.SynchronizeStream(compute).ok());
    return seen;
  }

  std::int64_t copies_that_succeed = -1;  // of those that a CopyOut makes
  std::int64_t marks_that_succeed = -1;   // likewise; the one after them fails
  FailingDevice device;
  EventPool events;
  std::unique_ptr<TransferEngine> engine;
  Stream compute;
  std::uint8_t* bytes;
};

TEST(CopyChunks, CutRunsWhereAChunkIsFull) {
  Bytes from(100), to(100);
  const CopyRun runs[] = {{&to[0], &from[50], 7}, {&to[7], &from[0], 0}, {&to[20], &from[60], 13}};
  const CopyChunks copy(runs, CopyDirection::kDeviceToHost, 8);
  ASSERT_EQ(copy.chunks().size(), 3u);
  EXPECT_EQ(copy.bytes(), 20u);
  const auto& second = copy.chunks()[1];
  ASSERT_EQ(copy.chunks()[0].runs.size(), 2u);
  EXPECT_EQ(copy.chunks()[0].runs[1].destination, &to[20]);
  EXPECT_EQ(copy.chunks()[0].runs[1].bytes, 1u);
  ASSERT_EQ(second.runs.size(), 1u);
  EXPECT_EQ(second.runs[0].destination, &to[21]);
  EXPECT_EQ(second.runs[0].source, &from[61]);
  EXPECT_EQ(second.bytes, 8u);
  EXPECT_EQ(second.host.begin, reinterpret_cast<std::uintptr_t>(&to[21]));
  EXPECT_EQ(second.host.end - second.host.begin, 8u);
  EXPECT_EQ(copy.chunks()[2].bytes, 4u);
}

TEST(CopyChunks, AreBoundedInNumber) {
  for (const std::uint64_t bytes : {0u, 1u, 8u, 9u, 127u, 128u, 129u, 4096u, 4097u, 100'000u}) {
    const CopyRun run{nullptr, nullptr, bytes};
    for (const std::uint64_t wanted : {0u, 8u}) {
      const CopyChunks copy({&run, 1}, CopyDirection::kHostToDevice, wanted);
      std::uint64_t sum = 0;
      for (const auto& chunk : copy.chunks()) sum += chunk.bytes;
      EXPECT_EQ(sum, bytes);
      EXPECT_LE(copy.chunks().size(), CopyChunks::kMost) << bytes;
      const bool split = bytes > wanted && wanted > 0 && (bytes <= CopyChunks::kMost * wanted || bytes > 256);
      EXPECT_EQ(copy.chunks().size() > 1, split) << bytes << " by " << wanted << "; larger ones are aligned";
    }
  }
}

// The value comes back to the bit in every order that the device may choose, and in some of them its first chunk is
// back before its last one has left.
TEST(TransferChunks, ComeBackRightBehindTheirOwnCopyOut) {
  int overlapped = 0;
  for (std::uint64_t seed = 1; seed <= 300 / TIERLIB_RANDOM_SCALE + 20; ++seed) {
    const Bytes value = Ascending(kValue);  // these outlive the engine
    Bytes host(kValue);
    Engine e(RaceTellingDevice(seed));
    const TransferRef out = e.WriteAndCopyOut(value, host.data()).value();
    const TransferRef in = e.CopyBack(host.data(), out).value();
    EXPECT_EQ(out->chunks.size(), 4u);
    const MarkRef last_out = out->end;
    const MarkRef first_in = in->chunks.front().end;
    while (!e.device.EventDone(first_in->event).value()) {
    }
    overlapped += !e.device.EventDone(last_out->event).value();
    ASSERT_EQ(e.ReadBack(in), value) << "seed " << seed;
    ASSERT_TRUE(e.device.health().ok()) << e.device.health();
    ASSERT_TRUE(e.engine->Drain(NowNs() + 10'000'000'000).ok());
    EXPECT_EQ(e.engine->bytes_in_flight(), 0u);
    EXPECT_EQ(e.engine->copied_bytes(CopyDirection::kDeviceToHost), kValue);
    EXPECT_EQ(e.device.CopiedBytes(CopyDirection::kDeviceToHost), kValue);
  }
  EXPECT_GT(overlapped, 0);
}

// A copy in of parts of several copies out, in an order of its own.
TEST(TransferChunks, WaitForEachSourceThatHasTheirBytes) {
  for (std::uint64_t seed = 1; seed <= 200 / TIERLIB_RANDOM_SCALE + 20; ++seed) {
    const Bytes value = Ascending(kValue);
    Bytes host(2 * kValue);
    Engine e(RaceTellingDevice(seed));
    const TransferRef first = e.WriteAndCopyOut(value, host.data() + kValue).value();
    const CopyRun again{host.data(), e.bytes, kValue};
    const MarkRef written = e.events.MarkNow(e.compute).value();
    const TransferRef sources[] = {first, e.engine->CopyOut({&again, 1}, *written, kStorage, nullptr).value()};
    const std::size_t half = kValue / 2 + 3;
    const CopyRun back[] = {{e.bytes + kValue + half, host.data() + half, kValue - half},
                            {e.bytes + kValue, host.data() + kValue, half}};
    const TransferRef in = e.engine->CopyIn(back, sources, kStorage, nullptr).value();
    ASSERT_EQ(e.ReadBack(in), value) << "seed " << seed;
    ASSERT_TRUE(e.device.health().ok()) << e.device.health();
  }
}

TEST(TransferChunks, OneThatFailedFailsTheTransferOnceTheOthersEnded) {
  int under_way = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Bytes value = Ascending(kValue);
    Bytes host(kValue);
    Engine e(DeterministicDevice(seed));
    auto keepalive = std::make_shared<int>(1);
    const TransferRef out = e.WriteAndCopyOut(value, host.data(), keepalive).value();
    e.device.event_done.once = true;
    e.device.event_done.calls = 0;
    e.engine->Poll();
    EXPECT_EQ(out->status.code(), StatusCode::kUnavailable);
    if (!out->ended) {
      ++under_way;
      EXPECT_EQ(keepalive.use_count(), 2) << "the others still read it";
      EXPECT_EQ(e.CopyBack(host.data(), out).status().code(), StatusCode::kUnavailable);
      EXPECT_EQ(e.engine->WaitOn(e.compute, out).status().code(), StatusCode::kUnavailable);
    }
    EXPECT_EQ(e.engine->Await(out).code(), StatusCode::kUnavailable);
    EXPECT_TRUE(out->ended);
    EXPECT_EQ(keepalive.use_count(), 1);
    EXPECT_EQ(e.engine->health().code(), StatusCode::kUnavailable);
    EXPECT_EQ(e.engine->bytes_in_flight(), 0u);
  }
  EXPECT_GT(under_way, 0);
}

// What was enqueued of it has ended when the error is returned: the caller lets the memory go.
TEST(TransferChunks, ARefusedOneEndsThoseBeforeIt) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Bytes value = Ascending(kValue);
    Bytes host(kValue);
    Engine e(DeterministicDevice(seed));
    e.copies_that_succeed = 2;
    EXPECT_EQ(e.WriteAndCopyOut(value, host.data()).status().code(), StatusCode::kUnavailable);
    EXPECT_EQ(std::memcmp(host.data(), value.data(), 2 * kChunk), 0);
    EXPECT_EQ(e.engine->bytes_in_flight(), 0u);
    EXPECT_EQ(e.engine->LastCopyOut(kStorage), nullptr);
    EXPECT_EQ(e.engine->copied_bytes(CopyDirection::kDeviceToHost), 0u);
  }
}

TEST(TransferChunks, OneWithoutAMarkEndsWithTheNext) {
  for (std::int64_t missing = 0; missing < 4; ++missing) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      const Bytes value = Ascending(kValue);
      Bytes host(kValue);
      Engine e(RaceTellingDevice(seed));
      e.marks_that_succeed = missing;
      const TransferRef out = e.WriteAndCopyOut(value, host.data()).value();
      EXPECT_EQ(out->ended, missing == 3) << "nothing tells when the last one ends, so it was waited for";
      EXPECT_EQ(out->chunks.size(), missing == 3 ? 0u : 3u);
      std::vector<CopyRun> back;  // the one after it comes back first
      for (const std::size_t i : {1, 0, 2, 3}) {
        const std::size_t at = (i + static_cast<std::size_t>(missing)) % 4 * kChunk;
        back.push_back({e.bytes + kValue + at, host.data() + at, kChunk});
      }
      const TransferRef in = e.engine->CopyIn(back, {&out, 1}, kStorage, nullptr).value();
      ASSERT_EQ(e.ReadBack(in), value) << "seed " << seed;
      ASSERT_TRUE(e.device.health().ok()) << e.device.health();
      ASSERT_TRUE(e.engine->Drain(NowNs() + 10'000'000'000).ok());
      EXPECT_EQ(e.engine->bytes_in_flight(), 0u);
    }
  }
}

TEST(TransferChunks, CountAsTheyEndForTheCapOnBytesInFlight) {
  int under_way = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Bytes value = Ascending(kValue);
    Bytes host(kValue);
    Engine e(DeterministicDevice(seed));
    const TransferRef out = e.WriteAndCopyOut(value, host.data()).value();
    EXPECT_EQ(e.engine->bytes_in_flight(), kValue);
    ASSERT_TRUE(e.engine->AwaitBytesInFlight(2 * kChunk).ok());
    EXPECT_LE(e.engine->bytes_in_flight(), 2 * kChunk);
    EXPECT_EQ(std::memcmp(host.data(), value.data(), 2 * kChunk), 0) << "those that count no more have arrived";
    under_way += out->ended ? 0 : 1;
    ASSERT_TRUE(e.engine->AwaitBytesInFlight(0).ok());
    EXPECT_TRUE(out->ended);
    EXPECT_EQ(host, value);
  }
  EXPECT_GT(under_way, 0);
}

TEST(TransferChunks, UseTheirEventsAgain) {
  const Bytes value = Ascending(kValue);
  Bytes host(kValue);
  Engine e(DeterministicDevice(1));
  for (int i = 0; i < 20'000 / TIERLIB_RANDOM_SCALE; ++i) {
    const TransferRef out = e.WriteAndCopyOut(value, host.data()).value();
    ASSERT_TRUE(e.engine->AwaitBytesInFlight(3 * kValue).ok());
  }
  EXPECT_LT(e.device.create_event.count, 32u) << "at most four transfers of four chunks are in flight";
}

}  // namespace
}  // namespace tierlib
