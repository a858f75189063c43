// Memory of the program that was packed without a keepalive: it may go as soon as Retire returned. Whatever reads it
// has ended by then, and values that need no device bytes stay readable.
#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 4096;

Bytes Pattern(std::uint64_t seed, std::uint64_t count = kSize) {
  Random random(seed);
  return RandomBytes(random, count);
}

TEST(UnkeptMemory, RetireReturnsAfterTheCopiesOut) {
  for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Program p(DeterministicOptions(seed, mode), /*with_memory=*/true);
      Adopted x = Adopt(p, Pattern(1));
      const Saved saved = p.Pack(x.storage, WholeOf(kSize));
      p.Retire(x.storage);
      x.memory.reset();  // poisons the bytes, on a stream that knows nothing of the copy
      ASSERT_EQ(p.Unpack(saved), Pattern(1)) << "seed " << seed;
    }
  }
}

TEST(UnkeptMemory, AValueOnTheDeviceIsGoneWithItsStorage) {
  for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kMarshal}) {
    Program p(DeterministicOptions(1, mode, OffloadPolicy::kFit), /*with_memory=*/true);
    Adopted x = Adopt(p, Pattern(1));
    const Saved saved = p.Pack(x.storage, WholeOf(kSize));
    EXPECT_EQ(p.Unpack(saved), Pattern(1));
    p.Retire(x.storage);
    const Status gone = p.runtime->Unpack(saved, p.compute()).status();
    EXPECT_EQ(gone.code(), StatusCode::kFailedPrecondition);
    EXPECT_NE(gone.message().find("without a keepalive"), std::string_view::npos) << gone;
  }
}

TEST(UnkeptMemory, AValueThatTheHostHasStays) {
  Program p(DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit), /*with_memory=*/true);
  Adopted x = Adopt(p, Pattern(1));
  const Saved whole = p.Pack(x.storage, WholeOf(kSize));
  ASSERT_TRUE(p.runtime->Reclaim(0, 1).ok());
  const Saved part = p.Pack(x.storage, PartOf(0, 16));  // kept on the device as well, under fit
  p.Retire(x.storage);
  x.memory.reset();
  EXPECT_EQ(p.Unpack(whole), Pattern(1));
  EXPECT_EQ(p.Unpack(part), Slice(Pattern(1), 0, 16));
}

TEST(UnkeptMemory, OthersAreNotMadeFromMemoryThatNobodyKeeps) {
  Program p(DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit), /*with_memory=*/true);
  Adopted x = Adopt(p, Pattern(1));
  const Allocation y = p.Make(Pattern(1));
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
  const Saved sy = p.Pack(y.storage, WholeOf(kSize));  // first, so that it is given up first
  const Saved sx = p.Pack(x.storage, WholeOf(kSize));
  p.Retire(y.storage);
  ASSERT_TRUE(p.runtime->Reclaim(0, 1).ok());
  p.Retire(x.storage);
  x.memory.reset();
  EXPECT_EQ(p.Unpack(sy), Pattern(1));
}

TEST(UnkeptMemory, ALaterPackMayBringTheKeepalive) {
  Program p(DeterministicOptions(1, OffloadMode::kOff), /*with_memory=*/true);
  Adopted x = Adopt(p, Pattern(1));
  const Saved first = p.Pack(x.storage, WholeOf(kSize));
  const Saved second = p.Pack(x.storage, PartOf(0, 16), x.memory);
  p.Retire(x.storage);
  x.memory.reset();
  EXPECT_EQ(p.Unpack(second), Slice(Pattern(1), 0, 16));
}

// y was given up, for it can be made again from x, and saved once more. Its own bytes go with its storage, the recipe
// stays.
TEST(UnkeptMemory, AReplayableValueThatWasKeptAgainStaysReplayable) {
  Program p(DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit), /*with_memory=*/true);
  const Allocation x = p.Make(Pattern(1));
  Adopted y = Adopt(p, Pattern(1));
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
  const Saved sy = p.Pack(y.storage, WholeOf(kSize));  // first, so that it is given up first
  const Saved sx = p.Pack(x.storage, WholeOf(kSize));
  ASSERT_TRUE(p.runtime->Reclaim(0, 1).ok());
  EXPECT_EQ(p.ledger().avoided_lineage, kSize);
  const Saved part = p.Pack(y.storage, PartOf(0, 16));
  p.Retire(y.storage);
  y.memory.reset();
  EXPECT_EQ(p.Unpack(sy), Pattern(1));
  p.BeginWrite(x.storage);
  p.Write(x.data, Pattern(2), p.compute());
  EXPECT_EQ(p.Unpack(sy), Pattern(1));
  EXPECT_EQ(p.Unpack(part), Slice(Pattern(1), 0, 16));
}

// The same, and x is written before anybody took y back.
TEST(UnkeptMemory, ASourceOfAValueThatWasKeptAgainMayBeWritten) {
  Program p(DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit), /*with_memory=*/true);
  const Allocation x = p.Make(Pattern(1));
  Adopted y = Adopt(p, Pattern(1));
  ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
  const Saved sy = p.Pack(y.storage, WholeOf(kSize));
  const Saved sx = p.Pack(x.storage, WholeOf(kSize));
  ASSERT_TRUE(p.runtime->Reclaim(0, 1).ok());
  const Saved part = p.Pack(y.storage, PartOf(0, 16));
  p.Retire(y.storage);
  y.memory.reset();
  p.BeginWrite(x.storage);
  p.Write(x.data, Pattern(2), p.compute());
  EXPECT_EQ(p.Unpack(sy), Pattern(1));
}

// What reads the memory on a stream that the program does not order before its next use.
TEST(UnkeptMemory, RetireReturnsAfterTheReplaysThatReadIt) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed, OffloadMode::kMarshal, OffloadPolicy::kFit), /*with_memory=*/true);
    Adopted x = Adopt(p, Pattern(1));
    const Allocation y = p.Make(Pattern(1));
    ASSERT_TRUE(p.runtime->Derive({y.storage, WholeOf(kSize)}, {x.storage, WholeOf(kSize)}, Replay::Copy()).ok());
    const Saved sx = p.Pack(x.storage, WholeOf(kSize));
    ASSERT_TRUE(p.runtime->Reclaim(0, 1).ok());  // x is on the host, so y can be made from it
    const Saved sy = p.Pack(y.storage, WholeOf(kSize));
    p.Retire(y.storage);
    ASSERT_TRUE(p.runtime->Reclaim(0, 1).ok());
    ASSERT_EQ(p.ledger().avoided_lineage, kSize);
    ASSERT_TRUE(p.runtime->Drain().ok());
    const Saved again = p.Pack(x.storage, PartOf(0, 16));  // x's own bytes are held once more
    const Loaded loaded = p.runtime->Unpack(sy, p.other()).value();
    p.Retire(x.storage);
    x.memory.reset();  // poisons the bytes
    EXPECT_EQ(p.Read(loaded, p.other()), Pattern(1)) << "seed " << seed;
  }
}

TEST(UnkeptMemory, RetireReturnsAfterTheReadersOfALease) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Program p(DeterministicOptions(seed, OffloadMode::kOff), /*with_memory=*/true);
    Adopted x = Adopt(p, Pattern(1));
    Saved saved = p.Pack(x.storage, WholeOf(kSize));
    Loaded loaded = p.runtime->Unpack(saved, p.other()).value();
    auto seen = std::make_shared<Bytes>();
    LaunchUnseen(p, loaded, kSize, seen);
    loaded = Loaded();
    if (seed % 2 == 0) saved = Saved();
    p.Retire(x.storage);
    x.memory.reset();
    ASSERT_TRUE(p.runtime->Synchronize(p.other()).ok());
    EXPECT_EQ(*seen, Pattern(1)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tierlib
