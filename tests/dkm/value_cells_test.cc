// Counting values: 16-bit patterns against a plain count, float32 cells against the values themselves.
#include "dkm/value_cells.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <vector>

#include "autograd/kernels/host/float16.h"
#include "base/random.h"

namespace tierlib::dkm {
namespace {

// Bytes at an odd address: weights in files are not aligned.
template <typename T>
std::vector<std::byte> Misaligned(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T) + 1);
  std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(T));
  return bytes;
}

WeightedValues Cells(ThreadPool& pool, const std::vector<float>& values) {
  const std::vector<std::byte> bytes = Misaligned(values);
  return CellsOfFloats(pool, bytes.data() + 1, static_cast<std::int64_t>(values.size()));
}

TEST(ValueCells, CountsEveryPatternForAnyNumberOfThreads) {
  Random random(21);
  for (const std::size_t count : {std::size_t{5}, std::size_t{300001}, std::size_t{9000001 / TIERLIB_RANDOM_SCALE}}) {
    std::vector<std::uint16_t> patterns(count);
    for (std::uint16_t& pattern : patterns) pattern = static_cast<std::uint16_t>(random.NextU32() & 0x83ff);
    std::vector<std::uint64_t> expected(65536);
    for (const std::uint16_t pattern : patterns) ++expected[pattern];
    const std::vector<std::byte> bytes = Misaligned(patterns);
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      EXPECT_EQ(CountBitPatterns(pool, bytes.data() + 1, static_cast<std::int64_t>(count)), expected) << count;
    }
  }
}

TEST(ValueCells, PutsPatternsInTheOrderOfTheirValues) {
  std::vector<std::uint64_t> counts(65536);
  const std::vector<float> values = {-3, -0.5f, -0.0f, 0, 0.5f, 0x1p-130f};
  for (const float value : values) counts[autograd::host::BF16FromFloat(value)] += 2;
  const WeightedValues sorted = ValuesOfBits(DType::kBF16, counts);
  EXPECT_EQ(sorted.values, (std::vector<double>{-3, -0.5, 0, 0x1p-130, 0.5}));
  EXPECT_EQ(sorted.counts, (std::vector<double>{2, 2, 4, 2, 2})) << "both zeros are one value";
}

TEST(ValueCells, TellFiniteFromNot) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    const std::uint16_t infinity = dtype == DType::kBF16 ? 0xff80 : 0xfc00;
    std::vector<std::uint64_t> counts(65536);
    counts[infinity - 1] = 1;
    EXPECT_TRUE(AllFinite(dtype, counts));
    counts[infinity] = 1;
    EXPECT_FALSE(AllFinite(dtype, counts));
    std::vector<std::uint16_t> patterns(1000, infinity - 1);
    EXPECT_EQ(FirstNotFinite(dtype, patterns.data(), 1000), -1);
    patterns[777] = infinity + 1;  // a NaN
    EXPECT_EQ(FirstNotFinite(dtype, patterns.data(), 1000), 777);
  }
  ThreadPool pool(1);
  std::vector<float> floats(100, std::numeric_limits<float>::max());
  EXPECT_EQ(Cells(pool, floats).values.size(), 1u);
  floats[31] = std::nanf("");
  EXPECT_TRUE(Cells(pool, floats).values.empty());
  EXPECT_EQ(FirstNotFinite(DType::kF32, floats.data(), 100), 31);
}

// Few distinct values are exact whatever they are, also where they differ in the last bit alone.
TEST(ValueCells, KeepsFewFloatsExactly) {
  Random random(22);
  ThreadPool pool(2);
  for (int run = 0; run < 30; ++run) {
    std::map<double, double> expected;
    std::vector<float> values;
    const std::size_t distinct = 1 + random.UniformInt(256);
    std::vector<float> from(distinct);
    for (std::size_t i = 0; i < distinct; ++i) {
      const std::uint32_t bits =
          run % 2 == 0 ? random.NextU32() & 0xff7fffff : 0x3e99999a + static_cast<std::uint32_t>(i);
      from[i] = std::bit_cast<float>(bits);
    }
    for (int i = 0; i < 3000; ++i) {
      values.push_back(from[random.UniformInt(distinct)]);
      expected[values.back()] += 1;
    }
    const WeightedValues cells = Cells(pool, values);
    ASSERT_EQ(cells.values.size(), expected.size()) << run;
    std::size_t i = 0;
    for (const auto& [value, count] : expected) {
      EXPECT_EQ(cells.values[i], value) << run;
      EXPECT_EQ(cells.counts[i++], count) << run;
    }
  }
}

// float32 that was bf16 or f16 before has no further bits: exact too, with thousands of distinct values.
TEST(ValueCells, KeepsFloatsWithoutLowBitsExactly) {
  Random random(23);
  ThreadPool pool(2);
  std::vector<float> values(200000 / TIERLIB_RANDOM_SCALE);
  std::map<double, double> expected;
  for (float& value : values) {
    const auto normal = static_cast<float>(random.Normal());
    value = autograd::host::FloatFromF16(autograd::host::F16FromFloat(normal * 0.02f));
    expected[value] += 1;
  }
  const WeightedValues cells = Cells(pool, values);
  ASSERT_EQ(cells.values.size(), expected.size());
  std::size_t i = 0;
  for (const auto& [value, count] : expected) EXPECT_EQ(cells.values[i++], value);
}

TEST(ValueCells, MeansOfManyFloatsAreThoseOfNarrowCells) {
  Random random(24);
  ThreadPool pool(2);
  std::vector<float> values(400000 / TIERLIB_RANDOM_SCALE);
  double sum = 0;
  for (float& value : values) {
    value = static_cast<float>(random.Normal());
    sum += value;
  }
  const WeightedValues cells = Cells(pool, values);
  EXPECT_GT(cells.values.size(), 10000u / TIERLIB_RANDOM_SCALE);
  EXPECT_LE(cells.values.size(), kMostDistinctValues);
  double mean = 0, count = 0;
  for (std::size_t i = 0; i < cells.values.size(); ++i) {
    mean += cells.values[i] * cells.counts[i];
    count += cells.counts[i];
  }
  EXPECT_EQ(count, static_cast<double>(values.size()));
  EXPECT_NEAR(mean, sum, 1e-9 * count) << "means are exact, so that their sum is that of the values";
  std::sort(values.begin(), values.end());  // a cell and the values that it stands for, in step
  std::size_t at = 0;
  for (std::size_t i = 0; i < cells.values.size(); ++i) {
    const double low = values[at], high = values[at + static_cast<std::size_t>(cells.counts[i]) - 1];
    at += static_cast<std::size_t>(cells.counts[i]);
    ASSERT_GE(cells.values[i], low * (low > 0 ? 1 : 1 + 1e-12));
    ASSERT_LE(cells.values[i], high * (high > 0 ? 1 + 1e-12 : 1));
    ASSERT_LT(high - low, std::abs(low) * 0x1p-9 + 1e-30) << "as wide as 2 bits more than bf16 would be";
  }
}

TEST(ValueCells, IsTheSameForAnyNumberOfThreads) {
  Random random(25);
  std::vector<float> values(5000000 / TIERLIB_RANDOM_SCALE);
  for (float& value : values) value = random.UniformFloat() - 0.3f;
  ThreadPool one(1), three(3);
  const WeightedValues a = Cells(one, values), b = Cells(three, values);
  EXPECT_EQ(a.values, b.values);
  EXPECT_EQ(a.counts, b.counts);
}

}  // namespace
}  // namespace tierlib::dkm
