// Exact 1-D k-means against every way to cut the values, against Lloyd's local optimum, and on values that are hard for
// sums.
#include "dkm/kmeans_1d.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "dkm/kmeans.h"

namespace tierlib::dkm {
namespace {

double Loss(const WeightedValues& sorted, const std::vector<double>& centroids) {
  double sum = 0;
  for (std::size_t i = 0; i < sorted.values.size(); ++i) {
    double least = INFINITY;
    for (const double c : centroids) least = std::min(least, std::pow(sorted.values[i] - c, 2));
    sum += sorted.counts[i] * least;
  }
  return sum;
}

// The least loss over all ways to cut values[begin..] into `clusters` runs, by trying each.
double BruteForce(const WeightedValues& sorted, std::size_t begin, int clusters) {
  const std::size_t count = sorted.values.size();
  double best = INFINITY;
  for (std::size_t end = begin + 1; end + static_cast<std::size_t>(clusters) - 1 <= count; ++end) {
    if (clusters == 1 && end < count) continue;
    double weight = 0, mean = 0, loss = 0;
    for (std::size_t i = begin; i < end; ++i) weight += sorted.counts[i];
    for (std::size_t i = begin; i < end; ++i) mean += sorted.counts[i] * sorted.values[i] / weight;
    for (std::size_t i = begin; i < end; ++i) loss += sorted.counts[i] * std::pow(sorted.values[i] - mean, 2);
    best = std::min(best, loss + (clusters == 1 ? 0 : BruteForce(sorted, end, clusters - 1)));
  }
  return best;
}

WeightedValues RandomValues(Random& random, std::size_t count) {
  std::vector<ValueAndCount> pairs(count);
  for (ValueAndCount& pair : pairs) pair = {random.Normal(), 1.0 + static_cast<double>(random.UniformInt(9))};
  return MergeEqual(pairs);
}

TEST(KMeans1d, IsTheBestOfAllWaysToCut) {
  Random random(11);
  for (int run = 0; run < 60; ++run) {
    const WeightedValues sorted = RandomValues(random, 6 + random.UniformInt(9));
    for (int clusters = 1; clusters <= 5; ++clusters) {
      const double best = BruteForce(sorted, 0, clusters);
      EXPECT_NEAR(Loss(sorted, KMeans1d(sorted, clusters)), best, 1e-12 * (1 + best)) << run << " k " << clusters;
    }
  }
}

// Max (1960): the best 2, 4, 8, 16 levels for a normal distribution leave this part of its variance.
TEST(KMeans1d, ReachesTheBestQuantiserOfANormalDistribution) {
  WeightedValues sorted;
  for (int i = -6000; i <= 6000; ++i) {
    sorted.values.push_back(i / 1000.0);
    sorted.counts.push_back(std::exp(-0.5 * sorted.values.back() * sorted.values.back()));
  }
  double variance = 0;
  for (std::size_t i = 0; i < sorted.values.size(); ++i) variance += sorted.counts[i] * std::pow(sorted.values[i], 2);
  const double expected[] = {0.3634, 0.1175, 0.03454, 0.009497};
  for (int bits = 1; bits <= 4; ++bits) {
    EXPECT_NEAR(Loss(sorted, KMeans1d(sorted, 1 << bits)) / variance, expected[bits - 1], 1e-4) << bits;
  }
}

TEST(KMeans1d, IsNeverWorseThanLloyd) {
  Random random(12);
  for (const int clusters : {3, 8, 40}) {
    std::vector<double> values(3000);
    for (double& value : values) value = random.Normal() + (random.UniformInt(5) == 0 ? 6.0 : 0.0);
    std::vector<ValueAndCount> pairs;
    for (const double value : values) pairs.push_back({value, 1});
    const WeightedValues sorted = MergeEqual(pairs);
    const double exact = Loss(sorted, KMeans1d(values, clusters));
    EXPECT_LE(exact, Loss(sorted, KMeans(values, 1, clusters, 1)) * (1 + 1e-12)) << clusters;
  }
}

TEST(KMeans1d, TakesEachValueWhereTheyAreNoMoreThanClusters) {
  EXPECT_EQ(KMeans1d(WeightedValues{{-1, 0.5}, {3, 1}}, 4), (std::vector<double>{-1, 0.5, 0.5, 0.5}));
  EXPECT_EQ(KMeans1d(std::vector<double>{2, -0.0, 2, 0.0}, 2), (std::vector<double>{0, 2}));
  EXPECT_FALSE(std::signbit(KMeans1d(std::vector<double>{-0.0}, 1)[0]));
  EXPECT_EQ(KMeans1d(std::vector<double>(70000, 0.1), 8), std::vector<double>(8, 0.1));
}

// A narrow group far from 0, and beside outliers of any size: the groups are found all the same.
TEST(KMeans1d, SumsDoNotCancel) {
  const double tiny = std::numeric_limits<float>::denorm_min();
  const double huge = std::numeric_limits<float>::max();
  for (const double offset : {0.0, 1.0, 1e6}) {
    WeightedValues sorted{{}, {}};
    for (int group = 0; group < 4; ++group) {
      for (int i = 0; i < 5; ++i) sorted.values.push_back(offset + group * 1e-3 + i * 1e-6);
    }
    sorted.counts.assign(sorted.values.size(), 1e6);
    const std::vector<double> centroids = KMeans1d(sorted, 4);
    for (int group = 0; group < 4; ++group) {
      EXPECT_NEAR(centroids[static_cast<std::size_t>(group)], offset + group * 1e-3 + 2e-6, 1e-9) << offset;
    }
  }
  const WeightedValues wide{{-huge, -huge / 2, -3.1, -3, -tiny, 0, tiny, 3, 3.1, huge}, std::vector<double>(10, 1.0)};
  EXPECT_EQ(KMeans1d(wide, 6)[0], -huge);
  const std::vector<double> centroids = KMeans1d(wide, 6);
  EXPECT_NEAR(centroids[2], -3.05, 1e-12);
  EXPECT_NEAR(centroids[3], 0, 1e-12);
  EXPECT_NEAR(centroids[4], 3.05, 1e-12);
  EXPECT_EQ(centroids[5], huge);
}

TEST(KMeans1d, LooksAtManyValuesFromEndToEnd) {
  std::vector<double> values(1000000, 0.0);
  std::fill(values.begin() + 900000, values.end(), 5.0);
  EXPECT_EQ(KMeans1d(values, 2), (std::vector<double>{0, 5}));
}

// All 65,536 distinct values and 256 clusters: the largest problem there is. Begins are 16-bit numbers.
TEST(KMeans1d, TakesTheMostDistinctValues) {
  const int width = std::max(2, 256 / TIERLIB_RANDOM_SCALE);
  const int count = 256 * width;
  WeightedValues sorted;
  for (int i = 0; i < count; ++i) sorted.values.push_back(i);
  sorted.counts.assign(sorted.values.size(), 1);
  const std::vector<double> centroids = KMeans1d(sorted, 256);
  const double square = static_cast<double>(width) * width;  // equal runs are the best
  EXPECT_NEAR(Loss(sorted, centroids), count * (square - 1) / 12, 1e-3 * count * square);
}

}  // namespace
}  // namespace tierlib::dkm
