// With DeviceOptions::spare_bytes a value's own device memory is had back where nobody else has had it since.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = KiB(16);

Bytes Pattern(std::size_t seed) {
  Random random(seed);
  return RandomBytes(random, kSize);
}

Options With(bool take_back, std::uint64_t capacity = MiB(4)) {
  Options options = DeterministicOptions(1);
  options.devices[0].emulated.find_races = true;
  options.devices[0].spare_bytes = take_back ? 1 : 0;  // which is too little to pass over any free block
  options.devices[0].capacity = capacity;
  return options;
}

Saved PackAway(Program& p, std::size_t pattern) {
  const Allocation made = p.Make(Pattern(pattern));
  Saved saved = p.Pack(made.storage, WholeOf(kSize));
  p.Retire(made.storage);
  return saved;
}

// Several, each of which had memory of its own.
std::vector<Saved> PackAwayApart(Program& p, std::size_t count) {
  std::vector<Allocation> made;
  std::vector<Saved> saved;
  for (std::size_t i = 0; i < count; ++i) made.push_back(p.Make(Pattern(i)));
  for (const Allocation& one : made) saved.push_back(p.Pack(one.storage, WholeOf(kSize)));
  for (const Allocation& one : made) p.Retire(one.storage);
  return saved;
}

TEST(TakesBack, OnlyWhenAskedTo) {
  Options spare_alone = With(true);
  spare_alone.devices[0].takes_back = false;
  for (const Options& options : {With(false), spare_alone}) {
    Program p(options);
    const Saved saved = PackAway(p, 1);
    EXPECT_EQ(p.Unpack(saved), Pattern(1));
    EXPECT_EQ(p.ledger().taken_back, 0u);
    EXPECT_EQ(p.ledger().copies_in, 1u);
  }
}

TEST(TakesBack, WhatNobodyElseHad) {
  for (const bool drained : {false, true}) {  // its copy out is under way, or has ended
    Program p(With(true));
    std::vector<Saved> saved;
    for (std::size_t i = 0; i < 2; ++i) saved.push_back(PackAway(p, i));
    if (drained) {
      ASSERT_TRUE(p.runtime->Drain().ok());
    }
    EXPECT_EQ(p.Unpack(saved[1]), Pattern(1));
    EXPECT_EQ(p.ledger().taken_back, kSize);
    EXPECT_EQ(p.ledger().copies_in, 0u);
    EXPECT_EQ(p.ledger().moved_in, p.ledger().engine_in);
    saved.clear();
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(p.runtime->statistics().device.live, 0u);
    EXPECT_EQ(p.runtime->statistics().pinned.live, 0u);
  }
}

TEST(TakesBack, NotWhatSomebodyElseHad) {
  Program p(With(true));
  const Saved saved = PackAway(p, 1);
  const Allocation other = p.Make(Pattern(2));  // the lowest hole is where the value was
  p.Retire(other.storage);
  EXPECT_EQ(p.Unpack(saved), Pattern(1));
  EXPECT_EQ(p.ledger().taken_back, 0u);
  EXPECT_EQ(p.ledger().copies_in, 1u);
}

TEST(TakesBack, AgainAfterItGaveItsMemoryUp) {
  Program p(With(true));
  const Saved saved = PackAway(p, 1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(p.Unpack(saved), Pattern(1));
    EXPECT_EQ(p.runtime->Reclaim(0, kSize).value(), kSize);
  }
  EXPECT_EQ(p.ledger().taken_back, 3 * kSize);
  EXPECT_EQ(p.ledger().copies_out, 1u);
  EXPECT_EQ(p.ledger().copies_in, 0u);
  EXPECT_EQ(p.ledger().freed, kSize) << "what came back takes nothing away from the program";
}

TEST(TakesBack, AValueThatWouldBeReplayed) {
  Program p(With(true));
  const Allocation source = p.Make(Pattern(1));
  const Allocation derived = p.Make(Pattern(1));
  ASSERT_TRUE(
      p.runtime->Derive({derived.storage, WholeOf(kSize)}, {source.storage, WholeOf(kSize)}, Replay::Copy()).ok());
  const Saved first = p.Pack(source.storage, WholeOf(kSize));
  const Saved second = p.Pack(derived.storage, WholeOf(kSize));
  p.Retire(source.storage);
  p.Retire(derived.storage);
  ASSERT_EQ(p.ledger().avoided_lineage, kSize);
  EXPECT_EQ(p.Unpack(second), Pattern(1));
  EXPECT_EQ(p.ledger().replayed, 0u);
  EXPECT_EQ(p.Unpack(first), Pattern(1));
  EXPECT_EQ(p.ledger().copies_in, 0u);
  EXPECT_EQ(p.ledger().taken_back, 2 * kSize);
}

TEST(TakesBack, NotAnotherVersion) {
  Program p(With(true));
  Allocation made = p.Make(Pattern(1));
  const Saved old = p.Pack(made.storage, WholeOf(kSize));
  ASSERT_TRUE(p.runtime->Drain().ok());
  p.BeginWrite(made.storage);
  p.Write(made.data, Pattern(2), p.compute());
  const Saved written = p.Pack(made.storage, WholeOf(kSize));
  p.Retire(made.storage);
  EXPECT_EQ(p.Unpack(written), Pattern(2));
  EXPECT_EQ(p.runtime->Unpack(old, p.compute()).status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(p.ledger().taken_back, kSize);
}

TEST(TakesBack, NotForAReplayOfWhatWasWrittenSince) {
  Program p(With(true));
  const Allocation source = p.Make(Pattern(1));
  const Allocation derived = p.Make(Pattern(1));
  const View view = {source.storage, WholeOf(kSize)};
  ASSERT_TRUE(p.runtime->Derive({derived.storage, WholeOf(kSize)}, view, Replay::Copy()).ok());
  const Saved first = p.Pack(source.storage, WholeOf(kSize));
  const Saved second = p.Pack(derived.storage, WholeOf(kSize));
  ASSERT_TRUE(p.runtime->Drain().ok());
  p.Retire(derived.storage);
  (void)p.Make(Pattern(3));  // where the derived one was
  p.BeginWrite(source.storage);
  p.Write(source.data, Pattern(2), p.compute());
  p.Retire(source.storage);
  EXPECT_EQ(p.Unpack(second), Pattern(1)) << "made from what the source was, which the host has";
}

TEST(TakesBack, NotForAPart) {
  Program p(With(true));
  const Allocation made = p.Make(Pattern(1));
  const Layout part = Layout::Contiguous(DType::kU8, {static_cast<std::int64_t>(kSize / 4)});
  const Saved saved = p.Pack(made.storage, part);
  p.Retire(made.storage);
  EXPECT_EQ(p.Unpack(saved), Slice(Pattern(1), 0, kSize / 4));
  EXPECT_EQ(p.ledger().taken_back, 0u) << "a reload takes a quarter of the memory";
}

TEST(TakesBack, WithinTheBudgetForReloads) {
  Options options = With(true);
  options.devices[0].reload_budget = kSize;
  Program p(options);
  const std::vector<Saved> saved = PackAwayApart(p, 2);
  // Both leases are alive at once, which the budget does not hold: what is leased stays, and the second comes all the
  // same.
  const StatusOr<Loaded> first = p.runtime->Unpack(saved[1], p.compute());
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(p.Unpack(saved[0]), Pattern(0));
  EXPECT_EQ(p.ledger().taken_back, kSize);
}

TEST(TakesBack, NothingComesAheadOfWhatIsStillThere) {
  Options options = With(true);
  options.devices[0].prefetch_bytes = MiB(1);
  Program p(options);
  const std::vector<Saved> saved = PackAwayApart(p, 4);
  const Allocation other = p.Make(Pattern(5));  // where the first was
  p.Retire(other.storage);
  p.runtime->BeginBackward();
  for (std::size_t i = saved.size(); i-- > 0;) EXPECT_EQ(p.Unpack(saved[i]), Pattern(i));
  EXPECT_EQ(p.ledger().taken_back, 3 * kSize);
  EXPECT_EQ(p.ledger().prefetched, kSize);
  EXPECT_EQ(p.ledger().copies_in, 1u);
}

TEST(TakesBack, APartComesAheadAsItIsCopied) {
  Options options = With(true);
  options.devices[0].prefetch_bytes = MiB(1);
  Program p(options);
  const Allocation made = p.Make(Pattern(1));
  const Layout part = Layout::Contiguous(DType::kU8, {static_cast<std::int64_t>(kSize / 4)});
  const Saved saved = p.Pack(made.storage, part);
  p.Retire(made.storage);
  p.runtime->BeginBackward();
  EXPECT_EQ(p.ledger().prefetched, kSize / 4);
  EXPECT_EQ(p.Unpack(saved), Slice(Pattern(1), 0, kSize / 4));
}

TEST(TakesBack, NotWithChecksums) {
  Options options = With(true);
  options.checksums = true;
  Program p(options);
  const Saved saved = PackAway(p, 1);
  EXPECT_EQ(p.Unpack(saved), Pattern(1));
  EXPECT_EQ(p.ledger().taken_back, 0u);
}

TEST(TakesBack, AValueWhoseCopyOutFailedIsLostUnlessItCameBackBefore) {
  for (const bool taken : {false, true}) {
    Program p(With(true));
    Saved saved = PackAway(p, 1);
    if (taken) {
      EXPECT_EQ(p.Unpack(saved), Pattern(1));
    }
    {
      const ScopedFailpoint failure("transfer.end", {});
      ASSERT_TRUE(p.runtime->Drain().ok());
      ASSERT_GE(failure.calls(), 1);
    }
    if (taken) {
      EXPECT_EQ(p.Unpack(saved), Pattern(1)) << "the device has its bytes";
      EXPECT_EQ(p.runtime->statistics().pinned.live, 0u);
      EXPECT_EQ(p.runtime->Reclaim(0, kSize).value(), kSize) << "copied anew";
      EXPECT_EQ(p.Unpack(saved), Pattern(1));
    } else {
      EXPECT_EQ(p.runtime->Unpack(saved, p.compute()).status().code(), StatusCode::kDataLoss);
    }
    ExpectBookedOnce(p.ledger());
    saved = Saved();
    ASSERT_TRUE(p.runtime->Drain().ok());
    EXPECT_EQ(p.runtime->statistics().device.live, 0u);
  }
}

}  // namespace
}  // namespace tierlib
