// The kernels of uniquification: distinct values, tables of rows, and maps made again from them to the bit.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"
#include "dkm/kernels/uniquify.h"

namespace tierlib::dkm::host {
namespace {

struct Distinct {
  DistinctFound found;
  std::vector<std::uint16_t> keys = std::vector<std::uint16_t>(kKeys);
  std::vector<std::int64_t> first = std::vector<std::int64_t>(kKeys);
};

Distinct Find(KernelContext& kernel, const KeyedWeights& weights) {
  Distinct distinct;
  FindDistinct(kernel, {weights, distinct.keys.data(), distinct.first.data(), &distinct.found});
  return distinct;
}

std::vector<std::uint16_t> Weights(std::int64_t count, std::uint64_t values) {
  Random random(3);
  std::vector<std::uint16_t> weights(static_cast<std::size_t>(count));
  for (std::uint16_t& w : weights) w = static_cast<std::uint16_t>(random.UniformInt(values) * 65'535 / (values - 1));
  return weights;
}

TEST(FindDistinct, GivesEachKeyOnceWithItsFirstPosition) {
  ThreadPool pool(2);
  KernelContext kernel{pool};
  for (const std::uint64_t values : {2, 1000, 65'536}) {
    const std::vector<std::uint16_t> weights = Weights(100'003, values);
    std::map<std::uint16_t, std::int64_t> truth;
    for (std::size_t i = 0; i < weights.size(); ++i) truth.emplace(weights[i], static_cast<std::int64_t>(i));
    std::vector<std::uint32_t> wide(weights.begin(), weights.end());
    for (std::uint32_t& w : wide) w <<= 16;
    const Distinct narrow = Find(kernel, {100'003, 2, weights.data()});
    const Distinct same = Find(kernel, {100'003, 4, wide.data()});
    ASSERT_EQ(narrow.found.count, static_cast<std::int64_t>(truth.size()));
    ASSERT_EQ(same.found.count, narrow.found.count);
    std::size_t u = 0;
    for (const auto& [key, first] : truth) {
      EXPECT_EQ(narrow.keys[u], key);
      EXPECT_EQ(narrow.first[u], first);
      EXPECT_EQ(same.keys[u], key);
      EXPECT_EQ(same.first[u++], first);
    }
    wide[77'777] |= 0x8000;
    EXPECT_EQ(Find(kernel, {100'003, 4, wide.data()}).found.count, 0);
  }
}

// A number that depends on the weight's bits and the column alone.
std::uint64_t Element(std::uint16_t key, std::int64_t column) {
  std::uint64_t state = key * std::uint64_t{1009} + static_cast<std::uint64_t>(column);
  return SplitMix64(&state);
}

class RowTables : public testing::TestWithParam<std::size_t> {};

TEST_P(RowTables, GiveTheMapBackToTheBitInBothOrders) {
  const std::size_t element = GetParam();
  constexpr std::int64_t kRows = 40'009, kColumns = 5;
  ThreadPool pool(3);
  KernelContext kernel{pool};
  const std::vector<std::uint16_t> weights = Weights(kRows, 700);
  const KeyedWeights keyed{kRows, 2, weights.data()};
  const Distinct distinct = Find(kernel, keyed);
  for (const bool row_major : {true, false}) {
    const MapShape shape{kRows, kColumns, row_major ? kColumns : 1, row_major ? 1 : kRows, element};
    std::vector<std::uint64_t> map_memory(kRows * kColumns + 1), again_memory(kRows * kColumns + 1);
    auto* const map = reinterpret_cast<std::uint8_t*>(map_memory.data());
    auto* const again = reinterpret_cast<std::uint8_t*>(again_memory.data());
    const auto at = [&](std::int64_t i, std::int64_t j) {
      return static_cast<std::size_t>(i * shape.row_stride + j * shape.column_stride) * element;
    };
    for (std::int64_t i = 0; i < kRows; ++i) {
      for (std::int64_t j = 0; j < kColumns; ++j) {
        const std::uint64_t bits = Element(weights[static_cast<std::size_t>(i)], j);
        std::memcpy(map + at(i, j), &bits, element);
      }
    }
    std::vector<std::uint64_t> table(static_cast<std::size_t>(distinct.found.count * kColumns));
    std::vector<std::uint16_t> rows(kKeys);
    std::atomic<bool> differs{false};
    const TableArguments table_of{shape, keyed, distinct.found.count, distinct.keys.data(), rows.data()};
    TakeRows(kernel, {table_of, distinct.first.data(), map, table.data(), &differs});
    EXPECT_FALSE(differs);
    std::fill(rows.begin(), rows.end(), std::uint16_t{0xFFFF});
    PlaceRows(kernel, {table_of, table.data(), again});
    EXPECT_EQ(again_memory, map_memory);
    // One bit of any row makes it no table.
    for (const std::int64_t row : {std::int64_t{0}, kRows / 2, kRows - 1}) {
      map[at(row, kColumns - 1)] ^= 1;
      differs = false;
      TakeRows(kernel, {table_of, distinct.first.data(), map, table.data(), &differs});
      EXPECT_TRUE(differs) << row;
      map[at(row, kColumns - 1)] ^= 1;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(ElementBytes, RowTables, testing::Values(2, 4, 8));

}  // namespace
}  // namespace tierlib::dkm::host
