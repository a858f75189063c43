// Orders that no result shows, or hardly ever: the device tells where nothing orders two uses of the same bytes.
#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

Options FindingRaces(std::uint64_t seed) {
  Options options = DeterministicOptions(seed);
  options.devices[0].emulated.find_races = true;
  return options;
}

constexpr std::uint64_t kSeeds = 8;

TEST(Races, AWriteWaitsForTheCopyOutOfAValueThatWasDropped) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    for (const OffloadMode mode : {OffloadMode::kMarshal, OffloadMode::kNaive}) {
      Options options = FindingRaces(seed);
      options.mode = mode;
      Program p(options);
      const Allocation x = p.Make(Bytes(4096, 1));
      (void)p.Pack(x.storage, WholeOf(4096));
      p.BeginWrite(x.storage);
      p.Write(x.data, Bytes(4096, 2), p.compute());
      ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok()) << p.runtime->health();
      p.Retire(x.storage);
    }
  }
}

// y is made from x on another stream, which nobody named to the runtime: it cannot know when y is there.
TEST(Races, AValueIsNotMadeFromOneThatMayNotBeThereYet) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Program p(FindingRaces(seed));
    const Allocation x = p.Make(Bytes(4096, 1));
    const Allocation y = p.runtime->Allocate(4096, Holds::kPersistent, p.other(), "y").value();
    p.OrderAfterKernels(p.other());
    p.Launch(p.other(), {{x.data, 4096, false}, {y.data, 4096, true}},
             [from = x.data, to = y.data] { std::memcpy(to, from, 4096); });
    const Layout whole = WholeOf(4096);
    ASSERT_TRUE(p.runtime->Derive({y.storage, whole}, {x.storage, whole}, Replay::Copy()).ok());
    const Saved saved = p.Pack(x.storage, whole);
    ASSERT_TRUE(p.runtime->Retire(x.storage, p.other()).ok());
    // Takes the block of x, which comes after the work on `other`: what comes back must not be ordered by chance.
    const Allocation z = p.runtime->Allocate(4096, Holds::kTransient, p.other(), "z").value();
    ASSERT_EQ(z.data, x.data);
    EXPECT_EQ(p.Unpack(saved), Bytes(4096, 1));
    EXPECT_TRUE(p.runtime->health().ok()) << p.runtime->health();
    ASSERT_TRUE(p.runtime->Retire(y.storage, p.other()).ok());
    ASSERT_TRUE(p.runtime->Retire(z.storage, p.other()).ok());
  }
}

// The value that was made again is still used, its handle is gone, and what it was made from is written.
TEST(Races, AWriteWaitsForTheReplayOfAValueThatWasDropped) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Program p(FindingRaces(seed));
    const Allocation x = p.Make(Bytes(4096, 1), Holds::kPersistent);
    const Allocation y = p.Make(Bytes(4096, 1));
    const Layout whole = WholeOf(4096);
    ASSERT_TRUE(p.runtime->Derive({y.storage, whole}, {x.storage, whole}, Replay::Copy()).ok());
    Saved saved = p.Pack(y.storage, whole);
    EXPECT_EQ(p.ledger().avoided_lineage, 4096u);
    p.Retire(y.storage);
    const Loaded loaded = p.runtime->Unpack(saved, p.other()).value();
    saved = Saved();
    p.BeginWrite(x.storage);
    p.Write(x.data, Bytes(4096, 2), p.compute());
    EXPECT_EQ(p.Read(loaded, p.other()), Bytes(4096, 1));
    EXPECT_TRUE(p.runtime->Synchronize(p.compute()).ok()) << p.runtime->health();
    p.Retire(x.storage);
  }
}

}  // namespace
}  // namespace tierlib
