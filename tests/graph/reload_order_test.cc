#include "graph/reload_order.h"

#include "graph/snapshot.h"
#include "gtest/gtest.h"

namespace tierlib {
namespace {

class ReloadOrderTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kStart = ReloadOrder::kStart;
  void Pack(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) order.Add(first + i, &values[i]);
  }
  void Forget(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) order.Remove(first + i);
  }

  ReloadOrder order;
  Snapshot values[8];
};

TEST_F(ReloadOrderTest, ReversePackOrderWhereNothingIsKnown) {
  EXPECT_EQ(order.After(kStart), nullptr);
  order.BeginStep(10);
  Pack(10, 3);
  EXPECT_EQ(order.After(kStart), &values[2]);
  EXPECT_EQ(order.After(12), &values[1]);
  order.Remove(11);
  EXPECT_EQ(order.After(12), &values[0]);
  EXPECT_EQ(order.After(10), nullptr);
}

TEST_F(ReloadOrderTest, TheOrderOfTheStepBefore) {
  order.BeginStep(10);
  Pack(10, 4);
  for (const std::uint64_t pack : {11, 13, 10}) order.NoteUnpack(pack);
  Forget(10, 4);
  order.BeginStep(14);
  Pack(14, 4);
  EXPECT_EQ(order.After(kStart), &values[1]);
  EXPECT_EQ(order.After(15), &values[3]);
  EXPECT_EQ(order.After(17), &values[0]);
  EXPECT_EQ(order.After(14), nullptr) << "the last that was asked for";
  EXPECT_EQ(order.After(16), &values[1]) << "not asked for before: the one packed before it";
}

TEST_F(ReloadOrderTest, AStepThatTookNothingBackTeachesNothing) {
  order.BeginStep(0);
  Pack(0, 3);
  for (const std::uint64_t pack : {1, 2, 0}) order.NoteUnpack(pack);
  Forget(0, 3);
  order.BeginStep(3);  // evaluates
  order.BeginStep(3);
  Pack(3, 3);
  EXPECT_EQ(order.After(kStart), &values[1]);
}

TEST_F(ReloadOrderTest, WhatIsNotThereIsNotNamed) {
  order.BeginStep(0);
  Pack(0, 4);
  for (const std::uint64_t pack : {0, 3}) order.NoteUnpack(pack);
  Forget(0, 4);
  order.BeginStep(4);
  Pack(4, 2);  // a shorter step: there is no fourth
  EXPECT_EQ(order.After(4), nullptr);
  EXPECT_EQ(order.After(5), &values[0]);
}

TEST_F(ReloadOrderTest, ValuesOfAnEarlierStepAreNoPartOfTheOrder) {
  order.BeginStep(0);
  Pack(0, 2);
  order.BeginStep(2);
  order.Add(2, &values[2]);
  order.Add(3, &values[3]);
  for (const std::uint64_t pack : {3, 1, 2}) order.NoteUnpack(pack);
  order.Remove(2);
  order.Remove(3);
  order.BeginStep(4);
  order.Add(4, &values[4]);
  order.Add(5, &values[5]);
  EXPECT_EQ(order.After(5), &values[4]);
  EXPECT_EQ(order.After(1), &values[0]) << "of an earlier step: by the packs alone";
}

}  // namespace
}  // namespace tierlib
