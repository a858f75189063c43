// The exact form's kernels at the edges of its number types, and with few distinct values.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "autograd/kernels/host/chunk.h"
#include "base/random.h"
#include "dkm/exact_problem.h"
#include "dkm/kernels/exact.h"
#include "dkm/kernels/pattern_pass.h"
#include "dkm/kernels/table.h"

namespace tierlib::dkm::host {
namespace {

constexpr DType kPatternTypes[] = {DType::kBF16, DType::kF16};

ExactShape ShapeOfCorner(std::size_t weights, int clusters, double tau, DType stored, DType pattern) {
  return {
      {static_cast<std::int64_t>(weights), 1, clusters, 3, Metric::kSquared, Attention::kLast, tau}, stored, pattern};
}

// Every finite pattern, some more often than others, in an order that jumps about.
std::vector<double> AllFinite(DType pattern) {
  std::vector<double> values;
  for (std::uint32_t i = 0; i < 3 * kPatterns / 2; ++i) {
    const auto bits = static_cast<std::uint16_t>(i * 40503u);
    const double value = autograd::host::ReadElement<double>(pattern, &bits, 0);
    if (std::isfinite(value)) values.push_back(value);
  }
  return values;
}

TEST(ExactCorners, TakesEveryFinitePattern) {
  for (const DType pattern : kPatternTypes) {
    const std::vector<double> weights = AllFinite(pattern);
    const double largest = Largest(weights);
    const std::vector<double> gradient = Rounded(DType::kF32, NormalValues(31, std::ssize(weights), 1));
    const std::vector<double> start = EvenStart(8, largest / 2);
    const ExactShape shape = ShapeOfCorner(weights.size(), 8, 0.02 * largest * largest, DType::kF32, pattern);
    const TiledResult tiled = SolveTiled(shape.table, weights, start, gradient);
    const ExactResult<double> exact = SolveExact<double>(shape, weights, start, gradient, 2);
    EXPECT_EQ(exact.non_finite, kAllFinite);
    EXPECT_LT(LargestDifference(exact.Last(shape), tiled.Last(shape.table)), 1e-12 * largest);
    EXPECT_LT(LargestDifference(Load(DType::kF32, exact.output), tiled.output), 1e-7 * Largest(tiled.output));
    EXPECT_LT(LargestDifference(Load(DType::kF32, exact.weight_gradient), tiled.weight_gradient),
              1e-6 * Largest(tiled.weight_gradient));
    EXPECT_EQ(exact.replayed, exact.output);
    const ExactShape narrow = ShapeOfCorner(weights.size(), 8, 0.02 * largest * largest, pattern, pattern);
    const ExactResult<double> rounded = SolveExact<double>(narrow, weights, start, gradient);
    EXPECT_EQ(Load(pattern, rounded.output), Rounded(pattern, Load(DType::kF32, exact.output)));
    EXPECT_EQ(rounded.replayed, rounded.output);
  }
}

TEST(ExactCorners, TakesDenormals) {
  for (const DType pattern : kPatternTypes) {
    std::vector<double> weights;
    for (std::uint16_t bits = 1; bits <= 100; ++bits) {
      weights.push_back(autograd::host::ReadElement<double>(pattern, &bits, 0) * (bits % 3 == 0 ? -1 : 1));
    }
    // In the unit of the weights, and all of it.
    const double deviation = Largest(weights) / 2;
    const std::vector<double> gradient = Rounded(DType::kF32, NormalValues(32, std::ssize(weights), 1));
    std::vector<double> start;
    for (int j = 0; j < 4; ++j) start.push_back(deviation * (j - 1.5));
    const ExactShape shape = ShapeOfCorner(weights.size(), 4, 0.1 * deviation * deviation, DType::kF32, pattern);
    const TiledResult tiled = SolveTiled(shape.table, weights, start, gradient);
    const ExactResult<double> exact = SolveExact<double>(shape, weights, start, gradient);
    EXPECT_LT(LargestDifference(exact.Last(shape), tiled.Last(shape.table)), 1e-12 * deviation);
    EXPECT_LT(LargestDifference(Load(DType::kF32, exact.weight_gradient), tiled.weight_gradient),
              1e-6 * Largest(tiled.weight_gradient));
    EXPECT_GT(Largest(Load(DType::kF32, exact.output)), 0);
  }
}

TEST(ExactCorners, BothZerosAreOneValue) {
  for (const DType stored : {DType::kBF16, DType::kF16, DType::kF32}) {
    const DType pattern = stored == DType::kF32 ? DType::kBF16 : stored;
    std::vector<double> positive(40, 0.0), mixed(40, 0.0), negative(40, 0.0);
    for (std::size_t i = 0; i < 40; ++i) {
      positive[i] = i % 4 == 0 ? 0.0 : (static_cast<double>(i) - 20) / 64;
      mixed[i] = positive[i] == 0 && i % 8 == 0 ? -0.0 : positive[i];
      negative[i] = positive[i] == 0 ? -0.0 : positive[i];
    }
    const ExactShape shape = ShapeOfCorner(40, 4, 0.01, stored, pattern);
    const std::vector<double> gradient = NormalValues(33, 40, 1);
    const std::vector<double> start = EvenStart(4, 0.1);
    const ExactResult<double> expected = SolveExact<double>(shape, positive, start, gradient);
    for (const std::vector<double>& weights : {mixed, negative}) {
      const ExactResult<double> result = SolveExact<double>(shape, weights, start, gradient);
      EXPECT_EQ(result.output, expected.output);
      EXPECT_EQ(result.replayed, expected.output);
      EXPECT_EQ(result.weight_gradient, expected.weight_gradient);
      EXPECT_EQ(result.trajectory, expected.trajectory);
    }
  }
}

// Constant weights, one weight, and fewer distinct values than clusters.
TEST(ExactCorners, TakesFewDistinctValues) {
  const std::vector<std::vector<double>> cases = {
      std::vector<double>(3000, 0.3125), {0.25}, {0.0}, {-0.0, 0.0}, {-1, 1, 1, -1, 0.5, 1, -1},
      std::vector<double>(2049, 0.0)};
  for (const std::vector<double>& weights : cases) {
    for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
      ExactShape shape = ShapeOfCorner(weights.size(), 8, 0.05, DType::kF32, DType::kF16);
      shape.table.metric = metric;
      const std::vector<double> gradient = Rounded(DType::kF32, NormalValues(34, std::ssize(weights), 1));
      const std::vector<double> start = EvenStart(8, 0.7);
      const TiledResult tiled = SolveTiled(shape.table, weights, start, gradient);
      const ExactResult<double> exact = SolveExact<double>(shape, weights, start, gradient, 2);
      EXPECT_LT(LargestDifference(exact.Last(shape), tiled.Last(shape.table)), 1e-12);
      EXPECT_LT(LargestDifference(Load(DType::kF32, exact.output), tiled.output), 1e-7);
      EXPECT_LT(LargestDifference(Load(DType::kF32, exact.weight_gradient), tiled.weight_gradient),
                1e-6 * (1 + Largest(tiled.weight_gradient)));
      EXPECT_EQ(exact.replayed, exact.output);
    }
  }
}

TEST(ExactCorners, KeepsTheCentroidOfAnEmptyCluster) {
  for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
    ExactShape shape = ShapeOfCorner(4, 3, 1e-3, DType::kF32, DType::kBF16);
    shape.table.attention = attention;
    const std::vector<double> weights = {-1, -0.875, 0.875, 1};
    const ExactResult<double> exact = SolveExact<double>(shape, weights, {-1, 1, 50}, {1, -2, 3, 4});
    EXPECT_EQ(exact.Last(shape)[2], 50.0);
    EXPECT_EQ(exact.start_gradient[2], 0.0);
    const ExactResult<float> single = SolveExact<float>(shape, weights, {-1, 1, 50}, {1, -2, 3, 4});
    EXPECT_EQ(single.Last(shape)[2], 50.0f);
    EXPECT_LT(LargestDifference(Load(DType::kF32, single.weight_gradient), Load(DType::kF32, exact.weight_gradient)),
              1e-5);
  }
}

TEST(ExactCorners, FindsTheFirstWeightThatIsNotFinite) {
  constexpr double kBad[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()};
  for (const DType stored : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const double bad : kBad) {
      std::vector<double> weights = NormalValues(35, 5000, 0.02);
      weights[3001] = bad;
      weights[4999] = bad;
      const ExactShape shape =
          ShapeOfCorner(weights.size(), 4, 4e-6, stored, stored == DType::kF32 ? DType::kBF16 : stored);
      const ExactResult<double> result =
          SolveExact<double>(shape, weights, EvenStart(4, 0.02), std::vector<double>(5000, 1.0), 2);
      EXPECT_EQ(result.non_finite, 3001);
      EXPECT_TRUE(std::isnan(Load(stored, result.output)[3001]));
      EXPECT_TRUE(std::isnan(result.Last(shape)[1]));
    }
  }
}

TEST(ExactCorners, FindsTheFirstWeightThatRoundsToInfinity) {
  std::vector<double> weights(2000, 1.0);
  weights[1500] = 65519;  // rounds to the largest f16
  weights[1700] = -65520;
  const ExactShape shape = ShapeOfCorner(weights.size(), 2, 1e8, DType::kF32, DType::kF16);
  const std::vector<double> ones(2000, 1.0);
  EXPECT_EQ(SolveExact<double>(shape, weights, {0, 1}, ones).non_finite, 1700);
  weights[1700] = 0;
  EXPECT_EQ(SolveExact<double>(shape, weights, {0, 1}, ones).non_finite, kAllFinite);
}

TEST(ExactCorners, WritesTheGradientOverThatOfTheOutput) {
  for (const DType stored : {DType::kBF16, DType::kF32}) {
    const ExactShape shape = ShapeOfCorner(5000, 8, 4e-6, stored, DType::kBF16);
    const std::vector<double> weights = NormalValues(36, 5000, 0.02), gradient = NormalValues(37, 5000, 1);
    const ExactResult<double> apart = SolveExact<double>(shape, weights, EvenStart(8, 0.02), gradient);
    ThreadPool pool(2);
    KernelContext context{pool};
    const std::vector<std::byte> w = Store(stored, weights);
    std::vector<std::byte> g = Store(stored, gradient);
    std::vector<Line> workspace = RubbishWorkspace(ExactBackwardWorkspaceBytes<double>(shape));
    ExactBackward(context, ExactBackwardArguments<double>{.shape = shape,
                                                          .weights = w.data(),
                                                          .trajectory = apart.trajectory.data(),
                                                          .gradient = g.data(),
                                                          .weight_gradient = g.data(),
                                                          .workspace = workspace.data()});
    EXPECT_EQ(g, apart.weight_gradient);
  }
}

// A value that counts n times is as n weights.
TEST(Table, CountsAreAsWeightsOfTheirOwn) {
  for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
    const std::vector<double> values = NormalValues(38, 70, 1);
    std::vector<double> counts, sums, weights, gradient;
    Random random(39);
    for (const double value : values) {
      const std::uint64_t count = 1 + random.UniformInt(5);
      counts.push_back(static_cast<double>(count));
      sums.push_back(0);
      for (std::uint64_t i = 0; i < count; ++i) {
        weights.push_back(value);
        gradient.push_back(random.Normal());
        sums.back() += gradient.back();
      }
    }
    TiledShape shape{std::ssize(weights), 1, 6, 3, Metric::kSquared, attention, 0.2};
    const std::vector<double> start = EvenStart(6, 1);
    const TiledResult expected = SolveTiled(shape, weights, start, gradient);
    shape.vectors = std::ssize(values);
    ThreadPool pool(1);
    KernelContext context{pool};
    std::vector<double> workspace(TiledWorkspaceBytes(shape, sizeof(double)) / sizeof(double));
    std::vector<double> trajectory(TiledTrajectoryElements(shape)), table(70), slope(70), offset(70), d_start(6);
    std::copy(start.begin(), start.end(), trajectory.begin());
    TableForward(context, shape, values.data(), counts.data(), trajectory.data(), table.data(), workspace.data());
    EXPECT_LT(LargestDifference(trajectory, expected.trajectory), 1e-12);
    TableBackward(context, shape, values.data(), counts.data(), sums.data(), trajectory.data(), slope.data(),
                  offset.data(), d_start.data(), workspace.data());
    EXPECT_LT(LargestDifference(d_start, expected.start_gradient), 1e-11 * Largest(expected.start_gradient));
    std::size_t i = 0;
    for (std::size_t u = 0; u < values.size(); ++u) {
      for (double n = 0; n < counts[u]; ++n, ++i) {
        EXPECT_NEAR(table[u], expected.output[i], 1e-13);
        EXPECT_NEAR(gradient[i] * slope[u] + offset[u], expected.weight_gradient[i],
                    1e-11 * Largest(expected.weight_gradient));
      }
    }
  }
}

}  // namespace
}  // namespace tierlib::dkm::host
