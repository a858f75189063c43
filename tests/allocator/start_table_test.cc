#include "allocator/start_table.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <map>

#include "base/random.h"

namespace tierlib {
namespace {

TEST(StartTable, HasNothingAtFirst) {
  StartTable table;
  EXPECT_EQ(table.Find(0), nullptr);
  EXPECT_EQ(table.Remove(256), nullptr);
  EXPECT_EQ(table.size(), 0u);
  table.ForEach([](std::size_t, const Block*) { FAIL(); });
}

// Offsets from few places, so that they come again, and from far apart, so that they do not lie in a row.
TEST(StartTable, AnswersAsAMap) {
  StartTable table;
  std::map<std::size_t, Block*> model;
  Block blocks[16];
  Random random(TIERLIB_RANDOM_SCALE);
  const int operations = 200'000 / TIERLIB_RANDOM_SCALE;
  for (int operation = 0; operation < operations; ++operation) {
    // It grows, then shrinks, so that chains are long and short.
    const bool adds = random.UniformInt(8) < (operation < operations / 2 ? 5u : 3u);
    const std::size_t offset = (random.UniformInt(4) << 38) + random.UniformInt(4000) * 256;
    const auto found = model.find(offset);
    ASSERT_EQ(table.Find(offset), found == model.end() ? nullptr : found->second);
    if (!adds) {
      ASSERT_EQ(table.Remove(offset), found == model.end() ? nullptr : found->second);
      if (found != model.end()) model.erase(found);
    } else if (found == model.end()) {
      ASSERT_TRUE(table.Prepare());
      table.Insert(offset, model[offset] = &blocks[random.UniformInt(16)]);
    }
    ASSERT_EQ(table.size(), model.size());
  }
  std::size_t visited = 0;
  table.ForEach([&](std::size_t offset, const Block* block) { visited += model.at(offset) == block ? 1 : 0; });
  EXPECT_EQ(visited, model.size());
  for (const auto& [offset, block] : model) ASSERT_EQ(table.Remove(offset), block);
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace tierlib
