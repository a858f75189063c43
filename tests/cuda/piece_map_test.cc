// PieceMap is plain C++ and tested on every machine.
#include "allocator/cuda/piece_map.h"

#include "gtest/gtest.h"

namespace tierlib {
namespace {

TEST(PieceMap, PlacesPiecesSideBySideInAscendingOrder) {
  PieceMap map(100);
  for (std::uint64_t i = 0; i < 10; ++i) {
    ASSERT_EQ(map.FindGap(10), i * 10);
    map.Take(i * 10, 10, i);
  }
  EXPECT_EQ(map.FindGap(1), std::nullopt);
  EXPECT_EQ(map.taken(), 100u);
}

TEST(PieceMap, FillsTheLowestGapThatHoldsThePiece) {
  PieceMap map(100);
  map.Take(0, 20, 1);
  map.Take(20, 10, 2);
  map.Take(30, 30, 3);
  EXPECT_EQ(map.Remove(20, 10), 2u);
  EXPECT_EQ(map.FindGap(10), 20u);
  EXPECT_EQ(map.FindGap(11), 60u);
  EXPECT_EQ(map.FindGap(40), 60u);
  EXPECT_EQ(map.FindGap(41), std::nullopt);
}

TEST(PieceMap, SaysWhichRangesAreFree) {
  PieceMap map(100);
  map.Take(0, 20, 1);
  map.Take(30, 30, 3);
  EXPECT_TRUE(map.IsFree(20, 10));
  EXPECT_TRUE(map.IsFree(60, 40));
  EXPECT_FALSE(map.IsFree(20, 11)) << "the next piece is in the way";
  EXPECT_FALSE(map.IsFree(19, 5));
  EXPECT_FALSE(map.IsFree(0, 20));
  EXPECT_FALSE(map.IsFree(40, 5)) << "inside a piece";
  EXPECT_FALSE(map.IsFree(60, 41)) << "beyond the end";
  EXPECT_FALSE(map.IsFree(101, 1));
}

TEST(PieceMap, GivesBackWholePiecesOnly) {
  PieceMap map(100);
  map.Take(10, 20, 7);
  EXPECT_EQ(map.Remove(10, 10), std::nullopt);
  EXPECT_EQ(map.Remove(15, 15), std::nullopt);
  EXPECT_EQ(map.Remove(10, 20), 7u);
  EXPECT_EQ(map.Remove(10, 20), std::nullopt);
  EXPECT_EQ(map.taken(), 0u);
}

TEST(PieceMapDeathTest, RefusesOverlapsAndWhatLiesOutside) {
  PieceMap map(100);
  map.Take(10, 20, 7);
  EXPECT_DEATH(map.Take(0, 11, 8), "overlaps the next");
  EXPECT_DEATH(map.Take(29, 5, 8), "overlaps the one before");
  EXPECT_DEATH(map.Take(95, 6, 8), "outside its range");
}

}  // namespace
}  // namespace tierlib
