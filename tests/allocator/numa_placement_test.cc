// Pinned memory is on the node that was asked for: on a fake machine of several nodes, and on this one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/fake_device.h"
#include "allocator/fake_topology.h"
#include "allocator/memory_source.h"
#include "allocator/pre_touch.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

StatusOr<std::unique_ptr<MemorySource>> Pinned(NumaTopology& topology, int node, std::uint64_t capacity = MiB(64)) {
  return MakeHostSource({.tier = Tier::kPinned, .capacity = capacity, .numa_node = node, .topology = &topology});
}

TEST(NumaPlacement, PinnedMemoryIsOnItsNodeWhoeverGrowsIt) {
  FakeTopology machine(3);
  machine.RunHere(0);
  auto source = Pinned(machine, 2).value();
  ASSERT_TRUE(source->Grow(MiB(2)).ok());
  machine.RunHere(1);
  ASSERT_TRUE(source->Grow(MiB(4)).ok());
  const Placement placement = source->VerifyPlacement(MiB(6)).value();
  EXPECT_EQ(placement.node, 2);
  EXPECT_THAT(placement.pages, ElementsAre(0, 0, MiB(6) / PageBytes()));
  EXPECT_EQ(placement.elsewhere, 0u);
  EXPECT_EQ(placement.absent, 0u);
  EXPECT_EQ(source->VerifyPlacement(MiB(6) + 4 * PageBytes())->absent, 4u);
}

TEST(NumaPlacement, TakesTheNodeOfTheCallingThreadWhereNoneIsAsked) {
  FakeTopology machine(2);
  machine.RunHere(1);
  auto source = Pinned(machine, -1).value();
  machine.RunHere(0);
  ASSERT_TRUE(source->Grow(MiB(2)).ok());
  EXPECT_EQ(source->VerifyPlacement(MiB(2))->node, 1);
  EXPECT_EQ(source->VerifyPlacement(MiB(2))->elsewhere, 0u);
}

TEST(NumaPlacement, VerifyingFindsPagesThatAreElsewhere) {
  FakeTopology machine(2);
  auto source = Pinned(machine, 0).value();
  ASSERT_TRUE(source->Grow(MiB(2)).ok());
  machine.leaks = true;
  ASSERT_TRUE(source->Grow(MiB(4)).ok());
  const Placement placement = source->VerifyPlacement(MiB(6)).value();
  EXPECT_THAT(placement.pages, ElementsAre(MiB(2) / PageBytes(), MiB(4) / PageBytes()));
  EXPECT_EQ(placement.elsewhere, MiB(4) / PageBytes());
}

TEST(NumaPlacement, AFullNodeIsFullThoughOthersHaveMemory) {
  FakeTopology machine(2);
  machine.free[1] = MiB(5);
  auto source = Pinned(machine, 1).value();
  EXPECT_EQ(source->Grow(MiB(6)), Status(StatusCode::kResourceExhausted));
  EXPECT_EQ(source->grown(), 0u);
  EXPECT_TRUE(source->Grow(MiB(4)).ok()) << "as the pool asks again";
  auto pageable =
      MakeHostSource({.tier = Tier::kPageable, .capacity = MiB(64), .numa_node = 1, .topology = &machine}).value();
  EXPECT_TRUE(pageable->Grow(MiB(64)).ok()) << "is not bound";
}

TEST(NumaPlacement, ForbiddenBindingLeavesPagesWhereTheyAreTouchedAndSaysSo) {
  FakeTopology machine(2);
  machine.RunHere(0);
  machine.bind_error = UnimplementedError("this container may not");
  auto source = Pinned(machine, 1).value();
  ASSERT_TRUE(source->Grow(MiB(2)).ok());
  EXPECT_EQ(source->VerifyPlacement(MiB(2))->elsewhere, MiB(2) / PageBytes());
  machine.bind_error = Status(StatusCode::kResourceExhausted);
  EXPECT_EQ(Pinned(machine, 1).status().code(), StatusCode::kResourceExhausted);
}

TEST(NumaPlacement, RefusesNodesThatAreNotThereOrNotOurs) {
  FakeTopology machine(2);
  machine.forbidden = {1};
  EXPECT_THAT(Pinned(machine, 2).status().ToString(),
              HasSubstr("INVALID_ARGUMENT: NUMA node 2: the highest of this machine is 1"));
  EXPECT_THAT(Pinned(machine, 1).status().ToString(),
              HasSubstr("INVALID_ARGUMENT: NUMA node 1: this process may not have memory of it"));
  machine.RunHere(1);
  auto source = Pinned(machine, -1).value();
  EXPECT_EQ(source->VerifyPlacement(0)->node, -1);
}

TEST(NumaPlacement, APoolTellsWhereItsBlocksAre) {
  FakeTopology machine(2);
  FakeDevice device;
  BlockPool pool({.source = Pinned(machine, 1).value(), .device = &device});
  EXPECT_EQ(pool.VerifyPlacement()->pages, (std::vector<std::uint64_t>{0, 0}));
  void* const block = pool.Allocate(MiB(3), {0, 1}).value();
  EXPECT_EQ(machine.NodeOf(block), 1);
  EXPECT_THAT(pool.VerifyPlacement()->pages, ElementsAre(0, MiB(4) / PageBytes()));
  pool.Free(block, {Stream{0, 1}});
}

TEST(PreTouch, TouchesLargePiecesFromThreadsOnTheNode) {
  FakeTopology machine(3);
  machine.RunHere(0);
  auto source = Pinned(machine, 2, MiB(128)).value();
  ASSERT_TRUE(source->Grow(kTouchedInParallel - MiB(2)).ok());
  EXPECT_EQ(machine.TouchedFrom(source->base()), 0) << "small: by the caller, which a policy binds";
  ASSERT_TRUE(source->Grow(kTouchedInParallel).ok());
  std::byte* const large = source->base() + kTouchedInParallel - MiB(2);
  for (std::size_t offset = 0; offset < kTouchedInParallel; offset += PageBytes()) {
    ASSERT_EQ(machine.TouchedFrom(large + offset), 2) << offset;
  }
  EXPECT_EQ(machine.CurrentCpu(), 0) << "the caller stays where it is";
  EXPECT_EQ(source->VerifyPlacement(source->grown())->absent, 0u) << "every page once";
}

// A machine of one node and many processors, whose threads meet: each waits for the others before it touches.
class BusyMachine : public FakeTopology {
 public:
  explicit BusyMachine(int meeting) : FakeTopology(8), meeting_(meeting) {}
  std::vector<int> CpusOf(int) const override { return FakeTopology::CpusOf(-1); }
  Status Touch(std::byte* begin, std::size_t bytes) override {
    for (++arrived_; arrived_ < meeting_;) std::this_thread::yield();
    return FakeTopology::Touch(begin, bytes);
  }

 private:
  const int meeting_;
  std::atomic<int> arrived_{0};
};

TEST(PreTouch, UsesUpToEightThreadsAtOnce) {
  BusyMachine machine(kMostTouchingThreads);  // hangs with fewer
  auto source = Pinned(machine, 0, MiB(256)).value();
  ASSERT_TRUE(source->Grow(MiB(256)).ok());
  EXPECT_EQ(machine.touching_threads(), kMostTouchingThreads);
}

TEST(PreTouch, MemoryThatRunsOutGivesThePieceBack) {
  FakeTopology machine(2);
  FakeDevice device;
  auto source =
      MakeHostSource(
          {.tier = Tier::kPinned, .capacity = MiB(128), .numa_node = 1, .device = &device, .topology = &machine})
          .value();
  for (const int touches : {0, 3}) {
    machine.touches_left = touches;
    EXPECT_EQ(source->Grow(MiB(64)), Status(StatusCode::kResourceExhausted)) << touches;
    EXPECT_EQ(source->grown(), 0u);
    EXPECT_THAT(device.pinned, testing::IsEmpty());
  }
  machine.touches_left = 1000;
  EXPECT_TRUE(source->Grow(MiB(64)).ok());
  EXPECT_EQ(device.pinned.size(), 1u) << "registered after it was touched";
}

TEST(MachineTopology, HasEveryProcessorOnANodeAndFindsPages) {
  NumaTopology& machine = MachineTopology();
  if (machine.nodes() == 0) GTEST_SKIP() << "the kernel tells this process of no NUMA nodes";
  std::set<int> seen;
  for (int node = 0; node < machine.nodes(); ++node) {
    for (const int cpu : machine.CpusOf(node)) {
      EXPECT_EQ(machine.NodeOfCpu(cpu), node);
      EXPECT_TRUE(seen.insert(cpu).second) << cpu;
    }
    if (machine.MayUse(node)) {
      EXPECT_GT(machine.FreeBytes(node), 0u) << node;
    }
  }
  const std::vector<int> all = machine.CpusOf(-1);
  EXPECT_EQ(seen, std::set<int>(all.begin(), all.end()));
  EXPECT_FALSE(all.empty());
  EXPECT_FALSE(machine.MayUse(machine.nodes()));
  const int node = machine.NodeOfCpu(machine.CurrentCpu());
  auto source = MakeHostSource({.tier = Tier::kPinned, .capacity = MiB(64), .numa_node = node}).value();
  ASSERT_TRUE(source->Grow(MiB(64)).ok());
  const StatusOr<Placement> placement = source->VerifyPlacement(MiB(64));
  ASSERT_TRUE(placement.ok()) << placement.status();
  EXPECT_EQ(placement->node, node);
  EXPECT_EQ(placement->pages[static_cast<std::size_t>(node)], MiB(64) / PageBytes());
  EXPECT_EQ(placement->elsewhere + placement->absent, 0u);
  ASSERT_TRUE(source->Shrink(MiB(64)).ok());
  EXPECT_EQ(source->VerifyPlacement(MiB(64))->absent, MiB(64) / PageBytes());
}

}  // namespace
}  // namespace tierlib
