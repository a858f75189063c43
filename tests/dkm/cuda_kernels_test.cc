// The CUDA kernels of DKM, run on the host with the blocks and threads that a device would have, against the host's
// kernels: the same numbers but for the order of sums, and the same bits in whatever order blocks and threads run.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "dkm/cuda_problem.h"
#include "dkm/kernels/palettize.h"

namespace tierlib::dkm::cuda {
namespace {

constexpr double kDeviation = 0.02;
constexpr int kInTurn = TIERLIB_RANDOM_SCALE;

// |a - b| over |b|, as vectors.
template <typename A, typename B>
double Error(const std::vector<A>& a, const std::vector<B>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double by = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += by * by;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

struct ExactCase {
  const char* name;
  DType stored;
  DType pattern;
  int clusters;
  Metric metric;
  Attention attention;
  double epsilon;
  double attention_floor = 0;
  double prune_threshold = 0;
};
const ExactCase kExactCases[] = {
    {"bf16", DType::kBF16, DType::kBF16, 8, Metric::kSquared, Attention::kLast, 0},
    {"f16, recomputed", DType::kF16, DType::kF16, 4, Metric::kSquared, Attention::kRecomputed, 0},
    {"f32 as bf16, more centroids than threads have", DType::kF32, DType::kBF16, 32, Metric::kSquared, Attention::kLast,
     0},
    {"f32 as f16, plain distance", DType::kF32, DType::kF16, 16, Metric::kEuclidean, Attention::kLast, 0},
    {"bf16, many centroids", DType::kBF16, DType::kBF16, 256, Metric::kSquared, Attention::kRecomputed, 0},
    {"bf16, ends early", DType::kBF16, DType::kBF16, 4, Metric::kSquared, Attention::kLast, 4e-3},
    {"bf16, floor and prune", DType::kBF16, DType::kBF16, 8, Metric::kSquared, Attention::kLast, 0, 1e-3, 3e-5},
    {"f16, floor and prune, recomputed", DType::kF16, DType::kF16, 4, Metric::kEuclidean, Attention::kRecomputed, 0,
     1e-2, 1e-3},
};

ExactShape ShapeOf(const ExactCase& c, std::int64_t weights) {
  ExactShape shape;
  shape.table = {weights, 1, c.clusters, 4, c.metric, c.attention, 0, c.epsilon};
  shape.table.tau = c.metric == Metric::kSquared ? 1e-4 : 2e-3;
  shape.table.attention_floor = c.attention_floor;
  shape.table.prune_threshold = c.prune_threshold;
  shape.stored = c.stored;
  shape.pattern = c.pattern;
  return shape;
}

// The host's float64 tables differ by rounding; what is stored as float32 or less is then rounded again.
TEST(CudaExact, AgreesWithTheHostsKernels) {
  const std::int64_t weights = 40'000 / kInTurn + 1003;  // no multiple of anything
  for (const ExactCase& c : kExactCases) {
    const ExactShape shape = ShapeOf(c, weights);
    const auto w = host::NormalValues(5, weights, kDeviation);
    const auto g = host::NormalValues(6, weights, 1);
    const auto start = host::EvenStart(c.clusters, kDeviation);
    const auto truth = host::SolveExact<double>(shape, w, start, g);
    const ExactOutcome r = SolveExactOn(SequentialGrid(), shape, w, start, g);
    EXPECT_LT(Error(r.trajectory, truth.trajectory), 1e-11) << c.name;
    EXPECT_LT(Error(r.newest, truth.Last(shape)), 1e-7) << c.name;
    EXPECT_EQ(r.iterations_run, host::IterationsRun(shape.table, truth.trajectory.data())) << c.name;
    EXPECT_EQ(r.iterations_run<shape.table.iterations, c.epsilon> 0) << c.name;
    const double unit = c.stored == DType::kF32 ? 1e-7 : 1e-4;  // a value may round the other way
    EXPECT_LT(Error(host::Load(c.stored, r.output), host::Load(c.stored, truth.output)), unit) << c.name;
    EXPECT_LT(Error(host::Load(c.stored, r.weight_gradient), host::Load(c.stored, truth.weight_gradient)), unit)
        << c.name;
    EXPECT_LT(Error(r.start_gradient, truth.start_gradient), 1e-7) << c.name;  // of sums in fixed point
    EXPECT_TRUE(SameBits(r.replayed, r.output)) << c.name;
    EXPECT_EQ(r.non_finite, host::kAllFinite) << c.name;
  }
}

// Of blocks, threads, and how much of the work fits into shared memory at a time; and of where packs begin.
TEST(CudaExact, DependsOnNoOrderAndNoDevice) {
  if (TIERLIB_RANDOM_SCALE > 1) GTEST_SKIP() << "takes long in a sanitizer build";
  const std::int64_t weights = 30'000 / kInTurn + 1007;
  const DeviceLimits small{3, 48 * 1024};
  const DeviceLimits turing{72, 64 * 1024};
  const DeviceLimits hopper{132, 227 * 1024};
  for (const ExactCase& c : kExactCases) {
    const ExactShape shape = ShapeOf(c, weights);
    const auto w = host::NormalValues(7, weights, kDeviation);
    const auto g = host::NormalValues(8, weights, 1);
    const auto start = host::EvenStart(c.clusters, kDeviation);
    const ExactOutcome one = SolveExactOn(SequentialGrid(small), shape, w, start, g);
    const ExactOutcome others[] = {
        SolveExactOn(SequentialGrid(hopper, 11), shape, w, start, g, false, DType::kF32, /*shift=*/1),
        SolveExactOn(SequentialGrid(turing, 12), shape, w, start, g),
    };
    for (const ExactOutcome& other : others) {
      EXPECT_TRUE(SameBits(other.output, one.output)) << c.name;
      EXPECT_TRUE(SameBits(other.weight_gradient, one.weight_gradient)) << c.name;
      EXPECT_TRUE(SameBits(other.trajectory, one.trajectory)) << c.name;
      EXPECT_TRUE(SameBits(other.start_gradient, one.start_gradient)) << c.name;
    }
  }
}

// One pattern alone fills a 16-bit count, and the sums of its gradients 32 bits.
TEST(CudaExact, CountsAndSumsOfOneValueDoNotOverflow) {
  constexpr std::int64_t kWeights = 3 * kMostChunk + 5;
  ExactShape shape = ShapeOf(kExactCases[0], kWeights);
  shape.table.clusters = 2;
  shape.table.iterations = 1;
  const std::vector<double> w(kWeights, 0.5), g(kWeights, -1.0);
  const std::vector<double> start = {0.25, 0.75};
  shape.table.tau = 1;
  const auto truth = host::SolveExact<double>(shape, w, start, g);
  const ExactOutcome r = SolveExactOn(SequentialGrid({1, 227 * 1024}), shape, w, start, g);
  EXPECT_LT(Error(r.trajectory, truth.trajectory), 1e-14);
  EXPECT_LT(Error(r.start_gradient, truth.start_gradient), 1e-8);
  EXPECT_TRUE(SameBits(r.weight_gradient, truth.weight_gradient));
}

TEST(CudaExact, BothZerosAreOneValueAndZeroAloneIsOne) {
  ExactShape shape = ShapeOf(kExactCases[0], 6);
  shape.table.clusters = 2;
  shape.table.tau = 0.1;
  const std::vector<double> start = {-0.5, 0.25};
  const std::vector<double> g = {1, 2, 3, 4, 5, 6};
  const std::vector<double> mixed = {0.0, -0.0, 0.5, -0.0, 0.0, -0.25};
  const std::vector<double> none(6, -0.0);
  for (const std::vector<double>& w : {mixed, none}) {
    const auto truth = host::SolveExact<double>(shape, w, start, g);
    const ExactOutcome r = SolveExactOn(SequentialGrid(), shape, w, start, g);
    EXPECT_LT(Error(r.trajectory, truth.trajectory), 1e-14);
    EXPECT_TRUE(SameBits(r.output, truth.output));
    EXPECT_TRUE(SameBits(r.weight_gradient, truth.weight_gradient));
  }
}

TEST(CudaExact, NamesTheFirstWeightThatIsNotFinite) {
  const ExactShape shape = ShapeOf(kExactCases[0], 5000);
  auto w = host::NormalValues(9, 5000, kDeviation);
  w[4321] = kNaN<double>;
  w[1234] = -std::numeric_limits<double>::infinity();
  const ExactOutcome r =
      SolveExactOn(SequentialGrid({}, 3), shape, w, host::EvenStart(8, kDeviation), host::NormalValues(1, 5000, 1));
  EXPECT_EQ(r.non_finite, 1234);
  EXPECT_TRUE(std::isnan(r.newest[0]));
}

TEST(CudaExact, AGradientThatIsNotFiniteShows) {
  const ExactShape shape = ShapeOf(kExactCases[0], 3000);
  auto g = host::NormalValues(2, 3000, 1);
  g[17] = std::numeric_limits<double>::infinity();
  const ExactOutcome r =
      SolveExactOn(SequentialGrid(), shape, host::NormalValues(1, 3000, kDeviation), host::EvenStart(8, kDeviation), g);
  for (const double dw : host::Load(shape.stored, r.weight_gradient)) EXPECT_TRUE(std::isnan(dw));
}

// Of any size: the largest and the smallest that float32 has.
TEST(CudaExact, GradientsOfAnySizeAreSummed) {
  const ExactCase c = kExactCases[2];
  const ExactShape shape = ShapeOf(c, 2000);
  const auto w = host::NormalValues(3, 2000, kDeviation);
  const auto start = host::EvenStart(c.clusters, kDeviation);
  for (const double size : {1e30, 1e-30, 0.0}) {
    const auto g = host::NormalValues(4, 2000, size);
    const auto truth = host::SolveExact<double>(shape, w, start, g);
    const ExactOutcome r = SolveExactOn(SequentialGrid(), shape, w, start, g);
    EXPECT_LT(Error(host::Load(c.stored, r.weight_gradient), host::Load(c.stored, truth.weight_gradient)), 1e-6)
        << size;
    EXPECT_LT(Error(r.start_gradient, truth.start_gradient), 1e-7) << size;
  }
}

TEST(CudaExact, PalettizesToTheNearestOfARoundedTable) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kI8}) {
    const ExactShape shape = ShapeOf(kExactCases[2], 3000);
    const auto w = host::NormalValues(10, 3000, kDeviation);
    const auto start = host::EvenStart(32, kDeviation);
    const ExactOutcome r = SolveExactOn(SequentialGrid(), shape, w, start, w, /*nearest=*/true, type);
    std::vector<double> table = host::SolveExact<double>(shape, w, start, w).Last(shape);
    host::RoundTable(type, table.size(), table.data());
    EXPECT_LT(Error(r.newest, table), 1e-7) << DTypeName(type);
    const auto rounded = host::Rounded(shape.pattern, w);
    const auto output = host::Load(shape.stored, r.output);
    for (std::size_t i = 0; i < w.size(); ++i) {
      double least = HUGE_VAL, nearest = 0;
      for (const float value : r.newest) {
        if (std::fabs(rounded[i] - static_cast<double>(value)) < least) {
          least = std::fabs(rounded[i] - static_cast<double>(value));
          nearest = static_cast<double>(value);
        }
      }
      EXPECT_NEAR(output[i], nearest, 1e-9) << DTypeName(type) << ", " << i;
    }
  }
}

TEST(CudaExact, RefusesWhatItIsNotMadeFor) {
  ExactShape shape = ShapeOf(kExactCases[0], 10);
  SequentialGrid grid;
  ExactForwardArguments a;
  const auto refused = [&](const std::string& words) {
    a.shape = shape;
    const Status status = RunExactForward(grid, a);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(status.message()).find(words), std::string::npos) << status;
  };
  shape.table.vectors = kExactWeightLimit;
  refused("fewer than 2^32");
  shape.table.vectors = 10;
  shape.table.dim = 2;
  refused("in vectors of 2");
  shape.table.dim = 1;
  shape.table.clusters = 257;
  refused("257 clusters");
}

struct TiledCase {
  const char* name;
  std::int64_t vectors;
  int dim;
  int clusters;
  Metric metric;
  Attention attention;
  double epsilon;
  int iterations = 4;
  double attention_floor = 0;
  double prune_threshold = 0;
};
const TiledCase kTiledCases[] = {
    {"vectors of 1", 5000, 1, 8, Metric::kSquared, Attention::kLast, 0},
    {"recomputed", 3001, 1, 4, Metric::kSquared, Attention::kRecomputed, 0},
    {"vectors of 3, plain distance", 1003, 3, 16, Metric::kEuclidean, Attention::kLast, 0},
    {"vectors of 4, recomputed", 901, 4, 5, Metric::kEuclidean, Attention::kRecomputed, 0},
    {"more outputs than threads", 777, 2, 256, Metric::kSquared, Attention::kLast, 0},
    {"one vector, one cluster", 1, 1, 1, Metric::kSquared, Attention::kLast, 0},
    {"ends early", 2000, 1, 4, Metric::kSquared, Attention::kRecomputed, 0.05},
    {"floor and prune", 1500, 1, 8, Metric::kSquared, Attention::kLast, 0, 3, 1e-2, 0.1},
    {"floor and prune, recomputed", 700, 2, 6, Metric::kEuclidean, Attention::kRecomputed, 0, 3, 1e-2, 0.1},
};

template <typename T>
void CompareTiled(const TiledCase& c, double tolerance) {
  TiledShape shape{c.vectors,   c.dim, c.clusters, c.iterations,      c.metric,
                   c.attention, 0.2,   c.epsilon,  c.attention_floor, c.prune_threshold};
  const auto values = static_cast<std::int64_t>(c.vectors * c.dim);
  const auto w = AsFloats(host::NormalValues(21, values, 1));
  const auto g = AsFloats(host::NormalValues(22, values, 1));
  const auto start = AsFloats(host::NormalValues(23, c.clusters * c.dim, 1));
  const auto truth = host::SolveTiled(shape, {w.begin(), w.end()}, {start.begin(), start.end()}, {g.begin(), g.end()});
  const std::vector<T> weights(w.begin(), w.end()), gradient(g.begin(), g.end());
  const auto r = SolveTiledOn<T>(SequentialGrid(), shape, weights, start, gradient);
  EXPECT_EQ(r.iterations_run, host::IterationsRun(shape, truth.trajectory.data())) << c.name;
  EXPECT_EQ(r.iterations_run<c.iterations, c.epsilon> 0) << c.name;
  EXPECT_LT(Error(r.trajectory, truth.trajectory), tolerance) << c.name;
  const auto last = r.trajectory.begin() + static_cast<std::ptrdiff_t>(host::TiledCentroidOffset(shape, c.iterations));
  EXPECT_TRUE(SameBits(r.newest, std::vector<float>(last, last + c.clusters * c.dim))) << c.name;
  EXPECT_LT(Error(r.output, truth.output), tolerance) << c.name;
  EXPECT_LT(Error(r.weight_gradient, truth.weight_gradient), tolerance) << c.name;
  EXPECT_LT(Error(r.start_gradient, truth.start_gradient), tolerance) << c.name;
  std::vector<T> again(weights.size()), trajectory = r.trajectory;
  SequentialGrid grid;
  EXPECT_TRUE(
      RunTiledReplay(grid, TiledReplayArguments<T>{shape, weights.data(), trajectory.data(), again.data()}).ok());
  EXPECT_TRUE(SameBits(again, r.output)) << c.name;
  const auto shuffled = SolveTiledOn<T>(SequentialGrid({2, 48 * 1024}, 5), shape, weights, start, gradient);
  EXPECT_TRUE(SameBits(shuffled.trajectory, r.trajectory)) << c.name;
  EXPECT_TRUE(SameBits(shuffled.output, r.output)) << c.name;
  EXPECT_TRUE(SameBits(shuffled.weight_gradient, r.weight_gradient)) << c.name;
  EXPECT_TRUE(SameBits(shuffled.start_gradient, r.start_gradient)) << c.name;
}

TEST(CudaTiled, AgreesWithTheHostsKernelsInFloat64) {
  for (const TiledCase& c : kTiledCases) CompareTiled<double>(c, 1e-11);
}
TEST(CudaTiled, AgreesWithFloat64InFloat32) {
  for (const TiledCase& c : kTiledCases) CompareTiled<float>(c, 2e-5);
}

// Blocks take several tiles in turn, and there are as many blocks as can be.
TEST(CudaTiled, ManyTilesForEachBlock) {
  const TiledCase c{"many tiles", 8 * (kMostTileBlocks + 300), 1, 256, Metric::kSquared, Attention::kLast, 0, 1};
  if (TIERLIB_RANDOM_SCALE > 1) GTEST_SKIP() << "takes long in a sanitizer build";
  CompareTiled<float>(c, 2e-5);
}

}  // namespace
}  // namespace tierlib::dkm::cuda
