// The pattern passes beside loops that say what they do.
#include "dkm/kernels/pattern_pass.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "autograd/kernels/host/chunk.h"
#include "base/random.h"

namespace tierlib::dkm::host {
namespace {

// Around every number of lanes, and a run.
constexpr std::size_t kSizes[] = {0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67, 1024};

struct Weights {
  explicit Weights(std::size_t n) : patterns(n), gradient(n) {
    Random random(n + 1);
    for (std::size_t i = 0; i < n; ++i) {
      patterns[i] = static_cast<std::uint16_t>(i % 5 == 0 ? 65535 - i % 2 : random.UniformInt(kPatterns));
      gradient[i] = static_cast<float>(random.UniformInt(256)) / 64 - 2;
    }
  }
  std::vector<std::uint16_t> patterns;
  std::vector<float> gradient;
};

TEST(PatternPass, CountsAndSums) {
  for (const std::size_t n : kSizes) {
    const Weights run(n);
    std::vector<std::uint32_t> counts(kPatterns, 3), expected_counts(kPatterns, 3);
    std::vector<PatternSum> sums(kPatterns, {0.5, 1}), narrow_sums(kPatterns, {0.5, 1});
    std::vector<PatternSum> expected_sums(kPatterns, {0.5, 1});
    std::vector<std::uint16_t> narrow(n);  // the gradient, which bf16 holds
    autograd::host::CloseChunk<float>(DType::kBF16, narrow.data(), 0, 1, static_cast<std::int64_t>(n),
                                      run.gradient.data());
    CountPatterns(run.patterns.data(), n, counts.data());
    SumByPattern(run.patterns.data(), run.gradient.data(), n, sums.data());
    SumByPattern(run.patterns.data(), narrow.data(), n, narrow_sums.data());
    for (std::size_t i = 0; i < n; ++i) {
      expected_counts[run.patterns[i]] += 1;
      expected_sums[run.patterns[i]].sum += static_cast<double>(run.gradient[i]);
      expected_sums[run.patterns[i]].count += 1;
    }
    EXPECT_EQ(counts, expected_counts);
    for (std::size_t u = 0; u < kPatterns; ++u) {
      ASSERT_EQ(sums[u].sum, expected_sums[u].sum) << n << " weights, pattern " << u;
      ASSERT_EQ(narrow_sums[u].sum, expected_sums[u].sum) << n << " weights, pattern " << u;
      ASSERT_EQ(narrow_sums[u].count, expected_sums[u].count) << n << " weights, pattern " << u;
      ASSERT_EQ(sums[u].count, expected_sums[u].count) << n << " weights, pattern " << u;
    }
  }
}

TEST(PatternPass, GathersAndApplies) {
  Random random(5);
  std::vector<std::uint16_t> narrow(kPatterns);
  std::vector<float> wide(kPatterns);
  std::vector<SlopeOffset> table(kPatterns);
  std::vector<SlopeOffsetBits> table_bits(kPatterns);
  for (std::size_t u = 0; u < kPatterns; ++u) {
    narrow[u] = static_cast<std::uint16_t>(random.UniformInt(kPatterns));
    wide[u] = static_cast<float>(random.Normal());
    table[u] = {static_cast<float>(random.Normal()), static_cast<float>(random.Normal())};
    table_bits[u] = std::bit_cast<SlopeOffsetBits>(table[u]);
  }
  for (const std::size_t n : kSizes) {
    const Weights run(n);
    constexpr std::uint16_t kBehind = 0xABCD;  // is not written
    std::vector<std::uint16_t> narrow_output(n + 1, kBehind);
    std::vector<float> wide_output(n + 1, -7.0f), applied(n + 1, -7.0f), in_place = run.gradient;
    GatherByPattern(run.patterns.data(), n, narrow.data(), narrow_output.data());
    GatherByPattern(run.patterns.data(), n, wide.data(), wide_output.data());
    ApplyByPattern(run.patterns.data(), run.gradient.data(), n, table_bits.data(), applied.data());
    ApplyByPattern(run.patterns.data(), in_place.data(), n, table_bits.data(), in_place.data());
    const auto count = static_cast<std::int64_t>(n);
    std::vector<std::uint16_t> narrow_gradient(n), narrow_applied(n + 1, kBehind), rounded(n);
    autograd::host::CloseChunk<float>(DType::kBF16, narrow_gradient.data(), 0, 1, count, run.gradient.data());
    ApplyByPattern(run.patterns.data(), narrow_gradient.data(), n, table_bits.data(), narrow_applied.data());
    autograd::host::CloseChunk<float>(DType::kBF16, rounded.data(), 0, 1, count, applied.data());
    for (std::size_t i = 0; i < n; ++i) {
      const SlopeOffset entry = table[run.patterns[i]];
      const double expected =
          static_cast<double>(run.gradient[i]) * static_cast<double>(entry.slope) + static_cast<double>(entry.offset);
      ASSERT_EQ(narrow_output[i], narrow[run.patterns[i]]);
      ASSERT_EQ(wide_output[i], wide[run.patterns[i]]);
      ASSERT_NEAR(applied[i], expected, 1e-6 * (1 + std::abs(expected))) << n << " weights, weight " << i;
      ASSERT_EQ(in_place[i], applied[i]);
      ASSERT_EQ(narrow_applied[i], rounded[i]) << n << " weights, weight " << i;
    }
    EXPECT_EQ(narrow_output[n], kBehind);
    EXPECT_EQ(wide_output[n], -7.0f);
    EXPECT_EQ(applied[n], -7.0f);
    EXPECT_EQ(narrow_applied[n], kBehind);
  }
}

}  // namespace
}  // namespace tierlib::dkm::host
