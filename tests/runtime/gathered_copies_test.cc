// DeviceOptions::coalesce_bytes seen from the verbs: what waits holds little memory and gives it up where it is needed,
// a batch that cannot be enqueued loses nothing, and what a step moved is in its figures.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 4096;
constexpr std::uint64_t kGathered = 8 * kSize;  // so that two values make no batch by themselves

Options Gathering(std::uint64_t seed, std::uint64_t coalesce_bytes = kGathered) {
  Options options = DeterministicOptions(seed);
  options.devices[0].emulated.find_races = true;
  options.devices[0].coalesce_bytes = coalesce_bytes;
  return options;
}

Bytes Pattern(std::uint64_t seed) {
  Random random(seed);
  return RandomBytes(random, kSize);
}

bool HasBatch(const Program& p) { return p.runtime->core()->tier(0).transfers->has_batch(); }

// Packs a value whose storage is retired.
Saved PackOne(Program& p, std::uint64_t seed) {
  const Allocation x = p.Make(Pattern(seed));
  Saved saved = p.Pack(x.storage, WholeOf(kSize));
  p.Retire(x.storage);
  return saved;
}

TEST(GatheredCopies, HoldNoMoreThanTheLimit) {
  Program p(Gathering(1));
  std::vector<Saved> saved;
  std::uint64_t most = 0;
  for (std::uint64_t i = 0; i < 100; ++i) {
    saved.push_back(PackOne(p, i));
    most = std::max(most, p.runtime->statistics().device.live);
  }
  EXPECT_EQ(most, kGathered - kSize) << "and they do wait";
  for (std::uint64_t i = 0; i < 100; ++i) ASSERT_EQ(p.Unpack(saved[i]), Pattern(i));
  ExpectBookedOnce(p.ledger());
  EXPECT_EQ(p.ledger().moved, 100 * kSize);
  EXPECT_EQ(p.ledger().copies_out, 100u) << "values, however they went";
}

TEST(GatheredCopies, ASliceOfALargeBlockDoesNotHoldIt) {
  Program p(Gathering(1));
  const Allocation x = p.Make(Bytes(kGathered, 7));
  const Saved saved = p.Pack(x.storage, PartOf(0, 16));
  EXPECT_FALSE(HasBatch(p));
  p.Retire(x.storage);
  EXPECT_EQ(p.runtime->statistics().device.live, 0u);
}

TEST(GatheredCopies, GiveTheirMemoryUpWhereItIsNeeded) {
  Options options = Gathering(1, MiB(1));
  options.devices[0].capacity = 4 * kSize;
  Program p(options);
  std::vector<Saved> saved;
  for (std::uint64_t i = 0; i < 40; ++i) saved.push_back(PackOne(p, i));
  for (std::uint64_t i = 40; i-- > 0;) ASSERT_EQ(p.Unpack(saved[i]), Pattern(i));
  EXPECT_EQ(p.runtime->statistics().shortages.failures, 0u);
}

TEST(GatheredCopies, GiveHostMemoryOfDroppedValuesUpWhereItIsNeeded) {
  Options options = Gathering(1);
  options.pinned_limit = 4 * kSize;
  options.pageable_limit = 0;
  Program p(options);
  for (std::uint64_t i = 0; i < 40; ++i) {
    const Saved dropped = PackOne(p, i);
  }
  EXPECT_EQ(p.ledger().kept, 0u);
  EXPECT_EQ(p.runtime->statistics().fallbacks.refused, 0u);
}

TEST(GatheredCopies, OfDroppedValuesAreMade) {
  Program p(Gathering(1));
  {
    const Saved dropped = PackOne(p, 1);
    EXPECT_TRUE(HasBatch(p));
  }
  EXPECT_EQ(p.runtime->statistics().pinned.live, kSize) << "a block that is yet to be written is nobody else's";
  ASSERT_TRUE(p.runtime->Drain().ok());
  const Statistics statistics = p.runtime->statistics();
  EXPECT_EQ(statistics.device.live + statistics.pinned.live, 0u);
  EXPECT_EQ(statistics.total.engine_out, kSize);
}

// Each verb that needs the batch says why there is none, and works when it is called again.
TEST(GatheredCopies, ThatAreRefusedLoseNothing) {
  struct Need {
    const char* name;
    std::function<Status(Program& p, StorageId storage, const Saved& saved)> ask;
  };
  const Need needs[] = {
      {"unpack",
       [](Program& p, StorageId, const Saved& saved) { return p.runtime->Unpack(saved, p.compute()).status(); }},
      {"drain", [](Program& p, StorageId, const Saved&) { return p.runtime->Drain(); }},
      {"pack",
       [](Program& p, StorageId, const Saved&) {
         const Allocation large = p.Make(Bytes(kGathered, 1));
         const Status status = p.runtime->Pack({large.storage, WholeOf(kGathered)}, nullptr, p.compute(), "l").status();
         p.Retire(large.storage);
         return status;
       }},
      {"begin write",
       [](Program& p, StorageId storage, const Saved&) { return p.runtime->BeginWrite(storage, p.compute()); }},
  };
  for (const Need& need : needs) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      SCOPED_TRACE(std::string(need.name) + ", seed " + std::to_string(seed));
      Options options = Gathering(seed);
      options.write_waits = true;
      Program p(options, /*with_memory=*/true);
      Adopted x = Adopt(p, Pattern(1));
      const Saved saved = p.Pack(x.storage, WholeOf(kSize), x.memory);
      const Saved other = PackOne(p, 2);
      const Ledger before = p.ledger();
      {
        const ScopedFailpoint refused("transfer.batch", {.call = 1, .persistent = true});
        EXPECT_EQ(need.ask(p, x.storage, saved).code(), StatusCode::kUnavailable);
        EXPECT_TRUE(HasBatch(p));
      }
      EXPECT_EQ(p.ledger().moved, before.moved);
      EXPECT_TRUE(need.ask(p, x.storage, saved).ok());
      EXPECT_FALSE(HasBatch(p));
      if (std::string(need.name) != "begin write") {
        EXPECT_EQ(p.Unpack(saved), Pattern(1));
      }
      EXPECT_EQ(p.Unpack(other), Pattern(2));
      EXPECT_TRUE(p.runtime->health().ok()) << p.runtime->health();
      p.Retire(x.storage);
      ExpectBookedOnce(p.ledger());
    }
  }
}

// Where writes do not wait, one is refused while the copy is in flight: it must get there.
TEST(GatheredCopies, DoNotRefuseAWriteForEver) {
  Program p(Gathering(1));
  const Allocation x = p.Make(Pattern(1));
  const Saved saved = p.Pack(x.storage, WholeOf(kSize));
  int tries = 0;
  while (!p.runtime->BeginWrite(x.storage, p.compute()).ok() && ++tries < 10'000) {
  }
  EXPECT_LT(tries, 10'000);
  p.Write(x.data, Pattern(2), p.compute());
  EXPECT_EQ(p.runtime->Unpack(saved, p.compute()).status().code(), StatusCode::kFailedPrecondition);
}

TEST(GatheredCopies, MemoryThatNobodyKeepsDoesNotWait) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Options options = Gathering(seed);
    options.devices[0].emulated.find_races = false;  // the program writes right after
    Program p(options, /*with_memory=*/true);
    Adopted x = Adopt(p, Pattern(1));
    const Saved kept = p.Pack(x.storage, PartOf(0, 100), x.memory);
    EXPECT_TRUE(HasBatch(p));
    const Saved saved = p.Pack(x.storage, WholeOf(kSize));
    EXPECT_FALSE(HasBatch(p));
    const Saved again = p.Pack(x.storage, PartOf(50, 200), x.memory);
    p.Retire(x.storage);
    x.memory.reset();
    ASSERT_EQ(p.Unpack(saved), Pattern(1)) << "seed " << seed;
    ASSERT_EQ(p.Unpack(kept), Slice(Pattern(1), 0, 100));
  }
}

TEST(GatheredCopies, RetireOfMemoryThatNobodyKeepsSaysWhereTheyCannotGo) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Program p(Gathering(seed), /*with_memory=*/true);
    Adopted x = Adopt(p, Pattern(1));
    const Saved unkept = p.Pack(x.storage, PartOf(0, 100));
    const Saved kept = p.Pack(x.storage, PartOf(200, kSize), x.memory);
    EXPECT_TRUE(HasBatch(p));
    {
      const ScopedFailpoint refused("transfer.batch", {.call = 1, .persistent = true});
      EXPECT_EQ(p.runtime->Retire(x.storage, p.compute()).code(), StatusCode::kUnavailable);
    }
    p.Retire(x.storage);
    x.memory.reset();
    ASSERT_EQ(p.Unpack(unkept), Slice(Pattern(1), 0, 100)) << "seed " << seed;
    ASSERT_EQ(p.Unpack(kept), Slice(Pattern(1), 200, kSize));
  }
}

TEST(GatheredCopies, AreInTheFiguresOfTheirStep) {
  Options options = Gathering(1);
  options.devices[0].emulated = EmulatedOptions();
  options.devices[0].emulated.copy_latency_ns = 2'000'000;
  Program p(options);
  p.runtime->BeginStep(1);
  const Saved saved[] = {PackOne(p, 1), PackOne(p, 2), PackOne(p, 3)};
  ASSERT_TRUE(HasBatch(p));
  p.runtime->EndStep();
  EXPECT_FALSE(HasBatch(p));
  p.runtime->BeginStep(2);
  ASSERT_TRUE(p.runtime->Drain().ok());
  p.runtime->EndStep();
  for (const Stream stream : p.streams) ASSERT_TRUE(p.runtime->Synchronize(stream).ok());
  const std::vector<DeviceTimes> times = p.runtime->statistics().times;
  ASSERT_EQ(times.size(), 1u);
  EXPECT_EQ(times[0].total.steps, 2u) << "no step waits for a copy that nobody tells of";
  EXPECT_EQ(times[0].total.unmeasured, 0u);
  EXPECT_GT(times[0].total.copy_out_ns, 1'000'000u);
  EXPECT_LT(times[0].total.copy_out_ns, 4'000'000'000u);
}

TEST(GatheredCopies, GoAtTheLatestWhereBackwardBegins) {
  Program p(Gathering(1));
  const Saved saved = PackOne(p, 1);
  ASSERT_TRUE(HasBatch(p));
  p.runtime->BeginBackward();
  EXPECT_FALSE(HasBatch(p));
}

}  // namespace
}  // namespace tierlib
