// Pinned memory on a machine that does have two memory nodes: what tests/allocator/numa_placement_test.cc says of a
// fake one, asked of the kernel page by page, past our own code.
#include <gtest/gtest.h>
#include <numa.h>
#include <numaif.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/fake_device.h"
#include "allocator/memory_source.h"
#include "allocator/pre_touch.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

// Pages of the range by the node that the kernel names; negative for those that are not in memory.
std::map<int, std::size_t> NodesOf(const void* begin, std::size_t bytes) {
  std::vector<void*> pages;
  const auto first = reinterpret_cast<std::uintptr_t>(begin) / PageBytes() * PageBytes();
  const auto end = reinterpret_cast<std::uintptr_t>(begin) + bytes;
  for (std::uintptr_t page = first; page < end; page += PageBytes()) pages.push_back(reinterpret_cast<void*>(page));
  std::vector<int> nodes(pages.size(), -1);
  EXPECT_EQ(move_pages(0, pages.size(), pages.data(), nullptr, nodes.data(), 0), 0);
  std::map<int, std::size_t> counts;
  for (const int node : nodes) ++counts[node];
  return counts;
}

std::map<int, std::size_t> AllOn(int node, std::size_t bytes) { return {{node, bytes / PageBytes()}}; }

std::unique_ptr<MemorySource> Pinned(int node, std::uint64_t capacity) {
  return MakeHostSource({.tier = Tier::kPinned, .capacity = capacity, .numa_node = node}).value();
}

class TwoNodes : public testing::Test {
 protected:
  void SetUp() override {
    NumaTopology& machine = MachineTopology();
    if (!machine.MayUse(0) || !machine.MayUse(1)) {
      GTEST_SKIP() << "this machine does not have two memory nodes: see scripts/numa-check";
    }
    ASSERT_FALSE(machine.CpusOf(0).empty());
    ASSERT_FALSE(machine.CpusOf(1).empty());
  }

  // On a processor of the node.
  template <typename F>
  static void RunOn(int node, F function) {
    std::thread([&] {
      MachineTopology().RunOn(MachineTopology().CpusOf(node));
      ASSERT_EQ(MachineTopology().NodeOfCpu(MachineTopology().CurrentCpu()), node);
      function();
    }).join();
  }

  FakeDevice device_;
  const Stream stream_{0, 1};
};

TEST_F(TwoNodes, EveryPageIsOnTheNodeAskedForWhoeverGrowsIt) {
  for (const int node : {0, 1}) {
    for (const int here : {0, 1}) {
      // The second is touched by threads of the node.
      for (const std::size_t bytes : {MiB(8), kTouchedInParallel + MiB(8)}) {
        RunOn(here, [&] {
          auto source = Pinned(node, MiB(256));
          ASSERT_TRUE(source->Grow(bytes).ok()) << "node " << node << " from node " << here;
          EXPECT_EQ(NodesOf(source->base(), bytes), AllOn(node, bytes));
          const Placement placement = source->VerifyPlacement(bytes).value();
          EXPECT_EQ(placement.node, node);
          EXPECT_EQ(placement.pages[static_cast<std::size_t>(node)], bytes / PageBytes());
          EXPECT_EQ(placement.elsewhere, 0u);
          EXPECT_EQ(placement.absent, 0u);
          EXPECT_EQ(source->VerifyPlacement(bytes + PageBytes())->absent, 1u);
        });
      }
    }
  }
}

TEST_F(TwoNodes, WithoutANodeItIsThatOfTheCallingThread) {
  for (const int here : {0, 1}) {
    RunOn(here, [&] {
      auto source = Pinned(-1, MiB(64));
      ASSERT_TRUE(source->Grow(MiB(8)).ok());
      EXPECT_EQ(source->VerifyPlacement(MiB(8))->node, here);
      EXPECT_EQ(NodesOf(source->base(), MiB(8)), AllOn(here, MiB(8)));
    });
  }
}

TEST_F(TwoNodes, VerifyingFindsPagesThatWereMovedAway) {
  auto source = Pinned(0, MiB(64));
  ASSERT_TRUE(source->Grow(MiB(4)).ok());
  void* page = source->base() + MiB(1);
  const int away = 1;
  int status = -1;
  // Moved by root, or in a container that allows it. Locked pages move too; huge ones are split.
  if (move_pages(0, 1, &page, &away, &status, MPOL_MF_MOVE) != 0 || status != away) {
    GTEST_SKIP() << "the kernel did not move the page: " << status;
  }
  const Placement placement = source->VerifyPlacement(MiB(4)).value();
  EXPECT_GT(placement.elsewhere, 0u);
  EXPECT_EQ(placement.elsewhere, placement.pages[1]);
}

TEST_F(TwoNodes, PoolsNeverHandOutTheMemoryOfTheOtherNode) {
  std::vector<std::unique_ptr<BlockPool>> pools;
  for (const int node : {0, 1}) {
    pools.push_back(std::make_unique<BlockPool>(
        BlockPool::Options{.source = Pinned(node, MiB(96)), .device = &device_, .growth = MiB(2)}));
  }
  std::mt19937_64 random(1);
  struct Held {
    void* data = nullptr;
    int node = 0;
  };
  std::vector<Held> held;
  std::size_t looked_at = 0;
  for (int i = 0; i < 4000; ++i) {
    const int node = static_cast<int>(random() % 2);
    BlockPool& pool = *pools[static_cast<std::size_t>(node)];
    if (held.empty() || random() % 100 < 52) {
      const std::size_t bytes = std::size_t{1} << (8 + random() % 13);
      const StatusOr<void*> block = pool.Allocate(bytes, stream_);
      if (!block.ok()) continue;
      ASSERT_TRUE(pool.Contains(*block));
      ASSERT_FALSE(pools[static_cast<std::size_t>(1 - node)]->Contains(*block));
      const std::map<int, std::size_t> nodes = NodesOf(*block, bytes);
      ASSERT_EQ(nodes.size(), 1u) << "operation " << i;
      ASSERT_EQ(nodes.begin()->first, node) << "operation " << i;
      looked_at += nodes.begin()->second;
      held.push_back({*block, node});
    } else {
      std::swap(held[random() % held.size()], held.back());
      pools[static_cast<std::size_t>(held.back().node)]->Free(held.back().data, {stream_});
      held.pop_back();
      if (random() % 16 == 0) (void)pool.Trim();
    }
  }
  for (const Held& block : held) pools[static_cast<std::size_t>(block.node)]->Free(block.data, {stream_});
  for (const int node : {0, 1}) {
    const Placement placement = pools[static_cast<std::size_t>(node)]->VerifyPlacement().value();
    EXPECT_EQ(placement.elsewhere, 0u);
    EXPECT_GT(placement.pages[static_cast<std::size_t>(node)], 0u);
  }
  std::printf("looked at %zu pages of blocks of two pools: each on its pool's node\n", looked_at);
}

TEST_F(TwoNodes, AFullNodeIsResourceExhaustedThoughTheOtherHasMemory) {
  NumaTopology& machine = MachineTopology();
  const std::uint64_t free = machine.FreeBytes(1);
  ASSERT_LT(free, GiB(8)) << "a machine too large to fill";
  EXPECT_EQ(Pinned(1, 2 * free)->Grow((free + MiB(64)) / PageBytes() * PageBytes()),
            Status(StatusCode::kResourceExhausted));
  BlockPool pool({.source = Pinned(1, 2 * free), .device = &device_, .growth = MiB(8)});
  std::vector<void*> blocks;
  StatusOr<void*> block = pool.Allocate(MiB(8), stream_);
  for (; block.ok(); block = pool.Allocate(MiB(8), stream_)) blocks.push_back(*block);
  EXPECT_EQ(block.status(), Status(StatusCode::kResourceExhausted));
  EXPECT_GT(MiB(8) * blocks.size(), free / 10 * 7) << "of what the node said it had";
  EXPECT_EQ(pool.VerifyPlacement()->elsewhere, 0u);
  EXPECT_EQ(pool.VerifyPlacement()->absent, 0u);
  EXPECT_GT(machine.FreeBytes(0), MiB(64)) << "node 0 has memory all the same";
  BlockPool other({.source = Pinned(0, MiB(64)), .device = &device_});
  void* const elsewhere = other.Allocate(MiB(32), stream_).value();
  EXPECT_EQ(NodesOf(elsewhere, MiB(32)), AllOn(0, MiB(32)));
  std::printf("node 1 gave %zu MiB of %llu MiB and was full; node 0 had %llu MiB left\n", 8 * blocks.size(),
              static_cast<unsigned long long>(free >> 20), static_cast<unsigned long long>(machine.FreeBytes(0) >> 20));
  other.Free(elsewhere, {stream_});
  for (void* const one : blocks) pool.Free(one, {stream_});
  EXPECT_GT(pool.Trim(), 0u);
  EXPECT_GT(machine.FreeBytes(1), free / 10 * 7) << "and is not full any more";
}

}  // namespace
}  // namespace tierlib
