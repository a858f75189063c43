// Values that stay on the device, or come back there, beside other values of the same storage: each gets the bytes that
// it shows, after the work that made them.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"
#include "trace/reader.h"
#include "trace/summary.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 4096;

Bytes Pattern(std::uint64_t seed, std::uint64_t count = kSize) {
  Random random(seed);
  return RandomBytes(random, count);
}

// --- views that are scattered beyond description ---------------------------------------------------------------------

constexpr std::uint64_t kLarge = 2 * ByteRanges::kMaxRanges + 64;

// Every other byte: more ranges than a ByteRanges describes.
Layout Scattered() {
  Layout layout = WholeOf(kLarge / 2);
  layout.strides[0] = 2;
  return layout;
}

Options LargeOptions(OffloadPolicy policy = OffloadPolicy::kAll) {
  Options options = DeterministicOptions(1, OffloadMode::kMarshal, policy);
  options.devices[0].capacity = MiB(16);
  return options;
}

TEST(KeptValues, AScatteredViewIsNotTakenFromWhatCameBackForAnother) {
  ASSERT_FALSE(ByteRanges::Of(Scattered()).has_value());
  const Bytes bytes = Pattern(1, kLarge);
  for (const bool kept_before : {false, true}) {
    Program p(LargeOptions());
    p.memory = std::make_unique<ProgramMemory>(*p.device, MiB(4));
    Adopted x = Adopt(p, bytes);
    const Saved rows = p.Pack(x.storage, PartOf(0, kSize), x.memory);
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(p.Unpack(rows), Slice(bytes, 0, kSize));
    const Saved scattered = p.Pack(x.storage, Scattered(), x.memory);
    if (kept_before) {
      EXPECT_EQ(p.Unpack(scattered), ElementsOf(bytes.data(), Scattered()));
    }
    p.Retire(x.storage);
    x.memory.reset();
    EXPECT_EQ(p.Unpack(scattered), ElementsOf(bytes.data(), Scattered()));
    EXPECT_EQ(p.Unpack(rows), Slice(bytes, 0, kSize));
    ASSERT_TRUE(p.runtime->Reclaim(0, MiB(16)).ok());
    EXPECT_EQ(p.Unpack(scattered), ElementsOf(bytes.data(), Scattered())) << "after it moved";
    ExpectBookedOnce(p.ledger());
  }
}

// Why it stays is in the trace, and it does not stay for nothing where the host has its whole storage.
TEST(KeptValues, AScatteredViewStaysForThatReason) {
  const std::string path = testing::TempDir() + "kept_values_test." + std::to_string(getpid()) + ".tlt";
  const Bytes bytes = Pattern(1, kLarge);
  for (const bool whole_before : {false, true}) {
    Options options = LargeOptions();
    options.trace = path;
    {
      Program p(options);
      const Allocation x = p.Make(bytes);
      Saved whole;
      if (whole_before) whole = p.Pack(x.storage, WholeOf(kLarge));
      const Saved scattered = p.Pack(x.storage, Scattered());
      EXPECT_EQ(p.ledger().kept, whole_before ? 0u : kLarge / 2);
      EXPECT_EQ(p.ledger().avoided_identity, whole_before ? kLarge / 2 : 0u);
      p.Retire(x.storage);
      ASSERT_TRUE(p.runtime->Drain().ok());
      EXPECT_EQ(p.runtime->statistics().device.live, whole_before ? 0u : kLarge);
      EXPECT_EQ(p.Unpack(scattered), ElementsOf(bytes.data(), Scattered()));
      ExpectBookedOnce(p.ledger());
    }
    const StatusOr<trace::Trace> read = trace::ReadTraceFile(path);
    ASSERT_TRUE(read.ok()) << read.status();
    std::uint64_t scattered_bytes = 0;
    for (const trace::DecisionSummary& decision : trace::Summarize(*read).decisions) {
      if (decision.reason == trace::DecisionReason::kScattered) scattered_bytes += decision.bytes;
    }
    EXPECT_EQ(scattered_bytes, whole_before ? 0u : kLarge / 2);
  }
  std::filesystem::remove(path);
}

TEST(KeptValues, AScatteredViewIsNotMadeFromARecipeForLess) {
  const Bytes bytes = Pattern(1, kLarge);
  Program p(LargeOptions());
  const Allocation x = p.Make(Slice(bytes, 0, kSize), Holds::kPersistent);
  const Allocation y = p.Make(bytes);
  ASSERT_TRUE(p.runtime->Derive({y.storage, PartOf(0, kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
  const Saved rows = p.Pack(y.storage, PartOf(0, kSize));
  EXPECT_EQ(p.ledger().avoided_lineage, kSize);
  const Saved scattered = p.Pack(y.storage, Scattered());
  p.Retire(y.storage);
  ASSERT_TRUE(p.runtime->Reclaim(0, MiB(16)).ok());
  EXPECT_EQ(p.Unpack(rows), Slice(bytes, 0, kSize));
  EXPECT_EQ(p.Unpack(scattered), ElementsOf(bytes.data(), Scattered()));
  ExpectBookedOnce(p.ledger());
}

// --- storages that the program holds ---------------------------------------------------------------------------------

// Policy all copies when a value is packed, and whether the program lets the storage go is known later: where it does
// not, the copy freed nothing, and the ledger says so. Nothing is copied back.
TEST(KeptValues, WhatTheProgramHoldsIsMovedInVainAndBookedSo) {
  for (const bool retired_before : {false, true}) {
    Program p(DeterministicOptions(1));
    const Allocation x = p.Make(Pattern(1));
    Saved saved = p.Pack(x.storage, WholeOf(kSize));
    if (retired_before) p.Retire(x.storage);
    EXPECT_EQ(p.Unpack(saved), Pattern(1));
    EXPECT_EQ(p.ledger().moved_in, retired_before ? kSize : 0u);
    EXPECT_EQ(p.ledger().freed_nothing, 0u) << "the program may still let it go";
    saved = Saved();
    EXPECT_EQ(p.ledger().moved, kSize);
    EXPECT_EQ(p.ledger().freed, retired_before ? kSize : 0u);
    EXPECT_EQ(p.ledger().freed_nothing, retired_before ? 0u : kSize);
    if (!retired_before) p.Retire(x.storage);
  }
}

// Policy fit asks when memory is short, and passes over what would free nothing.
TEST(KeptValues, UnderFitWhatTheProgramHoldsDoesNotMove) {
  Program p(DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit));
  const Allocation x = p.Make(Pattern(1));
  const Saved saved = p.Pack(x.storage, WholeOf(kSize));
  EXPECT_EQ(p.runtime->Reclaim(0, kSize).value(), 0u);
  EXPECT_EQ(p.ledger().moved, 0u);
  p.Retire(x.storage);
  EXPECT_EQ(p.runtime->Reclaim(0, kSize).value(), kSize);
  EXPECT_EQ(p.ledger().moved, kSize);
  EXPECT_EQ(p.ledger().freed, kSize);
  EXPECT_EQ(p.Unpack(saved), Pattern(1));
}

// --- several streams -------------------------------------------------------------------------------------------------

// y was made again on `other`. Saving it once more on `compute` does not mean that those bytes are there.
TEST(KeptValues, SavingAValueAgainDoesNotForgetTheReplayThatMakesIt) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed, OffloadMode::kMarshal, OffloadPolicy::kFit), /*with_memory=*/true);
    const Allocation x = p.Make(Pattern(1));
    Adopted y = Adopt(p, Pattern(1));
    ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
    const Saved sy = p.Pack(y.storage, WholeOf(kSize), y.memory);  // first, so that it is given up first
    const Saved sx = p.Pack(x.storage, WholeOf(kSize));
    ASSERT_TRUE(p.runtime->Reclaim(0, 1).ok());
    ASSERT_EQ(p.ledger().avoided_lineage, kSize);
    const Loaded first = p.runtime->Unpack(sy, p.other()).value();
    const Saved again = p.Pack(y.storage, WholeOf(kSize), y.memory);
    EXPECT_EQ(p.Unpack(again), Pattern(1)) << "seed " << seed;
    p.Retire(y.storage);
    y.memory.reset();
  }
}

// y is made on `other`. Writing what it was made from, on `compute`, orders nothing after that.
TEST(KeptValues, AWriteToTheSourceDoesNotForgetWhoMadeALivingValue) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed));
    const Allocation x = p.Make(Pattern(1), Holds::kPersistent);
    const Allocation y = p.runtime->Allocate(kSize, Holds::kTransient, p.other(), "y").value();
    p.OrderAfterKernels(p.other());
    p.Write(y.data, Pattern(1), p.other());
    ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
    const Saved source = p.Pack(x.storage, WholeOf(kSize));
    const Saved saved = p.runtime->Pack({y.storage, WholeOf(kSize)}, nullptr, p.other(), "y").value();
    ASSERT_EQ(p.ledger().avoided_lineage, kSize);
    p.BeginWrite(x.storage);
    p.Write(x.data, Pattern(2), p.compute());
    const Loaded loaded = p.runtime->Unpack(saved, p.compute()).value();
    const std::shared_ptr<Bytes> seen = p.ReadLater(loaded, p.compute());
    ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
    EXPECT_EQ(*seen, Pattern(1)) << "seed " << seed;
  }
}

// --- chains ----------------------------------------------------------------------------------------------------------

// Each is made from the one before; memory runs short, and the one that is furthest from the first leaves first.
TEST(KeptValues, UnderFitNoRecipeCrossesMoreEdgesThanAllowed) {
  constexpr std::size_t kLength = 6;
  for (const int limit : {0, 1, 2, 4}) {
    Options options = DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit);
    options.hop_limit = limit;
    Program p(options);
    int replays = 0;
    const Replay replay = Replay::Call("copy", [&](const ReplayArguments& arguments) {
      ++replays;
      p.Launch(arguments.stream, {}, [arguments] { std::memcpy(arguments.destination, arguments.source, kSize); });
      return OkStatus();
    });
    std::vector<StorageId> chain;
    for (std::size_t i = 0; i < kLength; ++i) {
      chain.push_back(p.Make(Pattern(1)).storage);
      if (i == 0) continue;
      ASSERT_TRUE(p.runtime->Derive({chain[i], WholeOf(kSize)}, {chain[i - 1], WholeOf(kSize)}, replay).ok());
    }
    std::vector<Saved> saved;
    for (std::size_t i = kLength; i-- > 0;) saved.push_back(p.Pack(chain[i], WholeOf(kSize)));
    for (const StorageId id : chain) p.Retire(id);
    ASSERT_TRUE(p.runtime->Reclaim(0, MiB(4)).ok());
    EXPECT_EQ(p.ledger().avoided_lineage > 0, limit > 0);
    for (const Saved& one : saved) {
      replays = 0;
      EXPECT_EQ(p.Unpack(one), Pattern(1));
      EXPECT_LE(replays, limit);
      ASSERT_TRUE(p.runtime->Reclaim(0, MiB(4)).ok());
    }
    ExpectBookedOnce(p.ledger());
  }
}

}  // namespace
}  // namespace tierlib
