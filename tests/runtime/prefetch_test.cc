// Prefetching: values come back before they are asked for, in the order of the step before or in reverse pack order,
// only into memory that is free, and give it up where it is needed.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = KiB(16);

Bytes Pattern(std::size_t seed) {
  Random random(seed);
  return RandomBytes(random, kSize);
}

Options With(std::uint64_t prefetch_bytes, std::uint64_t capacity = MiB(4)) {
  Options options = DeterministicOptions(1);
  options.devices[0].prefetch_bytes = prefetch_bytes;
  options.devices[0].capacity = capacity;
  return options;
}

// Values of a step, which live on the host alone.
std::vector<Saved> PackAway(Program& p, std::size_t count) {
  std::vector<Saved> saved;
  for (std::size_t i = 0; i < count; ++i) {
    const Allocation made = p.Make(Pattern(i));
    saved.push_back(p.Pack(made.storage, WholeOf(kSize)));
    p.Retire(made.storage);
  }
  EXPECT_TRUE(p.runtime->Drain().ok());
  return saved;
}

// Takes the values back in `order`; what came in ahead of being asked for.
std::uint64_t TakeBack(Program& p, const std::vector<Saved>& saved, const std::vector<std::size_t>& order) {
  const std::uint64_t before = p.ledger().prefetched;
  for (const std::size_t i : order) EXPECT_EQ(p.Unpack(saved[i]), Pattern(i)) << "value " << i;
  return p.ledger().prefetched - before;
}

TEST(Prefetch, IsOffUnlessAskedFor) {
  Program p(DeterministicOptions(1));
  const std::vector<Saved> saved = PackAway(p, 4);
  p.runtime->BeginBackward();
  EXPECT_EQ(TakeBack(p, saved, {3, 2, 1, 0}), 0u);
  EXPECT_EQ(p.ledger().prefetch_missed, 0u) << "where nothing is brought ahead nothing is missed";
}

TEST(Prefetch, FollowsReversePackOrder) {
  Program p(With(2 * kSize));
  const std::vector<Saved> saved = PackAway(p, 6);
  EXPECT_EQ(p.Unpack(saved[5]), Pattern(5));
  EXPECT_EQ(p.ledger().copies_in, 3u) << "the one asked for, and two after it";
  EXPECT_EQ(p.Unpack(saved[4]), Pattern(4));
  EXPECT_EQ(p.ledger().copies_in, 4u) << "one was asked for, so one more comes";
  EXPECT_EQ(TakeBack(p, saved, {3, 2, 1, 0}), 2 * kSize);
  const Ledger ledger = p.ledger();
  EXPECT_EQ(ledger.copies_in, 6u);
  EXPECT_EQ(ledger.prefetched, 5 * kSize);
  EXPECT_EQ(ledger.prefetched_in_vain, 0u);
  EXPECT_EQ(ledger.prefetch_missed, kSize) << "the first, which was asked for before anything was known of it";
  EXPECT_EQ(ledger.moved_in, ledger.engine_in);
}

TEST(Prefetch, BeginsWithBackward) {
  Program p(With(2 * kSize));
  const std::vector<Saved> saved = PackAway(p, 4);
  p.runtime->BeginBackward();
  EXPECT_EQ(p.ledger().prefetched, 2 * kSize);
  EXPECT_EQ(TakeBack(p, saved, {3, 2, 1, 0}), 2 * kSize);
  EXPECT_EQ(p.ledger().copies_in, 4u);
}

TEST(Prefetch, LearnsTheOrderOfTheStepBefore) {
  Program p(With(kSize));
  const std::vector<std::size_t> order = {1, 4, 0, 3};  // branches, and 2 and 5 are never asked for
  for (int step = 0; step < 3; ++step) {
    p.runtime->BeginStep(static_cast<std::uint64_t>(step));
    const std::vector<Saved> saved = PackAway(p, 6);
    p.runtime->BeginBackward();
    const std::uint64_t ahead = TakeBack(p, saved, order);
    p.runtime->EndStep();
    const Ledger ledger = p.runtime->statistics().last_step;
    if (step == 0) continue;
    EXPECT_EQ(ahead, (order.size() - 1) * kSize) << "the first came with BeginBackward";
    EXPECT_EQ(ledger.prefetched, order.size() * kSize);
    EXPECT_EQ(ledger.copies_in, order.size());
    EXPECT_EQ(ledger.prefetched_in_vain, 0u);
  }
}

TEST(Prefetch, AStepOfAnotherShapeGetsItsValuesAllTheSame) {
  Program p(With(2 * kSize));
  for (const std::size_t count : {5, 3, 7, 1}) {
    p.runtime->BeginStep(0);
    const std::vector<Saved> saved = PackAway(p, count);
    p.runtime->BeginBackward();
    std::vector<std::size_t> order(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = (i * 3 + 1) % count;  // each once: count is no multiple of 3...
    std::sort(order.begin(), order.end());
    order.erase(std::unique(order.begin(), order.end()), order.end());  // ...or some are left out
    TakeBack(p, saved, order);
    p.runtime->EndStep();
  }
}

TEST(Prefetch, GivesItsMemoryToWhoeverNeedsIt) {
  Program p(With(3 * kSize, 4 * kSize));
  const std::vector<Saved> saved = PackAway(p, 4);
  EXPECT_EQ(p.Unpack(saved[3]), Pattern(3));
  EXPECT_EQ(p.ledger().prefetched, 3 * kSize);
  const Allocation large = p.runtime->Allocate(4 * kSize, Holds::kTransient, p.compute(), "large").value();
  EXPECT_EQ(p.ledger().prefetched_in_vain, 3 * kSize);
  EXPECT_EQ(p.runtime->statistics().pinned.live, 4 * kSize) << "the host has them as before";
  p.Retire(large.storage);
  // Memory is short: for a while nothing comes back that nobody asked for.
  EXPECT_EQ(TakeBack(p, saved, {2, 1, 0}), 0u);
}

TEST(Prefetch, TakesNoMemoryFromOthers) {
  Program p(With(4 * kSize, 3 * kSize));
  const std::vector<Saved> saved = PackAway(p, 4);
  const Allocation mine = p.Make(Pattern(9));
  const Saved kept = p.Pack(mine.storage, WholeOf(kSize));
  EXPECT_EQ(p.Unpack(saved[3]), Pattern(3));
  EXPECT_EQ(p.ledger().prefetched, kSize) << "there is room for one more";
  EXPECT_EQ(p.runtime->statistics().shortages.evictions, 0u);
  TakeBack(p, saved, {2, 1, 0});
  p.Retire(mine.storage);
  EXPECT_EQ(p.Unpack(kept), Pattern(9));
}

TEST(Prefetch, OneValueOfRoomIsEnough) {
  Program p(With(8 * kSize, kSize));
  const std::vector<Saved> saved = PackAway(p, 5);
  p.runtime->BeginBackward();
  TakeBack(p, saved, {4, 2, 0, 1, 3});
}

TEST(Prefetch, StaysWithinTheBudgetForReloads) {
  Options options = With(8 * kSize);
  options.devices[0].reload_budget = 2 * kSize;
  Program p(options);
  const std::vector<Saved> saved = PackAway(p, 6);
  for (std::size_t i = 6; i-- > 0;) {
    EXPECT_EQ(p.Unpack(saved[i]), Pattern(i));
    EXPECT_LE(p.runtime->statistics().device.live, 2 * kSize);
  }
}

TEST(Prefetch, WhatIsDroppedUnaskedGivesAllBack) {
  Program p(With(4 * kSize));
  std::vector<Saved> saved = PackAway(p, 4);
  p.runtime->BeginBackward();
  EXPECT_EQ(p.runtime->statistics().device.live, 4 * kSize);
  saved.clear();
  ASSERT_TRUE(p.runtime->Drain().ok());
  EXPECT_EQ(p.runtime->statistics().device.live, 0u);
  EXPECT_EQ(p.runtime->statistics().pinned.live, 0u);
  EXPECT_EQ(p.ledger().prefetched_in_vain, 4 * kSize);
}

// The stream that used a value waited for its copy in. Who gets its memory does not wait for those that came after it.
TEST(Prefetch, MemoryOfAUsedValueWaitsForNoLaterCopyIn) {
  for (const bool used : {false, true}) {
    Program p(With(2 * kSize, 8 * kSize));
    std::vector<Saved> saved = PackAway(p, 3);
    Saved first = std::move(saved[2]);
    p.runtime->BeginBackward();  // the last value and the one before it are on their way
    if (used) (void)p.runtime->Unpack(first, p.compute()).value();
    first = Saved();
    const std::uint64_t stalls = p.ledger().stalls;
    const Allocation next = p.runtime->Allocate(kSize, Holds::kTransient, p.compute(), "next").value();
    EXPECT_EQ(p.ledger().stalls - stalls, used ? 0u : 1u) << "what nobody waited for may still be under way";
    p.Retire(next.storage);
    EXPECT_EQ(TakeBack(p, saved, {1, 0}), used ? 0u : kSize);
  }
}

// A slice at either end of a storage: the copy brings two pieces, the block holds what lies between them too.
TEST(Prefetch, CountsWhatWasCopied) {
  Program p(With(4 * kSize));
  const Allocation made = p.Make(Pattern(0));
  const Saved low = p.Pack(made.storage, PartOf(0, 256));
  const Saved high = p.Pack(made.storage, PartOf(kSize - 256, kSize));
  p.Retire(made.storage);
  ASSERT_TRUE(p.runtime->Drain().ok());
  p.runtime->BeginBackward();
  EXPECT_EQ(p.ledger().moved_in, 512u);
  EXPECT_EQ(p.ledger().prefetched, 512u);
  EXPECT_EQ(p.runtime->core()->tier(0).prefetched_bytes, kSize);
}

// While the program's allocator runs for a value that nobody asked for, somebody asks for it.
TEST(Prefetch, AValueThatIsAskedForMeanwhileIsNotAhead) {
  Options options = With(4 * kSize);
  std::vector<Bytes> blocks;
  Program* program = nullptr;
  const Saved* wanted = nullptr;
  Loaded loaded;
  options.devices[0].allocator = std::make_shared<DeviceAllocator>();
  options.devices[0].allocator->allocate = [&](std::size_t bytes, Stream) -> void* {
    if (const Saved* const saved = std::exchange(wanted, nullptr)) {
      loaded = program->runtime->Unpack(*saved, program->compute()).value();
    }
    return blocks.emplace_back(bytes).data();
  };
  options.devices[0].allocator->deallocate = [](void*, std::size_t, Stream) {};
  blocks.reserve(8);
  Program p(options);
  program = &p;
  const std::vector<Saved> saved = PackAway(p, 1);
  wanted = &saved[0];
  p.runtime->BeginBackward();
  EXPECT_EQ(p.Read(loaded, p.compute()), Pattern(0));
  EXPECT_EQ(p.runtime->core()->tier(0).prefetched_bytes, 0u);
  EXPECT_EQ(p.ledger().prefetched, 0u);
}

// The last value packed is made from the first: that is what it needs back.
TEST(Prefetch, BringsTheSourceOfAReplayBack) {
  Program p(With(kSize));
  const Allocation source = p.Make(Pattern(0));
  Saved kept = p.Pack(source.storage, WholeOf(kSize));
  const std::vector<Saved> between = PackAway(p, 1);
  const Allocation copy = p.Make(Pattern(0));
  ASSERT_TRUE(p.runtime->Derive({copy.storage, WholeOf(kSize)}, {source.storage, WholeOf(kSize)}, Replay::Copy()).ok());
  const Saved derived = p.Pack(copy.storage, WholeOf(kSize));
  p.Retire(copy.storage);
  p.Retire(source.storage);
  ASSERT_TRUE(p.runtime->Drain().ok());
  ASSERT_EQ(p.ledger().avoided_lineage, kSize);
  kept = Saved();
  p.runtime->BeginBackward();
  EXPECT_EQ(p.ledger().prefetched, kSize);
  EXPECT_EQ(p.Unpack(derived), Pattern(0));
  EXPECT_EQ(p.ledger().prefetched, 2 * kSize) << "the replay used it, and there was room for the next";
  EXPECT_EQ(p.ledger().copies_in, 2u);
  EXPECT_EQ(TakeBack(p, between, {0}), 0u);
  EXPECT_EQ(p.runtime->core()->tier(0).prefetched_bytes, 0u);
  EXPECT_EQ(p.ledger().prefetched_in_vain, 0u);
}

}  // namespace
}  // namespace tierlib
