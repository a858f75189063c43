// The tiled form's kernels: golden vectors, finite differences, a dense form written the long way, and the corners.
#include "dkm/kernels/tiled.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"
#include "dkm/dense_reference.h"
#include "dkm/exact_problem.h"
#include "dkm/golden.h"

namespace tierlib::dkm::host {
namespace {

template <typename T>
struct Result {
  std::vector<T> output, trajectory, weight_gradient;
  std::vector<double> start_gradient;

  std::vector<T> Centroids(const TiledShape& shape, int t) const {
    const std::size_t kd = static_cast<std::size_t>(shape.clusters * shape.dim);
    const T* begin = trajectory.data() + static_cast<std::size_t>(t) * kd;
    return {begin, begin + kd};
  }
  std::vector<T> Last(const TiledShape& shape) const { return Centroids(shape, shape.iterations); }
};

template <typename T>
Result<T> Solve(const TiledShape& shape, const std::vector<T>& weights, const std::vector<T>& start,
                const std::vector<T>& gradient, int threads = 1) {
  ThreadPool pool(threads);
  KernelContext context{pool};
  const std::size_t workspace_doubles = (TiledWorkspaceBytes(shape, sizeof(T)) + 7) / 8;
  std::vector<double> workspace(workspace_doubles, std::numeric_limits<double>::quiet_NaN());
  Result<T> result;
  const T nan = std::numeric_limits<T>::quiet_NaN();
  result.output.assign(weights.size(), nan);
  result.trajectory.assign(TiledTrajectoryElements(shape), nan);
  result.weight_gradient.assign(weights.size(), nan);
  result.start_gradient.assign(start.size(), std::numeric_limits<double>::quiet_NaN());
  std::copy(start.begin(), start.end(), result.trajectory.begin());
  TiledForward(context, shape, weights.data(), result.trajectory.data(), result.output.data(), workspace.data());
  std::fill(workspace.begin(), workspace.end(), std::numeric_limits<double>::quiet_NaN());
  TiledBackward(context, shape, weights.data(), result.trajectory.data(), gradient.data(),
                result.weight_gradient.data(), result.start_gradient.data(), workspace.data());
  return result;
}

class TiledGolden : public testing::TestWithParam<std::string> {};

TEST_P(TiledGolden, HoldsInFloat64) {
  const Golden golden = ReadGolden(GetParam());
  const TiledShape shape = ShapeOf(golden);
  const Result<double> result = Solve(shape, golden.weights, golden.start, golden.gradient);
  EXPECT_LT(LargestDifference(result.output, golden.output), 1e-10);
  EXPECT_LT(LargestDifference(result.Last(shape), golden.centroids), 1e-10);
  for (int t = 1; t <= shape.iterations; ++t) {
    const std::size_t kd = golden.start.size();
    const double* at = golden.trace.data() + static_cast<std::size_t>(t - 1) * kd;
    EXPECT_LT(LargestDifference(result.Centroids(shape, t), std::vector<double>(at, at + kd)), 1e-10) << "C_" << t;
  }
  const double scale = Largest(golden.weight_gradient);
  EXPECT_LT(LargestDifference(result.weight_gradient, golden.weight_gradient), 1e-9 * scale);
  EXPECT_LT(LargestDifference(result.start_gradient, golden.start_gradient), 1e-9 * Largest(golden.start_gradient));
}

TEST_P(TiledGolden, HoldsInFloat32) {
  const Golden golden = ReadGolden(GetParam());
  const TiledShape shape = ShapeOf(golden);
  const Result<float> result =
      Solve(shape, As<float>(golden.weights), As<float>(golden.start), As<float>(golden.gradient), 2);
  EXPECT_LT(LargestDifference(result.output, golden.output), 1e-5 * Largest(golden.output));
  EXPECT_LT(LargestDifference(result.Last(shape), golden.centroids), 1e-5 * Largest(golden.centroids));
  const double scale = Largest(golden.weight_gradient);
  EXPECT_LT(LargestDifference(result.weight_gradient, golden.weight_gradient), 2e-3 * scale);
  RecordProperty("relative_error_of_dW",
                 std::to_string(LargestDifference(result.weight_gradient, golden.weight_gradient) / scale));
}

// The tolerances have teeth: a gradient that stops at the last iteration is off by what the vectors say, far outside.
TEST_P(TiledGolden, RefusesAGradientCutAtTheLastIteration) {
  const Golden golden = ReadGolden(GetParam());
  const TiledShape whole = ShapeOf(golden);
  if (whole.iterations == 1) GTEST_SKIP() << "one iteration has nothing to cut";
  TiledShape last = whole;
  last.iterations = 1;
  const Result<double> result = Solve(whole, golden.weights, golden.start, golden.gradient);
  const Result<double> cut =
      Solve(last, golden.weights, result.Centroids(whole, whole.iterations - 1), golden.gradient);
  EXPECT_LT(LargestDifference(cut.output, golden.output), 1e-10);
  const double difference = LargestDifference(cut.weight_gradient, golden.weight_gradient);
  EXPECT_NEAR(difference, golden.truncated_difference, 1e-6 * golden.truncated_difference);
  EXPECT_GT(difference, 2e-3 * Largest(golden.weight_gradient));
}

INSTANTIATE_TEST_SUITE_P(Cases, TiledGolden, testing::ValuesIn(GoldenNames()),
                         [](const auto& one) { return one.param; });

struct Problem {
  TiledShape shape;
  std::vector<double> weights, start, gradient;
};

// Normal weights of standard deviation 1, centroids spread over them and no weight near one.
Problem MakeProblem(std::uint64_t seed, TiledShape shape) {
  Random random(seed);
  Problem problem{shape, {}, {}, {}};
  const std::size_t values = static_cast<std::size_t>(shape.vectors * shape.dim);
  // Values that float32 holds, so that both precisions solve one problem.
  const auto draw = [&] { return static_cast<double>(static_cast<float>(random.Normal())); };
  for (std::size_t i = 0; i < values; ++i) problem.weights.push_back(draw());
  for (std::size_t i = 0; i < values; ++i) problem.gradient.push_back(draw());
  for (int i = 0; i < shape.clusters * shape.dim; ++i) problem.start.push_back(draw());
  return problem;
}

struct Option {
  const char* name;
  TiledShape shape;
};

void PrintTo(const Option& option, std::ostream* stream) { *stream << option.name; }

std::vector<Option> AllOptions() {
  constexpr Metric kSq = Metric::kSquared;
  constexpr Metric kL2 = Metric::kEuclidean;
  constexpr Attention kLast = Attention::kLast;
  constexpr Attention kAgain = Attention::kRecomputed;
  return {
      {"SquaredLast", {61, 1, 4, 3, kSq, kLast, 0.3}},
      {"SquaredRecomputed", {61, 1, 4, 3, kSq, kAgain, 0.3}},
      {"EuclideanLast", {61, 1, 4, 3, kL2, kLast, 0.3}},
      {"EuclideanRecomputed", {61, 1, 4, 3, kL2, kAgain, 0.3}},
      {"PairsSquaredLast", {50, 2, 5, 2, kSq, kLast, 0.7}},
      {"PairsSquaredRecomputed", {50, 2, 5, 2, kSq, kAgain, 0.7}},
      {"PairsEuclideanLast", {50, 2, 5, 2, kL2, kLast, 0.4}},
      {"FoursEuclideanRecomputed", {33, 4, 8, 3, kL2, kAgain, 0.4}},
      {"OneIteration", {17, 1, 2, 1, kSq, kLast, 0.2}},
      {"OneIterationRecomputed", {17, 1, 2, 1, kSq, kAgain, 0.2}},
      {"OneCluster", {17, 1, 1, 2, kSq, kLast, 0.2}},
      {"OneWeight", {1, 1, 3, 3, kSq, kLast, 0.5}},
      {"ManyClusters", {40, 1, 256, 2, kSq, kLast, 0.05}},
      {"SevenIterations", {29, 3, 4, 7, kSq, kLast, 0.5}},
      {"OddClusters", {100, 1, 7, 3, kSq, kLast, 0.1}},
      {"WideVectors", {12, 40, 3, 2, kSq, kLast, 30.0}},
      {"FloorLast", {61, 1, 4, 3, kSq, kLast, 0.3, 0, 0.03}},
      {"FloorRecomputed", {61, 1, 4, 3, kSq, kAgain, 0.3, 0, 0.03}},
      {"FloorEuclidean", {61, 1, 4, 3, kL2, kLast, 0.3, 0, 0.03}},
      {"FloorEuclideanRecomputed", {61, 1, 4, 3, kL2, kAgain, 0.3, 0, 0.03}},
      {"FloorPairs", {50, 2, 5, 2, kSq, kLast, 0.7, 0, 0.03}},
      {"FloorBySixteen", {300, 1, 16, 3, kSq, kLast, 0.05, 0, 1e-4}},
      {"Prune", {61, 1, 4, 3, kSq, kLast, 0.3, 0, 0, 0.2}},
      {"PruneByEight", {61, 1, 8, 3, kSq, kLast, 0.3, 0, 0, 0.2}},
      {"PruneEuclideanRecomputed", {61, 1, 4, 3, kL2, kAgain, 0.3, 0, 0, 0.2}},
      {"PrunePairs", {50, 2, 5, 2, kSq, kLast, 0.7, 0, 0, 0.3}},
      {"FloorAndPrune", {61, 1, 4, 3, kSq, kLast, 0.3, 0, 0.02, 0.2}},
      {"FloorAndPruneEuclideanPairs", {50, 2, 5, 3, kL2, kAgain, 0.4, 0, 0.02, 0.2}},
  };
}

class TiledOption : public testing::TestWithParam<Option> {};

TEST_P(TiledOption, ForwardIsThatOfTheDenseForm) {
  const Problem problem = MakeProblem(11, GetParam().shape);
  const Result<double> result = Solve(problem.shape, problem.weights, problem.start, problem.gradient);
  const std::vector<double> dense = Dense(problem.shape, problem.weights, problem.start);
  EXPECT_LT(LargestDifference(result.output, dense), 1e-12 * Largest(dense));
}

TEST_P(TiledOption, GradientIsThatOfFiniteDifferences) {
  const Problem problem = MakeProblem(12, GetParam().shape);
  const Result<double> result = Solve(problem.shape, problem.weights, problem.start, problem.gradient);
  const auto loss = [&](const std::vector<double>& weights, const std::vector<double>& start) {
    const std::vector<double> output = Dense(problem.shape, weights, start);
    double sum = 0;
    for (std::size_t i = 0; i < output.size(); ++i) sum += output[i] * problem.gradient[i];
    return sum;
  };
  constexpr double kStep = 1e-5;
  const double weight_scale = Largest(result.weight_gradient);
  const double start_scale = Largest(result.start_gradient);
  for (std::size_t i = 0; i < problem.weights.size(); i += 1 + problem.weights.size() / 16) {
    std::vector<double> up = problem.weights, down = problem.weights;
    up[i] += kStep;
    down[i] -= kStep;
    const double slope = (loss(up, problem.start) - loss(down, problem.start)) / (2 * kStep);
    EXPECT_NEAR(result.weight_gradient[i], slope, 2e-7 * (1 + weight_scale)) << "weight " << i;
  }
  for (std::size_t i = 0; i < problem.start.size(); i += 1 + problem.start.size() / 16) {
    std::vector<double> up = problem.start, down = problem.start;
    up[i] += kStep;
    down[i] -= kStep;
    const double slope = (loss(problem.weights, up) - loss(problem.weights, down)) / (2 * kStep);
    EXPECT_NEAR(result.start_gradient[i], slope, 2e-7 * (1 + start_scale)) << "start " << i;
  }
}

TEST_P(TiledOption, Float32FollowsFloat64) {
  const Problem problem = MakeProblem(13, GetParam().shape);
  const Result<double> exact = Solve(problem.shape, problem.weights, problem.start, problem.gradient);
  const Result<float> result =
      Solve(problem.shape, As<float>(problem.weights), As<float>(problem.start), As<float>(problem.gradient));
  EXPECT_LT(LargestDifference(result.output, exact.output), 2e-5 * Largest(exact.output));
  EXPECT_LT(LargestDifference(result.weight_gradient, exact.weight_gradient), 5e-4 * Largest(exact.weight_gradient));
}

INSTANTIATE_TEST_SUITE_P(Options, TiledOption, testing::ValuesIn(AllOptions()),
                         [](const auto& one) { return one.param.name; });

// The same bits for any number of threads, over sizes around the tile (2048) and the block (256 at k = 8).
TEST(Tiled, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const std::int64_t vectors : {5, 255, 257, 2047, 2048, 2049, 30001}) {
    for (const int dim : {1, 2}) {
      const Problem problem = MakeProblem(14, {vectors, dim, 8, 3, Metric::kSquared, Attention::kLast, 0.02});
      const auto run = [&](int threads) {
        return Solve(problem.shape, As<float>(problem.weights), As<float>(problem.start), As<float>(problem.gradient),
                     threads);
      };
      const Result<float> one = run(1);
      for (const int threads : {2, 3, 5}) {
        const Result<float> more = run(threads);
        const std::size_t bytes = one.output.size() * sizeof(float);
        EXPECT_EQ(std::memcmp(one.output.data(), more.output.data(), bytes), 0) << vectors << " by " << threads;
        EXPECT_EQ(std::memcmp(one.weight_gradient.data(), more.weight_gradient.data(), bytes), 0);
        EXPECT_EQ(one.trajectory, more.trajectory);
        EXPECT_EQ(one.start_gradient, more.start_gradient);
      }
    }
  }
}

// Of weights that are stored in T or in 16 bits; sizes around the tile and what is converted at once.
TEST(Tiled, MakesTheOutputAgainToTheBit) {
  for (const DType stored : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
      for (const int dim : {1, 3, 256}) {
        for (const std::int64_t vectors : {1, 3, 2049, 5000 / TIERLIB_RANDOM_SCALE + 2}) {
          const Problem problem = MakeProblem(16, {vectors, dim, 8, 2, Metric::kSquared, attention, 0.02 * dim});
          const std::vector<std::byte> weights = Store(stored, problem.weights);
          const Result<float> forward = Solve(problem.shape, As<float>(Load(stored, weights)), As<float>(problem.start),
                                              As<float>(problem.gradient));
          const std::vector<std::byte> expected = Store(stored, {forward.output.begin(), forward.output.end()});
          for (const int threads : {1, 3}) {
            ThreadPool pool(threads);
            KernelContext context{pool};
            std::vector<std::byte> output(weights.size());
            TiledReplay(context, TiledReplayArguments<float>{problem.shape, stored, weights.data(),
                                                             forward.trajectory.data(), output.data()});
            EXPECT_TRUE(output == expected) << DTypeName(stored) << ", " << vectors << " vectors of " << dim;
          }
        }
      }
    }
  }
  const Problem problem = MakeProblem(17, {3000, 2, 4, 3, Metric::kEuclidean, Attention::kLast, 0.1});
  const Result<double> forward = Solve(problem.shape, problem.weights, problem.start, problem.gradient);
  ThreadPool pool(2);
  KernelContext context{pool};
  std::vector<double> output(problem.weights.size());
  TiledReplay(context, TiledReplayArguments<double>{problem.shape, DType::kF64, problem.weights.data(),
                                                    forward.trajectory.data(), output.data()});
  EXPECT_EQ(output, forward.output);
}

TEST(Tiled, FollowsFloat64OverManyTilesAndClusters) {
  for (const int clusters : {2, 8, 16, 64, 256}) {
    const std::int64_t vectors = 20011 / TIERLIB_RANDOM_SCALE;
    Problem problem = MakeProblem(15, {vectors, 1, clusters, 3, Metric::kSquared, Attention::kLast, 0.01});
    const Result<double> exact = Solve(problem.shape, problem.weights, problem.start, problem.gradient);
    const Result<float> result =
        Solve(problem.shape, As<float>(problem.weights), As<float>(problem.start), As<float>(problem.gradient), 2);
    EXPECT_LT(LargestDifference(result.output, exact.output), 2e-5 * Largest(exact.output)) << "k " << clusters;
    EXPECT_LT(LargestDifference(result.weight_gradient, exact.weight_gradient), 2e-3 * Largest(exact.weight_gradient))
        << "k " << clusters;
  }
}

TEST(Tiled, KeepsTheCentroidOfAnEmptyCluster) {
  TiledShape shape{4, 1, 3, 3, Metric::kSquared, Attention::kLast, 1e-3};
  const std::vector<double> weights = {-1, -0.9, 0.9, 1};
  const std::vector<double> start = {-1, 1, 50};  // nobody attends to 50
  const std::vector<double> gradient = {1, -2, 3, 4};
  for (const bool recomputed : {false, true}) {
    shape.attention = recomputed ? Attention::kRecomputed : Attention::kLast;
    const Result<float> result = Solve(shape, As<float>(weights), As<float>(start), As<float>(gradient));
    EXPECT_EQ(result.Last(shape)[2], 50.0f);
    EXPECT_NEAR(result.Last(shape)[0], -0.95f, 1e-6);
    EXPECT_LT(LargestDifference(result.weight_gradient, std::vector<double>{-0.5, -0.5, 3.5, 3.5}), 1e-5);
    EXPECT_EQ(result.start_gradient[2], 0.0);
    const Result<double> exact = Solve(shape, weights, start, gradient);
    EXPECT_EQ(exact.Last(shape)[2], 50.0);
    EXPECT_LT(LargestDifference(exact.weight_gradient, result.weight_gradient), 1e-5);
  }
}

TEST(Tiled, ReproducesConstantWeights) {
  const TiledShape shape{3000, 1, 8, 3, Metric::kSquared, Attention::kLast, 1e-4};
  const std::vector<float> weights(3000, 0.3f);
  const std::vector<float> start(8, 0.3f);
  const std::vector<float> gradient(3000, 1.0f);
  const Result<float> result = Solve(shape, weights, start, gradient, 2);
  EXPECT_EQ(result.Last(shape), start);
  EXPECT_LT(LargestDifference(result.output, weights), 1e-7);
  EXPECT_LT(LargestDifference(result.weight_gradient, gradient), 1e-5);  // the mean moves with each weight
}

// A weight on a centroid: the plain distance has no slope there, and its gradient counts as 0 instead of NaN.
TEST(Tiled, TakesTheSlopeOfThePlainDistanceAtZeroForZero) {
  const TiledShape shape{3, 2, 2, 1, Metric::kEuclidean, Attention::kLast, 0.5};
  const std::vector<double> weights = {0, 0, 1, 0, 0, 2};
  const std::vector<double> start = {0, 0, 1, 1};
  const std::vector<double> gradient = {1, 2, 3, 4, 5, 6};
  const Result<double> exact = Solve(shape, weights, start, gradient);
  for (const double value : exact.weight_gradient) EXPECT_TRUE(std::isfinite(value));
  const Result<float> result = Solve(shape, As<float>(weights), As<float>(start), As<float>(gradient));
  EXPECT_LT(LargestDifference(result.weight_gradient, exact.weight_gradient), 1e-5);
}

TEST(Tiled, ShowsAWeightThatIsNotANumberAsNaN) {
  for (const double floor : {0.0, 1e-3}) {
    for (const double prune : {0.0, 1e-3}) {
      const TiledShape shape{300, 1, 4, 2, Metric::kSquared, Attention::kLast, 1e-2, 0, floor, prune};
      for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        std::vector<float> weights(300, 0.25f);
        weights[299] = bad;
        const Result<float> result = Solve<float>(shape, weights, {0, 0.2f, 0.3f, 1}, std::vector<float>(300, 1.0f));
        EXPECT_TRUE(std::isnan(result.output[299])) << floor << " " << prune;
        EXPECT_TRUE(std::isnan(result.Last(shape)[1]));
        EXPECT_TRUE(std::isnan(result.weight_gradient[299]));
      }
    }
  }
}

}  // namespace
}  // namespace tierlib::dkm::host
