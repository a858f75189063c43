// Iterations that end once centroids move by epsilon at most: the tiled and the exact form's kernels against the dense
// form that ends by the same rule, and against as many iterations without it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <tuple>
#include <vector>

#include "dkm/dense_reference.h"
#include "dkm/exact_problem.h"
#include "dkm/kernels/exact.h"
#include "dkm/kernels/tiled.h"

namespace tierlib::dkm::host {
namespace {

constexpr int kMost = 40;
constexpr std::int64_t kVectors = 60;

// Over metrics, attentions and dimensions. Weights are bf16 values.
class Epsilon : public testing::TestWithParam<std::tuple<Metric, Attention, int>> {
 protected:
  Epsilon() {
    const auto [metric, attention, dim] = GetParam();
    shape = {kVectors, dim, 4, kMost, metric, attention, 0.4, 0.02};
    weights = Rounded(DType::kBF16, NormalValues(31, kVectors * dim, 1));
    gradient = Rounded(DType::kF32, NormalValues(32, kVectors * dim, 1));
    start = Rounded(DType::kF32, NormalValues(33, std::int64_t{4} * dim, 1));
    Dense(shape, weights, start, &run);
  }

  // That ends after `run` iterations because there are no more.
  TiledShape Cut() const {
    TiledShape cut = shape;
    cut.iterations = run;
    cut.epsilon = 0;
    return cut;
  }

  void ExpectSlopes(const std::vector<double>& of_weights, double tolerance) const {
    const auto loss = [&](std::size_t i, double step) {
      std::vector<double> at = weights;
      at[i] += step;
      int here = 0;
      const std::vector<double> output = Dense(shape, at, start, &here);
      EXPECT_EQ(here, run) << "weight " << i;  // or the step would be in the difference
      double sum = 0;
      for (std::size_t j = 0; j < output.size(); ++j) sum += output[j] * gradient[j];
      return sum;
    };
    constexpr double kStep = 1e-5;
    for (std::size_t i = 0; i < weights.size(); i += 7) {
      EXPECT_NEAR(of_weights[i], (loss(i, kStep) - loss(i, -kStep)) / (2 * kStep),
                  tolerance * (1 + Largest(of_weights)))
          << "weight " << i;
    }
  }

  TiledShape shape;
  std::vector<double> weights, gradient, start;
  int run = 0;
};

TEST_P(Epsilon, EndsWhereTheDenseFormDoes) {
  EXPECT_GT(run, 2);
  EXPECT_LT(run, kMost);
  const TiledResult tiled = SolveTiled(shape, weights, start, gradient);
  EXPECT_EQ(IterationsRun(shape, tiled.trajectory.data()), run);
  const std::vector<double> dense = Dense(shape, weights, start);
  EXPECT_LT(LargestDifference(tiled.output, dense), 1e-12 * Largest(dense));
}

TEST_P(Epsilon, GradientIsThatOfFiniteDifferences) {
  ExpectSlopes(SolveTiled(shape, weights, start, gradient).weight_gradient, 2e-7);
}

TEST_P(Epsilon, GivesTheBitsOfAsManyIterations) {
  const TiledResult ended = SolveTiled(shape, weights, start, gradient);
  const TiledResult cut = SolveTiled(Cut(), weights, start, gradient);
  EXPECT_EQ(ended.output, cut.output);
  EXPECT_EQ(ended.weight_gradient, cut.weight_gradient);
  EXPECT_EQ(ended.start_gradient, cut.start_gradient);
  // What did not run repeats the last centroids, with masses of 0.
  const std::size_t kd = start.size();
  const double* last = ended.trajectory.data() + TiledCentroidOffset(shape, run);
  for (int t = run; t <= kMost; ++t) {
    const double* centroids = ended.trajectory.data() + TiledCentroidOffset(shape, t);
    EXPECT_EQ(std::vector<double>(centroids, centroids + kd), std::vector<double>(last, last + kd)) << "C_" << t;
  }
  const double* masses = ended.trajectory.data() + TiledCentroidOffset(shape, kMost + 1);
  for (int i = 0; i < kMost * shape.clusters; ++i) EXPECT_EQ(masses[i] > 0, i < run * shape.clusters) << i;
}

template <typename T>
void ExpectSameBits(const ExactShape& shape, const ExactShape& cut, const std::vector<double>& weights,
                    const std::vector<double>& start, const std::vector<double>& gradient) {
  const ExactResult<T> a = SolveExact<T>(shape, weights, start, gradient);
  const ExactResult<T> b = SolveExact<T>(cut, weights, start, gradient);
  EXPECT_EQ(IterationsRun(shape.table, a.trajectory.data()), cut.table.iterations);
  EXPECT_EQ(a.output, b.output);
  EXPECT_EQ(a.replayed, a.output);
  EXPECT_EQ(a.weight_gradient, b.weight_gradient);
  EXPECT_EQ(a.start_gradient, b.start_gradient);
  EXPECT_EQ(a.Last(shape), b.Last(cut));
}

// The exact form is for numbers.
class EpsilonOfNumbers : public Epsilon {};

TEST_P(EpsilonOfNumbers, ExactFormEndsThereToo) {
  const ExactShape exact{shape, DType::kF32, DType::kBF16};
  const ExactShape cut{Cut(), DType::kF32, DType::kBF16};
  ExpectSameBits<float>(exact, cut, weights, start, gradient);
  ExpectSameBits<double>(exact, cut, weights, start, gradient);
  const ExactResult<double> result = SolveExact<double>(exact, weights, start, gradient);
  const std::vector<double> dense = Dense(shape, weights, start);
  EXPECT_LT(LargestDifference(Load(DType::kF32, result.output), dense), 1e-7 * Largest(dense));
  ExpectSlopes(Load(DType::kF32, result.weight_gradient), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Options, Epsilon,
                         testing::Combine(testing::Values(Metric::kSquared, Metric::kEuclidean),
                                          testing::Values(Attention::kLast, Attention::kRecomputed),
                                          testing::Values(1, 2)));
INSTANTIATE_TEST_SUITE_P(Options, EpsilonOfNumbers,
                         testing::Combine(testing::Values(Metric::kSquared, Metric::kEuclidean),
                                          testing::Values(Attention::kLast, Attention::kRecomputed),
                                          testing::Values(1)));

int RunOf(const TiledShape& shape, const std::vector<double>& weights, const std::vector<double>& start) {
  return IterationsRun(shape, SolveTiled(shape, weights, start, weights).trajectory.data());
}

// One cluster goes to the mean, by (3, 4), and stays there: how far that is decides.
TEST(EpsilonBorders, MeasuresTheLengthOfAMove) {
  const std::vector<double> weights = {2, 4, 4, 4};
  const std::vector<double> start = {0, 0};
  TiledShape shape{2, 2, 1, 9, Metric::kSquared, Attention::kLast, 1};
  for (const auto& [epsilon, run] :
       std::vector<std::pair<double, int>>{{0, 9}, {1e-200, 2}, {4.5, 2}, {5, 1}, {6, 1}}) {
    shape.epsilon = epsilon;
    EXPECT_EQ(RunOf(shape, weights, start), run) << epsilon;
  }
}

// All clusters have to stay: here the last one alone moves, to 10.
TEST(EpsilonBorders, WaitsForTheClusterThatMovesFurthest) {
  const std::vector<double> weights = {-1, 1, 9, 11};
  TiledShape shape{4, 1, 2, 5, Metric::kSquared, Attention::kLast, 0.5, 0.5};
  EXPECT_EQ(RunOf(shape, weights, {0, 10.2}), 1);
  EXPECT_EQ(RunOf(shape, weights, {0, 11}), 2);
  EXPECT_EQ(RunOf(shape, weights, {-1, 10}), 2);
}

TEST(EpsilonBorders, RunsAllIterationsWhereAWeightIsNotANumber) {
  const TiledShape shape{3, 1, 2, 5, Metric::kSquared, Attention::kLast, 0.5, 100};
  EXPECT_EQ(RunOf(shape, {1, 2, 3}, {1, 3}), 1);
  EXPECT_EQ(RunOf(shape, {1, NAN, 3}, {1, 3}), 5);
}

}  // namespace
}  // namespace tierlib::dkm::host
