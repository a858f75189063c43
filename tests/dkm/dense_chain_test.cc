// The dense chains: golden vectors by the autograd, what they save, and the same bits with and without offload.
#include "dkm/dense_chain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "autograd/test_device.h"
#include "base/random.h"
#include "dkm/golden.h"
#include "dkm/pair_distance.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::dkm {
namespace {

using autograd::Parameter;
using autograd::Read;
using autograd::SmallOptions;
using autograd::StrictOptions;
using autograd::Tape;
using autograd::Tensor;
using autograd::TestDevice;
using autograd::Value;

using ChainFunction = ChainResult (*)(const Value&, const Value&, const ChainOptions&);

template <typename T>
constexpr DType kDType = sizeof(T) == 8 ? DType::kF64 : DType::kF32;

template <typename T>
std::vector<T> As(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

struct ChainRun {
  std::vector<double> output, centroids, weight_gradient;
};

// The gradient of sum(W~ * gradient).
template <typename T>
ChainRun RunChain(ChainFunction chain, const ChainOptions& options, int dim, const std::vector<double>& weights,
                  const std::vector<double>& start, const std::vector<double>& gradient,
                  const tierlib::Options& device_options = SmallOptions()) {
  TestDevice device(device_options);
  const std::int64_t n = static_cast<std::int64_t>(weights.size()) / dim;
  const std::int64_t k = static_cast<std::int64_t>(start.size()) / dim;
  Parameter parameter{"w", device.Make(kDType<T>, {n, dim}, As<T>(weights), Holds::kPersistent), {}};
  Tape tape(device.context());
  const Value w = tape.Leaf(parameter);
  const Value c = tape.Constant(device.Make(kDType<T>, {k, dim}, As<T>(start)));
  const ChainResult result = chain(w, c, options);
  const Value g = tape.Constant(device.Make(kDType<T>, {n, dim}, As<T>(gradient)));
  const Status status = tape.Backward(Sum(Mul(result.output, g)));
  EXPECT_TRUE(status.ok()) << status;
  if (!status.ok()) return {};
  const auto wide = [](const std::vector<T>& values) { return std::vector<double>(values.begin(), values.end()); };
  return {wide(Read<T>(result.output.tensor())), wide(Read<T>(result.centroids.tensor())),
          wide(Read<T>(parameter.gradient))};
}

ChainOptions OptionsOf(const Golden& golden) {
  return {golden.tau, golden.iterations, golden.metric, golden.attention};
}

class ReferenceChainGolden : public testing::TestWithParam<std::string> {};

TEST_P(ReferenceChainGolden, HoldsInFloat64) {
  const Golden golden = ReadGolden(GetParam());
  for (const bool contiguous : {false, true}) {
    ChainOptions options = OptionsOf(golden);
    options.contiguous_transpose = contiguous;
    const ChainRun run =
        RunChain<double>(ReferenceChain, options, golden.dim, golden.weights, golden.start, golden.gradient);
    EXPECT_LT(LargestDifference(run.output, golden.output), 1e-10);
    EXPECT_LT(LargestDifference(run.centroids, golden.centroids), 1e-10);
    EXPECT_LT(LargestDifference(run.weight_gradient, golden.weight_gradient), 1e-9 * Largest(golden.weight_gradient));
  }
}

TEST_P(ReferenceChainGolden, HoldsInFloat32) {
  const Golden golden = ReadGolden(GetParam());
  const ChainRun run =
      RunChain<float>(ReferenceChain, OptionsOf(golden), golden.dim, golden.weights, golden.start, golden.gradient);
  EXPECT_LT(LargestDifference(run.output, golden.output), 1e-5 * Largest(golden.output));
  EXPECT_LT(LargestDifference(run.centroids, golden.centroids), 1e-5 * Largest(golden.centroids));
  EXPECT_LT(LargestDifference(run.weight_gradient, golden.weight_gradient), 2e-3 * Largest(golden.weight_gradient));
}

// Each iteration's start made a constant: what the vectors are there to find.
TEST_P(ReferenceChainGolden, RefusesAGradientCutAtTheLastIteration) {
  const Golden golden = ReadGolden(GetParam());
  if (golden.iterations == 1) GTEST_SKIP() << "one iteration has nothing to cut";
  const std::size_t values = golden.start.size();
  const double* before_last = golden.trace.data() + golden.trace.size() - 2 * values;
  ChainOptions options = OptionsOf(golden);
  options.iterations = 1;
  const ChainRun run = RunChain<double>(ReferenceChain, options, golden.dim, golden.weights,
                                        {before_last, before_last + values}, golden.gradient);
  EXPECT_LT(LargestDifference(run.output, golden.output), 1e-10);
  const double difference = LargestDifference(run.weight_gradient, golden.weight_gradient);
  EXPECT_NEAR(difference, golden.truncated_difference, 1e-6 * golden.truncated_difference);
  EXPECT_GT(difference, 2e-3 * Largest(golden.weight_gradient));
}

// The clamp at 1e-7 shifts centroids by about 1e-4 of their distances; beyond that the paper's chain is the reference.
TEST_P(ReferenceChainGolden, IsFollowedByThePapersChain) {
  const Golden golden = ReadGolden(GetParam());
  const ChainRun run =
      RunChain<double>(PaperChain, OptionsOf(golden), golden.dim, golden.weights, golden.start, golden.gradient);
  EXPECT_LT(LargestDifference(run.output, golden.output), 2e-3 * Largest(golden.output));
  EXPECT_GT(LargestDifference(run.output, golden.output), 0);
  EXPECT_LT(LargestDifference(run.weight_gradient, golden.weight_gradient), 0.02 * Largest(golden.weight_gradient));
}

INSTANTIATE_TEST_SUITE_P(Cases, ReferenceChainGolden, testing::ValuesIn(GoldenNames()),
                         [](const auto& one) { return one.param; });

std::vector<double> Normals(std::uint64_t seed, std::size_t count, double scale) {
  Random random(seed);
  std::vector<double> values(count);
  for (double& value : values) value = scale * static_cast<double>(static_cast<float>(random.Normal()));
  return values;
}

TEST(PaperChain, GradientIsThatOfFiniteDifferences) {
  for (const int dim : {1, 2, 3}) {
    for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
      const std::vector<double> weights = Normals(1, static_cast<std::size_t>(24 * dim), 1);
      const std::vector<double> start = Normals(2, static_cast<std::size_t>(4 * dim), 1);
      const std::vector<double> gradient = Normals(3, weights.size(), 1);
      const ChainOptions options{0.5, 2, metric, Attention::kRecomputed};
      const ChainRun run = RunChain<double>(PaperChain, options, dim, weights, start, gradient);
      const auto loss = [&](const std::vector<double>& at) {
        const ChainRun moved = RunChain<double>(PaperChain, options, dim, at, start, gradient);
        double sum = 0;
        for (std::size_t i = 0; i < at.size(); ++i) sum += moved.output[i] * gradient[i];
        return sum;
      };
      for (std::size_t i = 0; i < weights.size(); i += 7) {
        constexpr double kStep = 1e-5;
        std::vector<double> up = weights, down = weights;
        up[i] += kStep;
        down[i] -= kStep;
        const double slope = (loss(up) - loss(down)) / (2 * kStep);
        EXPECT_NEAR(run.weight_gradient[i], slope, 1e-6 * (1 + Largest(run.weight_gradient))) << dim << " " << i;
      }
    }
  }
}

// --- What is saved ---------------------------------------------------------------------------------------------------

tierlib::Options ShapeOnly(OffloadMode mode, int hops) {
  tierlib::Options options;
  options.devices[0].capacity = GiB(8);
  options.devices[0].emulated.schedule = EmulatedSchedule::kShapeOnly;
  options.pinned_limit = GiB(8);
  options.mode = mode;
  options.hop_limit = hops;
  return options;
}

// Without persistent storages, except in mode naive, which moves them too.
struct SavedBytes {
  std::uint64_t naive = 0;
  std::uint64_t moved = 0;
  std::uint64_t counted = 0;  // as `naive`, by the tape
};

// One chain over a weight of 1024 x 1024 with k = 8, in the shapes alone.
template <typename Use>
SavedBytes CountSaved(ChainFunction chain, const ChainOptions& options, DType dtype, Holds holds,
                      const tierlib::Options& device_options, const Use& use) {
  TestDevice device(device_options);
  constexpr std::int64_t kSide = 1024;
  Parameter weight{"w", Tensor::Empty(device.context(), dtype, {kSide, kSide}, holds, "w").value(), {}};
  const Tensor start = Tensor::Empty(device.context(), dtype, {8, 1}, Holds::kTransient, "start").value();
  Tape tape(device.context());
  const Value w = Reshape(tape.Leaf(weight), {kSide * kSide, 1});
  const ChainResult result = chain(w, tape.Constant(start), options);
  const Value loss = use(device, tape, Reshape(result.output, {kSide, kSide}));
  EXPECT_TRUE(loss.defined()) << tape.status();
  const Ledger ledger = device.runtime().statistics().total;
  SavedBytes saved;
  saved.naive = ledger.naive - ledger.frees_nothing;
  saved.moved = ledger.moved;
  saved.counted = tape.saved(holds == Holds::kTransient).bytes;
  EXPECT_TRUE(tape.Backward(loss).ok());
  return saved;
}

Value OnlyTheChain(TestDevice&, Tape&, const Value& output) { return Sum(output); }

// eDKM's Table 2 at a sixteenth of its size: 1600, 800 and 544 MiB there. W is an ordinary saved value, as in the
// paper.
TEST(PaperChain, SavesWhatTheTableSays) {
  constexpr double kMiB = 1024 * 1024;
  const ChainOptions one{1e-4, 1, Metric::kSquared, Attention::kLast};
  const auto saved = [&](OffloadMode mode, int hops) {
    return CountSaved(PaperChain, one, DType::kBF16, Holds::kTransient, ShapeOnly(mode, hops), OnlyTheChain);
  };
  const SavedBytes naive = saved(OffloadMode::kNaive, 4);
  EXPECT_NEAR(static_cast<double>(naive.moved) / kMiB, 1600.0 / 16, 0.01);
  EXPECT_EQ(naive.naive, naive.moved);
  EXPECT_EQ(naive.counted, naive.naive);
  const SavedBytes identity = saved(OffloadMode::kMarshal, 0);
  EXPECT_NEAR(static_cast<double>(identity.moved) / kMiB, 800.0 / 16, 0.01);
  const SavedBytes marshal = saved(OffloadMode::kMarshal, 4);
  EXPECT_NEAR(static_cast<double>(marshal.moved) / kMiB, 544.0 / 16, 0.01);
  EXPECT_EQ(marshal.naive, naive.naive);
}

// T iterations: 5T + 1 maps and 2T copies of W, of which 2T maps and one W are moved.
TEST(PaperChain, SavesByTheFormulaForEveryT) {
  constexpr double kMap = 16, kW = 2, kMiB = 1024 * 1024;
  for (const int iterations : {2, 3, 5}) {
    const ChainOptions options{1e-4, iterations, Metric::kSquared, Attention::kLast};
    const SavedBytes marshal = CountSaved(PaperChain, options, DType::kBF16, Holds::kTransient,
                                          ShapeOnly(OffloadMode::kMarshal, 4), OnlyTheChain);
    EXPECT_NEAR(static_cast<double>(marshal.naive) / kMiB, (5 * iterations + 1) * kMap + 2 * iterations * kW, 0.01);
    EXPECT_NEAR(static_cast<double>(marshal.moved) / kMiB, 2 * iterations * kMap + kW, 0.01);
  }
}

// The layer that torch_saved_bytes.py puts behind the chain: the mean square of x W~'.
Value MeanSquareOfProduct(TestDevice& device, Tape& tape, const Value& output) {
  const Tensor x = Tensor::Empty(device.context(), output.dtype(), {32, 1024}, Holds::kTransient, "x").value();
  return Mean(Square(MatMul(tape.Constant(x), Transpose(output))));
}

// Measured in PyTorch, in units of 1e6 bytes, parameters left out.
TEST(ReferenceChain, SavesWhatPyTorchSaves) {
  struct Row {
    bool contiguous;
    int iterations;
    double naive, identity, walk;
  };
  for (const Row& row : {Row{false, 3, 335.81, 201.59, 201.59}, Row{true, 3, 335.81, 302.25, 201.59},
                         Row{true, 5, 537.13, 503.58, 335.81}}) {
    ChainOptions options{5e-5, row.iterations, Metric::kSquared, Attention::kLast};
    options.contiguous_transpose = row.contiguous;
    const auto saved = [&](OffloadMode mode, int hops) {
      return CountSaved(ReferenceChain, options, DType::kF32, Holds::kPersistent, ShapeOnly(mode, hops),
                        MeanSquareOfProduct);
    };
    const SavedBytes identity = saved(OffloadMode::kMarshal, 0);
    const SavedBytes walk = saved(OffloadMode::kMarshal, 4);
    EXPECT_NEAR(static_cast<double>(walk.naive) / 1e6, row.naive, 0.001 * row.naive);
    EXPECT_EQ(walk.counted, walk.naive);
    EXPECT_NEAR(static_cast<double>(identity.moved) / 1e6, row.identity, 0.001 * row.identity);
    EXPECT_NEAR(static_cast<double>(walk.moved) / 1e6, row.walk, 0.001 * row.walk);
  }
}

TEST(DenseChains, GiveTheSameBitsWithAndWithoutOffload) {
  const std::vector<double> weights = Normals(4, 600, 0.02);
  const std::vector<double> start = {-0.03, -0.01, 0.01, 0.03};
  const std::vector<double> gradient = Normals(5, 600, 1);
  for (const ChainFunction chain : {ReferenceChain, PaperChain}) {
    for (const bool contiguous : {false, true}) {
      ChainOptions options{1e-4, 2, Metric::kSquared, Attention::kLast};
      options.contiguous_transpose = contiguous;
      tierlib::Options off = SmallOptions();
      off.mode = OffloadMode::kOff;
      const ChainRun kept = RunChain<float>(chain, options, 1, weights, start, gradient, off);
      for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
        tierlib::Options moved = StrictOptions(7);
        moved.mode = mode;
        const ChainRun run = RunChain<float>(chain, options, 1, weights, start, gradient, moved);
        EXPECT_EQ(run.output, kept.output);
        EXPECT_EQ(run.weight_gradient, kept.weight_gradient);
      }
    }
  }
}

TEST(PairDistance, NamesSizesThatDoNotFit) {
  TestDevice device;
  Tape tape(device.context());
  const Value w = tape.Constant(device.Make<float>(DType::kF32, {3, 2}, std::vector<float>(6)));
  const Value c = tape.Constant(device.Make<float>(DType::kF32, {2, 3}, std::vector<float>(6)));
  EXPECT_FALSE(PairDistance(w, c).defined());
  EXPECT_EQ(tape.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(tape.status().message()).find("f32[3,2]"), std::string::npos) << tape.status();
}

TEST(ReferenceChain, RefusesMoreCentroidsThanItsLastOpTakes) {
  TestDevice device;
  Tape tape(device.context());
  const Value w = tape.Constant(device.Make<float>(DType::kF32, {600, 1}, std::vector<float>(600, 0.5f)));
  const Value c = tape.Constant(device.Make<float>(DType::kF32, {257, 1}, std::vector<float>(257, 0.5f)));
  EXPECT_FALSE(ReferenceChain(w, c, ChainOptions{1, 1}).output.defined());
  EXPECT_EQ(tape.status().message(), "dkm_dense_output: takes 1 to 256 centroids, not 257");
}

}  // namespace
}  // namespace tierlib::dkm
