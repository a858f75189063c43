// What fails says so, and leaves everything else as it was: other values, the ledger, the lock.
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>

#include "base/failpoint.h"
#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 4096;

Bytes Pattern(std::uint64_t seed, std::uint64_t count = kSize) {
  Random random(seed);
  return RandomBytes(random, count);
}

Status FailingPack(Program& p, StorageId id, const Layout& layout, Keepalive keepalive = nullptr) {
  const ScopedFailpoint failure("transfer.enqueue", {});
  const Status status = p.runtime->Pack({id, layout}, std::move(keepalive), p.compute(), "refused").status();
  EXPECT_EQ(failure.calls(), 1);
  return status;
}

// --- a Pack that fails
// ------------------------------------------------------------------------------------------------

TEST(Failures, APackThatFailsBooksNothing) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    Program p(DeterministicOptions(1, mode));
    const Allocation x = p.Make(Pattern(1));
    EXPECT_EQ(FailingPack(p, x.storage, WholeOf(kSize)).code(), StatusCode::kUnavailable);
    EXPECT_EQ(p.ledger().packs, 0u);
    EXPECT_EQ(p.ledger().naive, 0u);
    ExpectBookedOnce(p.ledger());
    EXPECT_EQ(p.runtime->statistics().pinned.live, 0u);
    const Saved saved = p.Pack(x.storage, WholeOf(kSize));
    ExpectBookedOnce(p.ledger());
    p.Retire(x.storage);
    EXPECT_EQ(p.Unpack(saved), Pattern(1));
  }
}

// The value saved before shares its snapshot with the one that failed, and has come back into a block of its own size.
TEST(Failures, APackThatFailsLeavesOtherValuesOfTheStorageAlone) {
  Program p(DeterministicOptions(1), /*with_memory=*/true);
  Adopted x = Adopt(p, Pattern(1));
  const Saved part = p.Pack(x.storage, PartOf(0, 64), x.memory);
  ASSERT_TRUE(p.runtime->Drain().ok());
  EXPECT_EQ(p.Unpack(part), Slice(Pattern(1), 0, 64));
  EXPECT_EQ(FailingPack(p, x.storage, WholeOf(kSize), x.memory).code(), StatusCode::kUnavailable);
  ASSERT_TRUE(p.runtime->Drain().ok());
  EXPECT_EQ(x.memory.use_count(), 1) << "nothing keeps the memory for a value that was not taken";
  p.Retire(x.storage);
  x.memory.reset();
  EXPECT_EQ(p.Unpack(part), Slice(Pattern(1), 0, 64));
  ASSERT_TRUE(p.runtime->Reclaim(0, MiB(1)).ok());
  EXPECT_EQ(p.ledger().moved, 64u);
  EXPECT_EQ(p.Unpack(part), Slice(Pattern(1), 0, 64));
  ExpectBookedOnce(p.ledger());
}

// A naive copy of a strided view needs room to be gathered in. Where there is none the value stays where it is.
TEST(Failures, ANaiveCopyThatCannotBeGatheredIsKept) {
  constexpr std::int64_t kSide = 1600;  // 2.4 MiB of the device's 4 MiB
  Program p(DeterministicOptions(1, OffloadMode::kNaive));
  const Bytes bytes = Pattern(1, kSide * kSide);
  const Layout transposed{DType::kU8, {kSide, kSide}, {1, kSide}, 0};
  const Allocation x = p.Make(bytes);
  const Saved saved = p.Pack(x.storage, transposed);
  p.Retire(x.storage);
  EXPECT_EQ(p.ledger().kept, static_cast<std::uint64_t>(kSide * kSide));
  ExpectBookedOnce(p.ledger());
  EXPECT_EQ(p.Unpack(saved), ElementsOf(bytes.data(), transposed));
}

// --- a copy that fails
// ------------------------------------------------------------------------------------------------

// Waits for the copies in flight, the first of which turns out to have failed.
void FailACopy(Program& p) {
  const ScopedFailpoint failure("transfer.end", {});
  ASSERT_TRUE(p.runtime->Drain().ok());
  ASSERT_GE(failure.calls(), 1);
}

TEST(Failures, AValueWhoseCopyFailedIsLostAndOthersOfItsStorageAreNot) {
  Program p(DeterministicOptions(1));
  const Allocation x = p.Make(Pattern(1));
  const Saved lost = p.Pack(x.storage, PartOf(0, 64));
  FailACopy(p);
  const Status status = p.runtime->Unpack(lost, p.compute()).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
  EXPECT_NE(status.message().find("'saved': a copy of it failed: the copy failed by a failpoint"),
            std::string_view::npos)
      << status;
  EXPECT_EQ(p.runtime->health().code(), StatusCode::kUnavailable);
  const Saved part = p.Pack(x.storage, PartOf(0, 64));
  const Saved whole = p.Pack(x.storage, WholeOf(kSize));
  p.Retire(x.storage);
  EXPECT_EQ(p.Unpack(part), Slice(Pattern(1), 0, 64));
  EXPECT_EQ(p.Unpack(whole), Pattern(1));
  EXPECT_EQ(p.runtime->Unpack(lost, p.compute()).status().code(), StatusCode::kDataLoss);
  ExpectBookedOnce(p.ledger());
}

TEST(Failures, WhatIsMadeFromALostValueIsLost) {
  Program p(DeterministicOptions(1));
  const Allocation x = p.Make(Pattern(1));
  const Allocation y = p.Make(Pattern(1));
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
  const Saved sx = p.Pack(x.storage, WholeOf(kSize));
  const Saved sy = p.Pack(y.storage, WholeOf(kSize));
  p.Retire(x.storage);
  p.Retire(y.storage);
  FailACopy(p);
  const Status status = p.runtime->Unpack(sy, p.compute()).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
}

// A small view stayed on the device, with the storage's bytes; the copy of the rest failed.
TEST(Failures, DeviceBytesOfALostValueDoNotLeave) {
  Options options = DeterministicOptions(1);
  options.minimum_bytes = 256;
  Program p(options);
  const Allocation x = p.Make(Pattern(1));
  const Saved small = p.Pack(x.storage, PartOf(0, 64));
  const Saved rest = p.Pack(x.storage, PartOf(1024, kSize));
  p.Retire(x.storage);
  FailACopy(p);
  EXPECT_EQ(p.runtime->Reclaim(0, kSize).value(), 0u);
  EXPECT_EQ(p.runtime->Unpack(rest, p.compute()).status().code(), StatusCode::kDataLoss);
}

// The host still has the bytes. What was given back meanwhile is not right, which health() tells.
TEST(Failures, ACopyInThatFailedIsMadeAgain) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    Program p(DeterministicOptions(1, mode));
    const Allocation x = p.Make(Pattern(1));
    const Saved saved = p.Pack(x.storage, WholeOf(kSize));
    p.Retire(x.storage);
    ASSERT_TRUE(p.runtime->Drain().ok());
    ASSERT_TRUE(p.runtime->Unpack(saved, p.compute()).ok());
    FailACopy(p);
    EXPECT_EQ(p.runtime->health().code(), StatusCode::kUnavailable);
    EXPECT_EQ(p.Unpack(saved), Pattern(1));
    EXPECT_EQ(p.ledger().copies_in, 2u);
    ExpectBookedOnce(p.ledger());
  }
}

TEST(Failures, ADeviceThatTakesNoWorkIsAStatusThatNamesTheStorage) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    Options options = DeterministicOptions(1, mode);
    auto faults = std::make_shared<Faults>();
    options.devices[0].faults = faults;
    Program p(options);
    const Allocation x = p.Make(Pattern(1));
    const Allocation y = p.Make(Pattern(2));
    const Saved there = p.Pack(x.storage, WholeOf(kSize));
    p.Retire(x.storage);
    ASSERT_TRUE(p.runtime->Drain().ok());
    FaultPlan plan;
    plan.call = 1;
    plan.persistent = true;
    plan.points = {FaultPoint::kRecordEvent, FaultPoint::kWaitEvent, FaultPoint::kCopy, FaultPoint::kLaunch};
    faults->Arm(plan);
    for (int i = 0; i < 2; ++i) {
      const Status packed = p.runtime->Pack({y.storage, WholeOf(kSize)}, nullptr, p.compute(), "lost pack").status();
      EXPECT_EQ(packed.code(), StatusCode::kUnavailable) << packed;
      EXPECT_NE(packed.message().find("'lost pack'"), std::string_view::npos) << packed;
      const Status unpacked = p.runtime->Unpack(there, p.compute()).status();
      EXPECT_EQ(unpacked.code(), StatusCode::kUnavailable) << unpacked;
      EXPECT_NE(unpacked.message().find("'saved'"), std::string_view::npos) << unpacked;
    }
    faults->Disarm();
    EXPECT_EQ(p.Unpack(there), Pattern(1));
    const Saved again = p.Pack(y.storage, WholeOf(kSize));
    p.Retire(y.storage);
    EXPECT_EQ(p.Unpack(again), Pattern(2));
    ExpectBookedOnce(p.ledger());
  }
}

// --- callbacks that throw
// ---------------------------------------------------------------------------------------------

TEST(Failures, ACallbackThatRunsOutOfMemoryIsAStatus) {
  Options options = DeterministicOptions(1);
  bool in_allocator = false, in_replay = false;
  Bytes memory(2 * kSize);
  options.devices[0].allocator = std::make_shared<DeviceAllocator>();
  options.devices[0].allocator->allocate = [&](std::size_t, Stream) -> void* {
    if (in_allocator) throw std::bad_alloc();
    return memory.data();
  };
  options.devices[0].allocator->deallocate = [](void*, std::size_t, Stream) {};
  Program p(options);
  const Replay replay = Replay::Call("copy", [&](const ReplayArguments& arguments) {
    if (in_replay) throw std::bad_alloc();
    p.Launch(arguments.stream, {}, [arguments] { std::memcpy(arguments.destination, arguments.source, kSize); });
    return OkStatus();
  });
  const Allocation x = p.Make(Pattern(1), Holds::kPersistent);
  const Allocation y = p.Make(Pattern(1));
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, replay).ok());
  const Saved saved = p.Pack(y.storage, WholeOf(kSize));
  p.Retire(y.storage);
  for (bool* fails : {&in_allocator, &in_replay}) {
    *fails = true;
    EXPECT_EQ(p.runtime->Unpack(saved, p.compute()).status().code(), StatusCode::kResourceExhausted);
    *fails = false;
  }
  EXPECT_EQ(p.Unpack(saved), Pattern(1));
}

// --- deadlines
// --------------------------------------------------------------------------------------------------------

// Of a device that hangs no event is ever seen to complete. What waits for one gives up at the deadline; memory that a
// copy may still read is the program's again when the device comes back, or else when the runtime and its handles go.
TEST(Failures, ADeviceThatNeverComesBackIsGivenUpAtTheDeadline) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    for (const bool comes_back : {false, true}) {
      Options options = DeterministicOptions(1, mode);
      options.shutdown_deadline_ns = 20'000'000;
      const auto faults = std::make_shared<Faults>();
      options.devices[0].faults = faults;
      Program p(options, /*with_memory=*/true);
      int given_back = 0;
      Keepalive memory(p.memory->Take(kSize), [&given_back](void*) { ++given_back; });
      p.Write(memory.get(), Pattern(1), p.compute());
      const StorageId x = p.runtime->Register(memory.get(), kSize, 0, Holds::kTransient, "adopted").value();
      FaultPlan hangs;
      hangs.slow_ns = std::numeric_limits<std::uint64_t>::max();
      faults->Arm(hangs);
      Saved saved = p.Pack(x, WholeOf(kSize), memory);
      p.Retire(x);
      memory.reset();
      const Status drained = p.runtime->Drain();
      EXPECT_EQ(drained.code(), StatusCode::kDeadlineExceeded) << drained;
      EXPECT_NE(drained.message().find("copies were still in flight"), std::string_view::npos) << drained;
      EXPECT_EQ(p.runtime->Allocate(MiB(4), Holds::kTransient, p.compute(), "large").status().code(),
                StatusCode::kResourceExhausted);
      EXPECT_EQ(given_back, 0) << "a copy may still read it";
      EXPECT_TRUE(p.runtime->Unpack(saved, p.compute()).ok()) << "which its stream waits for, and no thread";
      if (comes_back) {
        faults->Disarm();
        Status again = p.runtime->Drain();
        // A busy machine may keep this thread from running for as long as the deadline: asked again, it has lost nothing.
        for (int i = 0; i < 1000 && again.code() == StatusCode::kDeadlineExceeded; ++i) again = p.runtime->Drain();
        EXPECT_TRUE(again.ok()) << again;
        EXPECT_EQ(given_back, 1);
        EXPECT_EQ(p.Unpack(saved), Pattern(1));
      }
      saved = Saved();
      p.runtime.reset();
      EXPECT_EQ(given_back, 1);
    }
  }
}

TEST(Failures, ADeadlineMayBeFurtherAwayThanTheClockCounts) {
  Options options = DeterministicOptions(1);
  options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
  options.devices[0].emulated.copy_out_bytes_per_s = 40'000;  // 4 KiB take 0.1 s
  options.shutdown_deadline_ns = std::numeric_limits<std::uint64_t>::max();
  Program p(options);
  const Allocation x = p.Make(Pattern(1));
  const Saved saved = p.Pack(x.storage, WholeOf(kSize));
  const Status drained = p.runtime->Drain();
  EXPECT_TRUE(drained.ok()) << drained;
}

}  // namespace
}  // namespace tierlib
