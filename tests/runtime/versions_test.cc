// Programs that cannot announce their writes but count them: what a newer version says, at Pack and at Unpack.
#include <cstdint>
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kSize = 4096;

Bytes Pattern(std::uint64_t seed) {
  Random random(seed);
  return RandomBytes(random, kSize);
}

// A tensor whose writes nobody announces.
struct Counted {
  Counted(Program& program, std::uint64_t seed) : p(program), made(program.Make(Pattern(seed))) {}
  void Write(std::uint64_t seed) {
    p.Write(made.data, Pattern(seed), p.compute());
    ++version;
  }
  StatusOr<Saved> TryPack(std::optional<std::uint64_t> at) const {
    return p.runtime->Pack({made.storage, WholeOf(kSize), at}, nullptr, p.compute(), "saved");
  }
  Saved Pack() const { return TryPack(version).value(); }
  void Retire() const { p.Retire(made.storage); }

  Program& p;
  const Allocation made;
  std::uint64_t version = 7;
};

StatusOr<Bytes> Unpack(Program& p, const Saved& saved, std::optional<std::uint64_t> version) {
  TIERLIB_ASSIGN_OR_RETURN(const Loaded loaded, p.runtime->Unpack(saved, p.compute(), version));
  return p.Read(loaded, p.compute());
}

// Names the value and both versions.
void ExpectWritten(const Status& status, std::uint64_t saved, std::uint64_t now) {
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("'saved' was saved at version " + std::to_string(saved)));
  EXPECT_THAT(status.ToString(), HasSubstr("(version " + std::to_string(now) + ")"));
}

void Derive(Program& p, const Counted& derived, const Counted& source) {
  const View to = {derived.made.storage, WholeOf(kSize), derived.version};
  const View from = {source.made.storage, WholeOf(kSize), source.version};
  ASSERT_TRUE(p.runtime->Derive(to, from, Replay::Copy()).ok());
}

TEST(Versions, AnEqualVersionIsTheSameContent) {
  Program p(DeterministicOptions(1));
  const Counted x(p, 1);
  const Saved first = x.Pack();
  const Saved again = x.Pack();
  EXPECT_EQ(p.ledger().moved, kSize);
  EXPECT_EQ(p.ledger().avoided_identity, kSize);
  x.Retire();
  EXPECT_EQ(Unpack(p, first, x.version).value(), Pattern(1));
  EXPECT_EQ(Unpack(p, again, std::nullopt).value(), Pattern(1)) << "who does not say trusts";
}

TEST(Versions, ANewerVersionAtPackIsAnotherContent) {
  for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      Program p(DeterministicOptions(seed, mode));
      Counted x(p, 1);
      const Saved old = x.Pack();
      x.Write(2);  // into a copy that may be on its way
      const Saved fresh = x.Pack();
      EXPECT_EQ(p.ledger().moved + p.ledger().kept, 2 * kSize);
      ExpectBookedOnce(p.ledger());
      ExpectWritten(Unpack(p, old, std::nullopt).status(), 7, 8);
      ExpectWritten(Unpack(p, old, x.version).status(), 7, 8);
      EXPECT_EQ(Unpack(p, fresh, x.version).value(), Pattern(2));
      x.Retire();
      EXPECT_EQ(Unpack(p, fresh, x.version).value(), Pattern(2));
      EXPECT_TRUE(p.runtime->health().ok());
    }
  }
}

TEST(Versions, ANewerVersionAtUnpackIsRefusedAndKnownFromThenOn) {
  Program p(DeterministicOptions(1));
  Counted x(p, 1);
  const Saved saved = x.Pack();
  const Saved part = p.runtime->Pack({x.made.storage, PartOf(0, 64), 7}, nullptr, p.compute(), "saved").value();
  x.Write(2);
  ExpectWritten(Unpack(p, saved, x.version).status(), 7, 8);
  ExpectWritten(Unpack(p, part, std::nullopt).status(), 7, 8);
  const Saved fresh = x.Pack();
  x.Retire();
  EXPECT_EQ(Unpack(p, fresh, x.version).value(), Pattern(2));
}

TEST(Versions, AWriteIsKnownAfterTheStorageWasRetired) {
  Program p(DeterministicOptions(1));
  Counted x(p, 1);
  const Saved saved = x.Pack();
  x.Write(2);
  x.Retire();
  ExpectWritten(Unpack(p, saved, x.version).status(), 7, 8);
  ExpectWritten(Unpack(p, saved, std::nullopt).status(), 7, 8);
}

TEST(Versions, VersionsOnlyRise) {
  Program p(DeterministicOptions(1));
  const Counted x(p, 1);
  const Saved saved = x.Pack();
  for (const Status& status : {x.TryPack(6).status(), Unpack(p, saved, 6).status()}) {
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(status.ToString(), HasSubstr("version 6"));
    EXPECT_THAT(status.ToString(), HasSubstr("version 7"));
  }
  EXPECT_EQ(p.ledger().packs, 1u);
  EXPECT_EQ(Unpack(p, saved, 7).value(), Pattern(1));
}

TEST(Versions, AValueThatWasPackedWithoutOneHasNoneToCompare) {
  Program p(DeterministicOptions(1));
  const Counted x(p, 1);
  const Saved saved = x.TryPack(std::nullopt).value();
  EXPECT_EQ(Unpack(p, saved, 7).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Unpack(p, saved, std::nullopt).value(), Pattern(1));
  const Saved empty = p.runtime->Pack({x.made.storage, WholeOf(0), 7}, nullptr, p.compute(), "empty").value();
  EXPECT_TRUE(p.runtime->Unpack(empty, p.compute(), 8).ok()) << "no bytes, nothing that could be wrong";
}

// A program may announce and count. Whether its counter rises for announced writes too makes no difference.
TEST(Versions, AnAnnouncedWriteMayRaiseTheCount) {
  for (const std::uint64_t after : {7, 8}) {
    Options options = DeterministicOptions(1);
    options.write_waits = true;
    Program p(options);
    Counted x(p, 1);
    const Saved old = x.Pack();
    p.BeginWrite(x.made.storage);
    x.Write(2);
    const Saved unversioned = x.TryPack(std::nullopt).value();
    const Saved fresh = x.TryPack(after).value();
    EXPECT_EQ(p.ledger().moved, 2 * kSize) << "one write, two contents";
    EXPECT_EQ(Unpack(p, old, after).status().code(), StatusCode::kFailedPrecondition);
    EXPECT_EQ(Unpack(p, unversioned, std::nullopt).value(), Pattern(2));
    EXPECT_EQ(Unpack(p, fresh, after).value(), Pattern(2));
    const Saved later = x.TryPack(after + 1).value();
    ExpectWritten(Unpack(p, fresh, std::nullopt).status(), after, after + 1);
    EXPECT_TRUE(Unpack(p, later, after + 1).ok());
  }
}

// --- what others are made from ---------------------------------------------------------------------------------------

TEST(Versions, NothingIsMadeFromACopyThatMayBeTorn) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Program p(DeterministicOptions(seed));
    Counted x(p, 1);
    const Counted y(p, 1);
    Derive(p, y, x);
    const Saved sx = x.Pack();
    const Saved sy = y.Pack();
    ASSERT_EQ(p.ledger().avoided_lineage, kSize);
    y.Retire();
    x.Write(2);
    const Saved fresh = x.Pack();
    const Status status = Unpack(p, sy, y.version).status();
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(status.ToString(), HasSubstr("was saved at version 7 and then written in place (version 8)"));
    EXPECT_EQ(Unpack(p, fresh, x.version).value(), Pattern(2));
  }
}

TEST(Versions, WhatHasBytesOfItsOwnKeepsThem) {
  Program p(DeterministicOptions(1));
  Counted x(p, 1);
  const Counted y(p, 1);
  Derive(p, y, x);
  const Saved sx = x.Pack();
  const Saved sy = y.Pack();
  x.Write(2);
  ExpectWritten(Unpack(p, sx, x.version).status(), 7, 8);
  y.Retire();
  ASSERT_TRUE(p.runtime->Reclaim(0, MiB(1)).ok());
  EXPECT_EQ(Unpack(p, sy, y.version).value(), Pattern(1));
  EXPECT_EQ(p.ledger().replayed, 0u);
  ExpectBookedOnce(p.ledger());
}

// The copy had ended when the program last said that nobody had written.
TEST(Versions, ACopyThatIsVouchedForServes) {
  for (const bool at_unpack : {false, true}) {
    Program p(DeterministicOptions(1));
    Counted x(p, 1);
    const Counted y(p, 1);
    Derive(p, y, x);
    const Saved sx = x.Pack();
    const Saved sy = y.Pack();
    y.Retire();
    ASSERT_TRUE(p.runtime->Drain().ok());
    if (at_unpack) {
      EXPECT_EQ(Unpack(p, sx, 7).value(), Pattern(1));
    } else {
      (void)x.Pack();
    }
    x.Write(2);
    ExpectWritten(Unpack(p, sx, x.version).status(), 7, 8);
    EXPECT_EQ(Unpack(p, sy, y.version).value(), Pattern(1));
    EXPECT_EQ(p.ledger().replayed, kSize);
  }
}

// What was made again read the storage's own bytes, at a time that nobody knows to be before the write.
TEST(Versions, WhatWasMadeAgainFromWrittenBytesIsMadeOnceMore) {
  for (const bool vouched : {true, false}) {
    Program p(DeterministicOptions(1));
    Counted x(p, 1);
    const Counted y(p, 1);
    Derive(p, y, x);
    const Saved sx = x.Pack();
    const Saved sy = y.Pack();
    y.Retire();
    if (vouched) {
      ASSERT_TRUE(p.runtime->Drain().ok());
      (void)x.Pack();
    }
    EXPECT_EQ(Unpack(p, sy, y.version).value(), Pattern(1));
    ASSERT_EQ(p.ledger().replayed, kSize);
    x.Write(2);
    ExpectWritten(Unpack(p, sx, x.version).status(), 7, 8);
    const StatusOr<Bytes> again = Unpack(p, sy, y.version);
    if (vouched) {
      EXPECT_EQ(again.value(), Pattern(1));
      EXPECT_EQ(p.ledger().replayed, 2 * kSize);
    } else {
      EXPECT_EQ(again.status().code(), StatusCode::kFailedPrecondition) << again.status();
    }
  }
}

// The source was written since it was saved; what is derived shows the later bytes.
TEST(Versions, WhatIsDerivedFromALaterVersionIsNotMadeFromAnEarlierOne) {
  Program p(DeterministicOptions(1));
  Counted x(p, 1);
  const Saved old = x.Pack();
  ASSERT_TRUE(p.runtime->Drain().ok());
  x.Write(2);
  const Counted y(p, 2);
  Derive(p, y, x);
  const Saved sy = y.Pack();
  EXPECT_EQ(p.ledger().avoided_lineage, 0u) << "that version of x is saved nowhere";
  y.Retire();
  x.Retire();
  EXPECT_EQ(Unpack(p, sy, y.version).value(), Pattern(2));
  ExpectWritten(Unpack(p, old, std::nullopt).status(), 7, 8);
}

// z is made from y and that from x, which is written. Nothing is left to rescue z with, so y may be written too.
TEST(Versions, AWriteToWhatIsLostIsNotRefused) {
  Program p(DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit), /*with_memory=*/true);
  Adopted x = Adopt(p, Pattern(1));
  Adopted y = Adopt(p, Pattern(1));
  Adopted z = Adopt(p, Pattern(1));
  const auto view = [](const Adopted& of, std::uint64_t version) { return View{of.storage, WholeOf(kSize), version}; };
  ASSERT_TRUE(p.runtime->Derive(view(y, 1), view(x, 1), Replay::Copy()).ok());
  ASSERT_TRUE(p.runtime->Derive(view(z, 1), view(y, 1), Replay::Copy()).ok());
  const Saved sz = p.runtime->Pack(view(z, 1), z.memory, p.compute(), "z").value();
  const Saved sy = p.runtime->Pack(view(y, 1), y.memory, p.compute(), "y").value();
  const Saved sx = p.runtime->Pack(view(x, 1), x.memory, p.compute(), "x").value();
  p.Retire(z.storage);
  z.memory.reset();
  ASSERT_EQ(p.runtime->Reclaim(0, 2 * kSize).value(), 2 * kSize);
  ASSERT_EQ(p.ledger().avoided_lineage, 2 * kSize) << "z from y, then y from x";
  p.Write(x.memory.get(), Pattern(2), p.compute());
  EXPECT_EQ(Unpack(p, sx, 2).status().code(), StatusCode::kFailedPrecondition);
  p.BeginWrite(y.storage);
  for (const Saved& lost : {sy, sz}) {
    EXPECT_EQ(Unpack(p, lost, std::nullopt).status().code(), StatusCode::kFailedPrecondition);
  }
}

}  // namespace
}  // namespace tierlib
