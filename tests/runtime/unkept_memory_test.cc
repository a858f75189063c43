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

}  // namespace
}  // namespace tierlib
