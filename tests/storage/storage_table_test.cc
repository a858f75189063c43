#include "storage/storage_table.h"

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"

namespace tierlib {
namespace {

Storage Make(std::string label, std::uint64_t bytes = 16) {
  Storage storage;
  storage.label = std::move(label);
  storage.bytes = bytes;
  return storage;
}

TEST(StorageTable, AnOldIdIsRefusedAfterItsSlotIsUsedAgain) {
  StorageTable table;
  const StorageId first = table.Register(Make("first"));
  ASSERT_TRUE(table.Retire(first).ok());
  const StorageId second = table.Register(Make("second"));
  ASSERT_EQ(second.slot, first.slot) << "the slot is meant to be used again";
  EXPECT_NE(second, first);
  EXPECT_EQ(table.Find(second).value()->label, "second");
  for (const Status& refused : {table.Find(first).status(), table.Retire(first).status()}) {
    EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
    EXPECT_NE(refused.message().find("storage 0.1 is not registered"), std::string_view::npos) << refused;
  }
}

TEST(StorageTable, RefusesIdsThatNeverWere) {
  StorageTable table;
  (void)table.Register(Make("only"));
  for (const StorageId id : {StorageId{}, StorageId{0, 0}, StorageId{0, 2}, StorageId{1, 1}, StorageId{~0u, 1}}) {
    EXPECT_FALSE(table.Find(id).ok()) << id.slot << "." << id.generation;
  }
}

TEST(StorageTable, RetireReturnsWhatWasThere) {
  StorageTable table;
  const StorageId id = table.Register(Make("label", 99));
  const Storage storage = table.Retire(id).value();
  EXPECT_EQ(storage.id, id);
  EXPECT_EQ(storage.label, "label");
  EXPECT_EQ(storage.bytes, 99u);
  EXPECT_EQ(table.size(), 0u);
}

TEST(StorageTable, NoIdComesTwice) {
  Random random(7);
  StorageTable table;
  std::vector<StorageId> live, dead;
  for (int i = 0; i < 20'000 / TIERLIB_RANDOM_SCALE; ++i) {
    if (live.empty() || random.UniformInt(2) == 0) {
      live.push_back(table.Register(Make(std::to_string(i))));
    } else {
      std::swap(live[random.UniformInt(live.size())], live.back());
      ASSERT_TRUE(table.Retire(live.back()).ok());
      dead.push_back(live.back());
      live.pop_back();
    }
    if (!dead.empty()) {
      ASSERT_FALSE(table.Find(dead[random.UniformInt(dead.size())]).ok()) << "seed 7, step " << i;
    }
    if (!live.empty()) {
      const StorageId id = live[random.UniformInt(live.size())];
      ASSERT_EQ(table.Find(id).value()->id, id) << "seed 7, step " << i;
    }
    ASSERT_EQ(table.size(), live.size());
  }
}

TEST(StorageTable, SumsBytesByLabelLargestFirst) {
  StorageTable table;
  (void)table.Register(Make("a", 10));
  (void)table.Register(Make("b", 25));
  (void)table.Register(Make("a", 20));
  const StorageId gone = table.Register(Make("c", 1000));
  (void)table.Register(Make("d", 1));
  ASSERT_TRUE(table.Retire(gone).ok());
  const auto labels = table.LargestLabels(2);
  ASSERT_EQ(labels.size(), 2u);
  EXPECT_EQ(labels[0].label, "a");
  EXPECT_EQ(labels[0].bytes, 30u);
  EXPECT_EQ(labels[1].label, "b");
}

}  // namespace
}  // namespace tierlib
