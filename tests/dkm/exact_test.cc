// The exact form's kernels: golden vectors, finite differences, the tiled form, and bits that do not depend on threads.
#include "dkm/kernels/exact.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "dkm/exact_problem.h"
#include "dkm/golden.h"

namespace tierlib::dkm::host {
namespace {

constexpr DType kStoredPatterns[] = {DType::kBF16, DType::kF16};

// --- Golden vectors: those with d = 1, of which c03's weights are bf16 as they stand --------------------------------

class ExactGolden : public testing::TestWithParam<std::string> {};

std::vector<std::string> FlatGoldenNames() {
  std::vector<std::string> names;
  for (const std::string& name : GoldenNames()) {
    if (name.find("_d1_") != std::string::npos) names.push_back(name);
  }
  return names;
}

TEST(ExactGolden, VectorsOfBFloat16WeightsHold) {
  const Golden golden = ReadGolden("c03_bf16_d1_k8");
  const ExactShape shape{ShapeOf(golden), DType::kF32, DType::kBF16};
  const ExactResult<double> exact = SolveExact<double>(shape, golden.weights, golden.start, golden.gradient, 2);
  EXPECT_LT(LargestDifference(exact.Last(shape), golden.centroids), 1e-12);
  EXPECT_LT(LargestDifference(exact.start_gradient, golden.start_gradient), 1e-9 * Largest(golden.start_gradient));
  EXPECT_LT(LargestDifference(Load(DType::kF32, exact.output), golden.output), 1e-7 * Largest(golden.output));
  const std::vector<double> dw = Load(DType::kF32, exact.weight_gradient);
  EXPECT_LT(LargestDifference(dw, golden.weight_gradient), 1e-6 * Largest(golden.weight_gradient));

  const ExactResult<float> single = SolveExact<float>(shape, golden.weights, golden.start, golden.gradient, 2);
  EXPECT_LT(LargestDifference(single.Last(shape), golden.centroids), 1e-5 * Largest(golden.centroids));
  EXPECT_LT(LargestDifference(Load(DType::kF32, single.output), golden.output), 1e-5 * Largest(golden.output));
  EXPECT_LT(LargestDifference(Load(DType::kF32, single.weight_gradient), golden.weight_gradient),
            2e-3 * Largest(golden.weight_gradient));

  // Stored as bf16, each result is the one above, rounded; G is rounded too.
  const ExactShape narrow{ShapeOf(golden), DType::kBF16, DType::kBF16};
  const ExactResult<double> rounded = SolveExact<double>(narrow, golden.weights, golden.start, golden.gradient);
  EXPECT_EQ(Load(DType::kBF16, rounded.output), Rounded(DType::kBF16, Load(DType::kF32, exact.output)));
  EXPECT_LT(LargestDifference(Load(DType::kBF16, rounded.weight_gradient), golden.weight_gradient),
            8e-3 * Largest(golden.weight_gradient));
}

TEST_P(ExactGolden, IsThatOfTheTiledFormOnRoundedWeights) {
  const Golden golden = ReadGolden(GetParam());
  for (const DType pattern : kStoredPatterns) {
    const ExactShape shape{ShapeOf(golden), DType::kF32, pattern};
    const std::vector<double> rounded = Rounded(pattern, Rounded(DType::kF32, golden.weights));
    const TiledResult tiled = SolveTiled(shape.table, rounded, golden.start, Rounded(DType::kF32, golden.gradient));
    const ExactResult<double> exact = SolveExact<double>(shape, golden.weights, golden.start, golden.gradient);
    EXPECT_LT(LargestDifference(exact.Last(shape), tiled.Last(shape.table)), 1e-12);
    EXPECT_LT(LargestDifference(exact.start_gradient, tiled.start_gradient), 1e-9 * Largest(tiled.start_gradient));
    const std::vector<double> dense = Dense(shape.table, rounded, golden.start);
    EXPECT_LT(LargestDifference(Load(DType::kF32, exact.output), dense), 1e-7 * Largest(dense));
    EXPECT_LT(LargestDifference(Load(DType::kF32, exact.weight_gradient), tiled.weight_gradient),
              1e-6 * Largest(tiled.weight_gradient));
    EXPECT_EQ(exact.replayed, exact.output);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ExactGolden, testing::ValuesIn(FlatGoldenNames()),
                         [](const auto& one) { return one.param; });

// --- All options ----------------------------------------------------------------------------------------------------

class ExactOption : public testing::TestWithParam<std::tuple<Metric, Attention, int, int, double, double>> {
 protected:
  // Few distinct values, each of several weights.
  ExactShape shape() const {
    const auto [metric, attention, clusters, iterations, floor, prune] = GetParam();
    return {{90, 1, clusters, iterations, metric, attention, 0.3, 0, floor, prune}, DType::kF32, DType::kBF16};
  }
  std::vector<double> weights() const {
    std::vector<double> values = NormalValues(21, 90, 1);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = values[i % 13] * (i % 2 == 0 ? 1 : -1);
    return Rounded(DType::kBF16, values);
  }
  std::vector<double> gradient() const { return Rounded(DType::kF32, NormalValues(22, 90, 1)); }
  std::vector<double> start() const { return EvenStart(shape().table.clusters, 1); }
};

TEST_P(ExactOption, ForwardIsThatOfTheDenseForm) {
  const std::vector<double> dense = Dense(shape().table, weights(), start());
  const ExactResult<double> exact = SolveExact<double>(shape(), weights(), start(), gradient());
  const ExactResult<float> single = SolveExact<float>(shape(), weights(), start(), gradient());
  EXPECT_LT(LargestDifference(Load(DType::kF32, exact.output), dense), 1e-7 * Largest(dense));
  EXPECT_LT(LargestDifference(Load(DType::kF32, single.output), dense), 2e-5 * Largest(dense));
  EXPECT_EQ(exact.replayed, exact.output);
  EXPECT_EQ(single.replayed, single.output);
}

TEST_P(ExactOption, GradientIsThatOfFiniteDifferences) {
  const std::vector<double> w = weights(), g = gradient();
  const ExactResult<double> exact = SolveExact<double>(shape(), w, start(), g);
  const ExactResult<float> single = SolveExact<float>(shape(), w, start(), g);
  const std::vector<double> dw = Load(DType::kF32, exact.weight_gradient);
  const auto loss = [&](const std::vector<double>& at) {
    const std::vector<double> output = Dense(shape().table, at, start());
    double sum = 0;
    for (std::size_t i = 0; i < output.size(); ++i) sum += output[i] * g[i];
    return sum;
  };
  constexpr double kStep = 1e-5;
  for (std::size_t i = 0; i < w.size(); i += 7) {
    std::vector<double> up = w, down = w;
    up[i] += kStep;
    down[i] -= kStep;
    EXPECT_NEAR(dw[i], (loss(up) - loss(down)) / (2 * kStep), 1e-6 * (1 + Largest(dw))) << "weight " << i;
  }
  EXPECT_LT(LargestDifference(Load(DType::kF32, single.weight_gradient), dw), 5e-4 * Largest(dw));
}

INSTANTIATE_TEST_SUITE_P(Options, ExactOption,
                         testing::Combine(testing::Values(Metric::kSquared, Metric::kEuclidean),
                                          testing::Values(Attention::kLast, Attention::kRecomputed),
                                          testing::Values(1, 4, 7, 8, 256), testing::Values(1, 3, 6),
                                          testing::Values(0.0), testing::Values(0.0)));
INSTANTIATE_TEST_SUITE_P(Compatibility, ExactOption,
                         testing::Combine(testing::Values(Metric::kSquared, Metric::kEuclidean),
                                          testing::Values(Attention::kLast, Attention::kRecomputed),
                                          testing::Values(4, 7), testing::Values(1, 3), testing::Values(0.0, 0.03),
                                          testing::Values(0.2)));

// --- Pieces and threads ---------------------------------------------------------------------------------------------

// More than two pieces, the last one short.
constexpr std::int64_t kSeveralPieces = (std::int64_t{1} << 19) + 4321;

TEST(Exact, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const DType stored : {DType::kBF16, DType::kF32}) {
    const ExactShape shape{{kSeveralPieces, 1, 8, 2, Metric::kSquared, Attention::kLast, 4e-6}, stored, DType::kBF16};
    const std::vector<double> weights = NormalValues(23, kSeveralPieces, 0.02);
    // Of many magnitudes: float64 holds sums of others without rounding, in any order.
    std::vector<double> gradient = NormalValues(24, kSeveralPieces, 1);
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] *= std::exp2(static_cast<double>(i % 81) - 40);
    const std::vector<double> start = EvenStart(8, 0.02);
    const ExactResult<double> one = SolveExact<double>(shape, weights, start, gradient);
    for (const int threads : {1, 2, 5}) {
      const ExactResult<double> more = SolveExact<double>(shape, weights, start, gradient, threads);
      EXPECT_EQ(one.output, more.output);
      EXPECT_EQ(one.replayed, more.replayed);
      EXPECT_EQ(one.weight_gradient, more.weight_gradient);
      EXPECT_EQ(one.trajectory, more.trajectory);
      EXPECT_EQ(one.start_gradient, more.start_gradient);
    }
  }
}

TEST(Exact, IsThatOfTheTiledFormOverSeveralPieces) {
  for (const DType pattern : kStoredPatterns) {
    const ExactShape shape{{kSeveralPieces, 1, 4, 2, Metric::kSquared, Attention::kLast, 4e-6}, DType::kF32, pattern};
    const std::vector<double> weights = Rounded(pattern, NormalValues(25, kSeveralPieces, 0.02));
    const std::vector<double> gradient = Rounded(DType::kF32, NormalValues(26, kSeveralPieces, 1));
    const std::vector<double> start = EvenStart(4, 0.02);
    const TiledResult tiled = SolveTiled(shape.table, weights, start, gradient);
    const ExactResult<double> exact = SolveExact<double>(shape, weights, start, gradient, 2);
    EXPECT_LT(LargestDifference(exact.Last(shape), tiled.Last(shape.table)), 1e-13);
    EXPECT_LT(LargestDifference(Load(DType::kF32, exact.output), tiled.output), 1e-7 * Largest(tiled.output));
    EXPECT_LT(LargestDifference(Load(DType::kF32, exact.weight_gradient), tiled.weight_gradient),
              1e-6 * Largest(tiled.weight_gradient));
    EXPECT_EQ(exact.replayed, exact.output);
  }
}

}  // namespace
}  // namespace tierlib::dkm::host
