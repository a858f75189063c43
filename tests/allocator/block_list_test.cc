#include "allocator/block_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace tierlib {
namespace {

using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr std::size_t kUnit = 256;

TEST(BlockList, LeavesHolesOnBothSidesOfAnAlignedBlock) {
  BlockList list(kUnit);
  ASSERT_TRUE(list.Prepare());
  Block* low = list.Append(kUnit, kUnit);
  Block* middle = list.Append(4096 * 3, kUnit);
  Block* high = list.Append(kUnit, kUnit);
  list.GiveBack(middle);
  EXPECT_EQ(list.FindHole(4096 * 3, 4096), nullptr) << "nothing is left for the alignment";
  Block* hole = list.FindHole(4096, 4096);
  ASSERT_NE(hole, nullptr);
  Block* aligned = list.Carve(hole, 4096, 4096);
  EXPECT_EQ(aligned->offset, 4096u);
  EXPECT_EQ(aligned->bytes, 4096u);
  list.CheckInvariants();
  // Before it from 256 to 4096, behind it from 8192 to 12544.
  EXPECT_EQ(list.FindHole(4096 - kUnit, kUnit)->offset, kUnit);
  EXPECT_EQ(list.FindHole(4096, kUnit)->offset, 8192u);
  EXPECT_EQ(list.largest_hole(), 4096u + kUnit);
  list.GiveBack(aligned);
  list.CheckInvariants();
  EXPECT_EQ(list.largest_hole(), 4096u * 3) << "joined with both";
  list.GiveBack(high);
  EXPECT_EQ(list.extent(), kUnit) << "the unused end takes the hole before it";
  list.GiveBack(low);
  EXPECT_EQ(list.extent(), 0u);
  EXPECT_EQ(list.last(), nullptr);
  list.CheckInvariants();
}

TEST(BlockList, WhatAlignmentSkipsBehindTheExtentIsAHole) {
  BlockList list(kUnit);
  ASSERT_TRUE(list.Prepare());
  list.Append(kUnit, kUnit);
  EXPECT_EQ(list.NextOffset(4096), 4096u);
  Block* aligned = list.Append(kUnit, 4096);
  EXPECT_EQ(aligned->offset, 4096u);
  EXPECT_EQ(list.largest_hole(), 4096u - kUnit);
  EXPECT_EQ(list.FindHole(kUnit, kUnit)->offset, kUnit);
  list.CheckInvariants();
}

// Every way in which a freed block can have free neighbours.
TEST(BlockList, JoinsWithFreeNeighboursInEveryOrder) {
  std::array<int, 3> order = {0, 1, 2};
  do {
    BlockList list(kUnit);
    ASSERT_TRUE(list.Prepare());
    list.Append(kUnit, kUnit);
    std::array<Block*, 3> blocks;
    for (Block*& block : blocks) block = list.Append(2 * kUnit, kUnit);
    list.Append(kUnit, kUnit);
    for (const int i : order) {
      list.GiveBack(blocks[static_cast<std::size_t>(i)]);
      list.CheckInvariants();
    }
    EXPECT_EQ(list.largest_hole(), 6 * kUnit);
    EXPECT_EQ(list.FindHole(6 * kUnit, kUnit)->offset, kUnit);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(BlockList, AJoinedHoleMayBeTouchedWhenBothPartsMay) {
  BlockList list(kUnit);
  ASSERT_TRUE(list.Prepare());
  Block* a = list.Append(kUnit, kUnit);
  Block* b = list.Append(kUnit, kUnit);
  list.Append(kUnit, kUnit);
  a->stamp = {5, 1};
  b->stamp = {2, 7};
  list.GiveBack(a);
  list.GiveBack(b);
  EXPECT_EQ(list.FindHole(2 * kUnit, kUnit)->stamp, (StreamClocks::Stamp{5, 7}));
}

TEST(BlockList, LooksOnlyAtHolesThatMayNotHaveEnded) {
  BlockList list(kUnit);
  ASSERT_TRUE(list.Prepare());
  std::array<Block*, 8> blocks;
  for (Block*& block : blocks) block = list.Append(2 * kUnit, kUnit);
  std::vector<std::size_t> asked, pending;
  const auto look = [&](std::size_t ended_below) {
    asked.clear();
    pending.clear();
    list.ForEachPending(
        [&](const Block& hole) {
          asked.push_back(hole.offset / kUnit);
          return hole.offset / kUnit < ended_below;
        },
        [&](const Block& hole) { pending.push_back(hole.offset / kUnit); });
    list.CheckInvariants();
  };
  look(0);
  EXPECT_THAT(asked, IsEmpty()) << "there is no hole";
  for (const std::size_t i : {1, 3, 5}) list.GiveBack(blocks[i]);
  look(4);
  EXPECT_THAT(asked, UnorderedElementsAre(2, 6, 10));
  EXPECT_THAT(pending, UnorderedElementsAre(6, 10));
  look(8);
  EXPECT_THAT(asked, UnorderedElementsAre(6, 10)) << "what has ended is not asked about again";
  EXPECT_THAT(pending, UnorderedElementsAre(10));
  list.Carve(list.HoleAt(2 * kUnit), kUnit, kUnit);
  list.Carve(list.HoleAt(10 * kUnit), kUnit, kUnit);
  look(0);
  EXPECT_THAT(asked, UnorderedElementsAre(11)) << "the rest of a hole is as the hole was";
  list.GiveBack(blocks[2]);  // joins with what has ended on both sides
  look(8);
  EXPECT_THAT(pending, UnorderedElementsAre(11));
  EXPECT_THAT(asked, UnorderedElementsAre(3, 11)) << "joined, so asked about again";
}

}  // namespace
}  // namespace tierlib
