// What a saved value promises however it was treated: the bytes that were packed, or the error that names why not. Each
// test is a sequence of verbs in which two of them meet.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 4096;
constexpr OffloadMode kModes[] = {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal};

const char* Name(OffloadMode mode) {
  return mode == OffloadMode::kOff ? "off" : mode == OffloadMode::kNaive ? "naive" : "marshal";
}

Bytes Pattern(std::uint64_t seed, std::uint64_t count = kSize) {
  Random random(seed);
  return RandomBytes(random, count);
}

// --- memory
// -----------------------------------------------------------------------------------------------------------

// A host block that was read for a copy in is free once that copy ended, whatever is copied in later.
TEST(SavedValues, ACopyOutWaitsForNoCopyInThatCameAfterItsBlockWasFree) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    Options options = DeterministicOptions(1, mode);
    options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
    options.devices[0].emulated.poison = false;  // fills would queue behind the kernel below, as one runs at a time
    options.shutdown_deadline_ns = 2'000'000'000;
    Program p(options);
    DeviceTier& tier = p.runtime->core()->tier(0);
    const Allocation first = p.Make(Pattern(1));
    Saved low = p.Pack(first.storage, WholeOf(kSize));
    const Allocation second = p.Make(Pattern(2));
    const Saved high = p.Pack(second.storage, WholeOf(kSize));
    p.Retire(first.storage);
    p.Retire(second.storage);
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(p.Unpack(low), Pattern(1));
    low = Saved();  // its host block is free after the copy in
    EXPECT_EQ(p.Unpack(high), Pattern(2));
    std::atomic<bool> go = false;
    const auto wait = [&](KernelContext&) {
      while (!go) std::this_thread::yield();
    };
    const Allocation third = p.Make(Pattern(3));
    ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
    ASSERT_TRUE(tier.backend->Launch(tier.transfers->in_stream(), {"later work", {}, wait}).ok());
    const Saved again = p.Pack(third.storage, WholeOf(kSize));
    EXPECT_TRUE(p.runtime->Drain().ok()) << Name(mode);
    go = true;
    EXPECT_EQ(p.runtime->statistics().pinned.live, 2 * kSize);
    EXPECT_EQ(p.Unpack(again), Pattern(3));
  }
}

// --- writes
// -----------------------------------------------------------------------------------------------------------

TEST(SavedValues, AWriteMakesEarlierValuesAnErrorInEveryMode) {
  for (const OffloadMode mode : kModes) {
    Program p(DeterministicOptions(1, mode));
    const Allocation x = p.Make(Pattern(1));
    const Saved before = p.Pack(x.storage, WholeOf(kSize));
    ASSERT_TRUE(p.runtime->Drain().ok());
    p.BeginWrite(x.storage);
    p.Write(x.data, Pattern(2), p.compute());
    const Saved after = p.Pack(x.storage, WholeOf(kSize));
    const Status old = p.runtime->Unpack(before, p.compute()).status();
    EXPECT_EQ(old.code(), StatusCode::kFailedPrecondition) << Name(mode);
    EXPECT_NE(old.message().find("written in place (version 1)"), std::string_view::npos) << old;
    EXPECT_EQ(p.Unpack(after), Pattern(2)) << Name(mode);
  }
}

TEST(SavedValues, AWriteWaitsForEveryCopyInFlight) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    Options options = DeterministicOptions(1, mode);
    options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
    options.devices[0].emulated.copy_out_bytes_per_s = 40'000;  // 4 KiB take 0.1 s
    Program p(options);
    const Allocation x = p.Make(Pattern(1));
    const Saved saved = p.Pack(x.storage, WholeOf(kSize));
    const Status refused = p.runtime->BeginWrite(x.storage, p.compute());
    EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition) << Name(mode);
    EXPECT_NE(refused.message().find("'saved'"), std::string_view::npos) << refused;
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_TRUE(p.runtime->BeginWrite(x.storage, p.compute()).ok()) << Name(mode);
  }
}

// A value that the program wrote before its copy ran would come back torn.
TEST(SavedValues, AWriteThatWaitsDoesNotTearTheCopy) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Options options = DeterministicOptions(seed);
    options.write_waits = true;
    Program p(options);
    const Allocation x = p.Make(Pattern(1));
    const Allocation y = p.Make(Pattern(1));
    ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
    const Saved sx = p.Pack(x.storage, WholeOf(kSize));
    const Saved sy = p.Pack(y.storage, WholeOf(kSize));  // made again from x's bytes on the host
    p.BeginWrite(x.storage);
    p.Write(x.data, Pattern(2), p.compute());
    p.Retire(y.storage);
    EXPECT_EQ(p.Unpack(sy), Pattern(1)) << "seed " << seed;
  }
}

// --- values made again from others
// ------------------------------------------------------------------------------------

// y is to be made again from x. Writing x must not take y away.
TEST(SavedValues, AWriteToTheSourceLeavesWhatWasMadeFromItReadable) {
  for (const bool persistent : {false, true}) {
    for (const OffloadPolicy policy : {OffloadPolicy::kAll, OffloadPolicy::kFit}) {
      Program p(DeterministicOptions(1, OffloadMode::kMarshal, policy));
      const Allocation x = p.Make(Pattern(1), persistent ? Holds::kPersistent : Holds::kTransient);
      const Allocation y = p.Make(Pattern(1));
      ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
      Saved sx = p.Pack(x.storage, WholeOf(kSize));
      const Saved sy = p.Pack(y.storage, WholeOf(kSize));
      p.Retire(y.storage);
      ASSERT_TRUE(p.runtime->Reclaim(0, kSize).ok());
      EXPECT_EQ(p.ledger().avoided_lineage, kSize);
      ASSERT_TRUE(p.runtime->Drain().ok());
      sx = Saved();
      p.BeginWrite(x.storage);
      p.Write(x.data, Pattern(2), p.compute());
      EXPECT_EQ(p.Unpack(sy), Pattern(1)) << (persistent ? "persistent" : "transient");
      ASSERT_TRUE(p.runtime->Reclaim(0, MiB(4)).ok());
      EXPECT_EQ(p.Unpack(sy), Pattern(1)) << "after it was given up once more";
      ExpectBookedOnce(p.ledger());
    }
  }
}

// The write is enqueued after the replay that still reads the old bytes, on another stream.
TEST(SavedValues, AWriteWaitsForReplaysThatReadTheOldBytes) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed));
    const Allocation w = p.Make(Pattern(1), Holds::kPersistent);
    const Allocation y = p.Make(Pattern(1));
    ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {w.storage, WholeOf(kSize)}, Replay::Copy()).ok());
    const Saved saved = p.Pack(y.storage, WholeOf(kSize));
    p.Retire(y.storage);
    const Loaded loaded = p.runtime->Unpack(saved, p.other()).value();
    const std::shared_ptr<Bytes> seen = p.ReadLater(loaded, p.other());
    p.BeginWrite(w.storage);
    p.Write(w.data, Pattern(2), p.compute());
    ASSERT_TRUE(p.runtime->Synchronize(p.other()).ok());
    ASSERT_EQ(*seen, Pattern(1)) << "seed " << seed;
  }
}

// The program orders `other` after nothing: the replay itself must wait until its source was made.
TEST(SavedValues, AReplayWaitsForItsSource) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed));
    const Allocation w = p.Make(Pattern(1), Holds::kPersistent);
    const Allocation y = p.runtime->Allocate(kSize, Holds::kTransient, p.compute(), "y").value();
    p.Launch(p.compute(), {}, [to = y.data, from = w.data] { std::memcpy(to, from, kSize); });
    ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {w.storage, WholeOf(kSize)}, Replay::Copy()).ok());
    const Saved saved = p.Pack(y.storage, WholeOf(kSize));
    p.Retire(y.storage);
    const Loaded loaded = p.runtime->Unpack(saved, p.other()).value();
    ASSERT_EQ(p.Read(loaded, p.other()), Pattern(1)) << "seed " << seed;
  }
}

// y's storage is still alive, so its own bytes are what Unpack gives: on a stream that the program ordered after
// nothing.
TEST(SavedValues, AReplayableValueWhoseStorageLivesWaitsForItsProducer) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed));
    const Allocation x = p.Make(Pattern(1));
    const Saved sx = p.Pack(x.storage, WholeOf(kSize));
    const Allocation y = p.Make(Pattern(1));
    ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
    const Saved sy = p.Pack(y.storage, WholeOf(kSize));
    const Loaded loaded = p.runtime->Unpack(sy, p.other()).value();
    ASSERT_EQ(p.Read(loaded, p.other()), Pattern(1)) << "seed " << seed;
  }
}

// Only a part of x is saved, and y comes from the other part.
TEST(SavedValues, ASourceMovesWithTheBytesThatOthersAreMadeFrom) {
  Program p(DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit));
  const Bytes bytes = Pattern(1);
  const Bytes upper = Slice(bytes, kSize / 2, kSize);
  const Allocation y = p.Make(upper);
  const Allocation x = p.Make(bytes);
  ASSERT_TRUE(
      p.runtime->Derive({y.storage, WholeOf(kSize / 2)}, {x.storage, PartOf(kSize / 2, kSize)}, Replay::Copy()).ok());
  const Saved sy = p.Pack(y.storage, WholeOf(kSize / 2));
  const Saved sx = p.Pack(x.storage, PartOf(0, 64));
  p.Retire(x.storage);
  p.Retire(y.storage);
  ASSERT_TRUE(p.runtime->Reclaim(0, MiB(4)).ok());
  EXPECT_EQ(p.ledger().avoided_lineage, kSize / 2);
  EXPECT_EQ(p.runtime->statistics().device.live, 0u);
  EXPECT_EQ(p.Unpack(sy), upper);
  EXPECT_EQ(p.Unpack(sx), Slice(bytes, 0, 64));
}

TEST(SavedValues, UnderFitAReplayableValueThatIsSavedAgainIsOnTheDevice) {
  Program p(DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit));
  const Allocation x = p.Make(Pattern(1));
  const Allocation y = p.Make(Pattern(1));
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
  const Saved sx = p.Pack(x.storage, WholeOf(kSize));
  const Saved sy = p.Pack(y.storage, WholeOf(kSize));
  {
    // Hold a lease on x, so that y is what may go; y itself must no longer be the program's for that.
    const Loaded lease = p.runtime->Unpack(sx, p.compute()).value();
    p.Retire(y.storage);
    ASSERT_TRUE(p.runtime->Reclaim(0, 1).ok());
  }
  EXPECT_EQ(p.ledger().avoided_lineage, kSize);
  EXPECT_EQ(p.Unpack(sy), Pattern(1));
  ASSERT_TRUE(p.runtime->Reclaim(0, MiB(4)).ok());
  EXPECT_EQ(p.Unpack(sy), Pattern(1));
  ExpectBookedOnce(p.ledger());
}

// --- sizes and places
// -------------------------------------------------------------------------------------------------

TEST(SavedValues, ASmallViewOfBytesThatMovedDoesNotKeepThemOnTheDevice) {
  Options options = DeterministicOptions(1);
  options.minimum_bytes = 256;
  Program p(options);
  const Allocation x = p.Make(Pattern(1));
  const Saved whole = p.Pack(x.storage, WholeOf(kSize));
  const Saved small = p.Pack(x.storage, PartOf(8, 16));
  p.Retire(x.storage);
  EXPECT_EQ(p.runtime->statistics().device.live, 0u);
  EXPECT_EQ(p.Unpack(small), Slice(Pattern(1), 8, 16));
  EXPECT_EQ(p.ledger().avoided_identity, 8u);
}

TEST(SavedValues, WhatIsKeptForAFullHostAndMovesLaterIsBookedApart) {
  if (std::getenv("TIERLIB_HARDENED") != nullptr) GTEST_SKIP() << "the host is as large as one value without guards";
  Options options = DeterministicOptions(1);
  options.pinned_limit = kSize;
  options.pageable_limit = 0;
  Program p(options);
  const Allocation x = p.Make(Pattern(1));
  const Allocation y = p.Make(Pattern(2));
  Saved sx = p.Pack(x.storage, WholeOf(kSize));
  const Saved sy = p.Pack(y.storage, WholeOf(kSize));
  EXPECT_EQ(p.ledger().kept, kSize);
  p.Retire(x.storage);
  p.Retire(y.storage);
  sx = Saved();
  ASSERT_TRUE(p.runtime->Drain().ok());
  ASSERT_TRUE(p.runtime->Reclaim(0, kSize).ok());
  EXPECT_EQ(p.ledger().moved, 2 * kSize);
  EXPECT_EQ(p.ledger().reconsidered, kSize);
  ExpectBookedOnce(p.ledger());
  EXPECT_EQ(p.Unpack(sy), Pattern(2));
}

TEST(SavedValues, ComeBackInAnyOrderAndAgainAndAgain) {
  for (const OffloadMode mode : kModes) {
    Program p(DeterministicOptions(3, mode));
    std::vector<Saved> saved;
    for (std::uint64_t i = 0; i < 8; ++i) {
      const Allocation x = p.Make(Pattern(i));
      saved.push_back(p.Pack(x.storage, WholeOf(kSize)));
      p.Retire(x.storage);
    }
    for (const std::uint64_t i : {3u, 3u, 7u, 0u, 5u, 3u, 1u, 0u})
      EXPECT_EQ(p.Unpack(saved[i]), Pattern(i)) << Name(mode);
    saved.clear();
    ASSERT_TRUE(p.runtime->Drain().ok());
    const Statistics statistics = p.runtime->statistics();
    EXPECT_EQ(statistics.device.live + statistics.pinned.live + statistics.pageable.live, 0u) << Name(mode);
  }
}

// --- callbacks
// --------------------------------------------------------------------------------------------------------

// A replay may own things of the program whose end calls the runtime again.
TEST(SavedValues, AReplayIsForgottenWithNoLockHeld) {
  Program p(DeterministicOptions(1));
  int gone = 0;
  const auto replay = [&] {
    const std::shared_ptr<int> owned(new int(0), [&](int* value) {
      delete value;
      (void)p.runtime->statistics();  // would wait for ever for a lock that its caller holds
      ++gone;
    });
    return Replay::Call("noop", [owned](const ReplayArguments&) { return OkStatus(); });
  };
  const Allocation x = p.Make(Pattern(1));
  const Allocation y = p.Make(Pattern(1));
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, replay()).ok());
  p.BeginWrite(x.storage);
  EXPECT_EQ(gone, 1) << "by a write";
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, replay()).ok());
  p.Retire(x.storage);
  p.Retire(y.storage);
  p.runtime->BeginStep(1);
  p.runtime->EndStep();
  EXPECT_EQ(gone, 2) << "by the sweep at the end of a step";
  EXPECT_FALSE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, replay()).ok());
  EXPECT_EQ(gone, 3) << "by an error";
}

TEST(SavedValues, AReplayMayCallTheRuntime) {
  Program p(DeterministicOptions(1));
  const Allocation x = p.Make(Pattern(1));
  const Allocation y = p.Make(Pattern(1));
  int calls = 0;
  const Replay replay = Replay::Call("copy and look", [&](const ReplayArguments& arguments) {
    ++calls;
    (void)p.runtime->statistics();
    EXPECT_TRUE(p.runtime->Reclaim(0, 1).ok());
    p.Launch(arguments.stream, {}, [arguments] { std::memcpy(arguments.destination, arguments.source, kSize); });
    return OkStatus();
  });
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, replay).ok());
  const Saved sx = p.Pack(x.storage, WholeOf(kSize));
  const Saved sy = p.Pack(y.storage, WholeOf(kSize));
  p.Retire(x.storage);
  p.Retire(y.storage);
  EXPECT_EQ(p.Unpack(sy), Pattern(1));
  EXPECT_EQ(calls, 1);
}

TEST(SavedValues, AFailedReplayIsReturnedAndMayBeTriedAgain) {
  Program p(DeterministicOptions(1));
  const Allocation x = p.Make(Pattern(1));
  const Allocation y = p.Make(Pattern(1));
  bool fail = true;
  const Replay replay = Replay::Call("sometimes", [&](const ReplayArguments& arguments) -> Status {
    if (fail) return UnavailableError("not now");
    p.Launch(arguments.stream, {}, [arguments] { std::memcpy(arguments.destination, arguments.source, kSize); });
    return OkStatus();
  });
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, replay).ok());
  const Saved sx = p.Pack(x.storage, WholeOf(kSize));
  const Saved sy = p.Pack(y.storage, WholeOf(kSize));
  p.Retire(x.storage);
  p.Retire(y.storage);
  EXPECT_EQ(p.runtime->Unpack(sy, p.compute()).status().code(), StatusCode::kUnavailable);
  fail = false;
  EXPECT_EQ(p.Unpack(sy), Pattern(1));
}

// --- lifetime
// ---------------------------------------------------------------------------------------------------------

TEST(SavedValues, MayOutliveTheRuntimeInAnyOrder) {
  for (const OffloadMode mode : kModes) {
    Options options = DeterministicOptions(1, mode);
    options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
    auto p = std::make_unique<Program>(options);
    std::vector<Saved> saved;
    std::vector<Loaded> loaded;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const Allocation x = p->Make(Pattern(i));
      saved.push_back(p->Pack(x.storage, WholeOf(kSize)));
      loaded.push_back(p->runtime->Unpack(saved.back(), p->compute()).value());
    }
    ASSERT_TRUE(p->runtime->Synchronize(p->compute()).ok());
    p.reset();
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(ElementsOf(static_cast<const std::uint8_t*>(loaded[i].origin()), loaded[i].layout()), Pattern(i));
    }
    saved[2] = Saved();
    loaded[0] = Loaded();
    saved.clear();
    loaded.clear();
  }
}

TEST(SavedValues, OfAnotherRuntimeAreRefused) {
  Program p(DeterministicOptions(1)), q(DeterministicOptions(2));
  const Allocation x = p.Make(Pattern(1));
  const Saved saved = p.Pack(x.storage, WholeOf(kSize));
  EXPECT_EQ(q.runtime->Unpack(saved, q.compute()).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(p.runtime->Unpack(Saved(), p.compute()).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tierlib
