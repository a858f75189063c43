// Options of Clustering beside its forms: what each changes, and what it refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "autograd/kernels/host/chunk.h"
#include "dkm/golden.h"
#include "dkm/kmeans_1d.h"
#include "dkm/trainer.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {
namespace {

Status StatusOf(const dkm::Options& options) {
  TestDevice device;
  Tape tape(device.context());
  Clustering clustering("layer.w", options);
  EXPECT_FALSE(clustering.Apply(tape, tape.Constant(device.Make(DType::kF32, {64}, NormalWeights(1, 64)))).defined());
  return tape.status();
}

float Rounded(DType dtype, float value) {
  float stored = 0;  // room for any type
  autograd::host::WriteElement<float>(dtype, &stored, 0, value);
  return autograd::host::ReadElement<float>(dtype, &stored, 0);
}

// --- epsilon --------------------------------------------------------------------------------------------------------

TEST(ClusteringEpsilon, EndsIterationsAndSaysHowManyRan) {
  for (const Form form : {Form::kTiled, Form::kExact}) {
    for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
      dkm::Options options = With(form, attention);
      options.iterations = 50;
      options.epsilon = 4e-5;
      Trainer ended(options);
      EXPECT_EQ(ended.clustering.IterationsRun(), 0);
      const Trainer::Pass a = ended.Run();
      ASSERT_TRUE(a.status.ok()) << a.status;
      const int run = ended.clustering.IterationsRun();
      EXPECT_GT(run, 1);
      EXPECT_LT(run, 50);

      options.iterations = run;
      options.epsilon = 0;
      Trainer cut(options);
      const Trainer::Pass b = cut.Run();
      EXPECT_EQ(cut.clustering.IterationsRun(), run);
      EXPECT_EQ(a.output, b.output);
      EXPECT_EQ(a.gradient, b.gradient);
      const auto hard = [](Trainer& trainer) {
        return ReadBytes(trainer.clustering.Palettize(trainer.context(), trainer.weight.value).value());
      };
      EXPECT_EQ(hard(ended), hard(cut));
      ended.clustering.Advance();
      cut.clustering.Advance();
      EXPECT_EQ(ended.clustering.Centroids().value(), cut.clustering.Centroids().value());

      // From where they settled it takes fewer.
      ASSERT_TRUE(ended.Run().status.ok());
      EXPECT_LT(ended.clustering.IterationsRun(), run);
    }
  }
}

// Tiny epsilons are not reached, however long the iterations: T is the most.
TEST(ClusteringEpsilon, RunsTheMostIterationsWhereCentroidsKeepMoving) {
  for (const Form form : {Form::kTiled, Form::kExact, Form::kReference, Form::kPaper}) {
    dkm::Options options = With(form);
    if (form == Form::kTiled || form == Form::kExact) options.epsilon = 1e-30;
    Trainer trainer(options);
    ASSERT_TRUE(trainer.Run().status.ok());
    EXPECT_EQ(trainer.clustering.IterationsRun(), 3);
  }
}

TEST(ClusteringEpsilon, RefusesWhatCannotBe) {
  ExpectFailure(StatusOf({.epsilon = -1}), "epsilon is positive, or 0 for all iterations, not -1");
  ExpectFailure(StatusOf({.epsilon = std::numeric_limits<double>::quiet_NaN()}), "epsilon");
  ExpectFailure(StatusOf({.epsilon = std::numeric_limits<double>::infinity()}), "epsilon");
  ExpectFailure(StatusOf({.iterations = 65537}), "iterations are 1 to 65536, not 65537");
  for (const Form form : {Form::kReference, Form::kPaper}) {
    ExpectFailure(StatusOf({.epsilon = 1e-3, .form = form}), "with epsilon use form tiled or exact");
  }
}

// --- start ----------------------------------------------------------------------------------------------------------

// What Centroids has once a start is made.
std::vector<float> StartOf(dkm::Options options, DType dtype, const std::vector<float>& values) {
  TestDevice device;
  Tape tape(device.context());
  const auto count = static_cast<std::int64_t>(values.size());
  const Tensor weight = Cast(tape.Constant(device.Make(DType::kF32, {count}, values)), dtype).tensor();
  Clustering clustering("w", options);
  EXPECT_TRUE(clustering.Palettize(device.context(), weight).ok());
  return clustering.Centroids().value();
}

double SquaredError(const std::vector<float>& values, const std::vector<float>& centroids) {
  double sum = 0;
  for (const float value : values) {
    double least = INFINITY;
    for (const float c : centroids) least = std::min(least, std::pow(double{value} - double{c}, 2));
    sum += least;
  }
  return sum;
}

TEST(ClusteringStart, ExactIsTheOptimum) {
  const std::vector<float> values = NormalWeights(5, 3000);
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kBF16, DType::kF16}) {
    std::vector<float> stored = values;
    if (ElementBytes(dtype) == 2) {
      for (float& value : stored) value = Rounded(dtype, value);
    }
    const std::vector<float> exact = StartOf({.bits = 4, .start = Start::kExact}, dtype, values);
    const std::vector<double> best = KMeans1d(std::vector<double>(stored.begin(), stored.end()), 16);
    // f32 weights go into cells: as good, to what a cell is wide.
    EXPECT_LT(LargestDifference(exact, best), dtype == DType::kF32 ? 1e-4 : 1e-8) << DTypeName(dtype);
    const double error = SquaredError(stored, exact);
    EXPECT_LT(error, (1 + 1e-6) * SquaredError(stored, {best.begin(), best.end()}));
    EXPECT_LT(error, 0.999 * SquaredError(stored, StartOf({.bits = 4}, dtype, values))) << "k-means++ ends elsewhere";
    // No random numbers.
    EXPECT_EQ(exact, StartOf({.bits = 4, .start = Start::kExact, .seed = 99}, dtype, values));
  }
}

// k-means++ looks at 65,536 values, evenly spread; the optimum of 16-bit values counts every one.
TEST(ClusteringStart, ExactLooksAtEveryWeightOfSixteenBits) {
  std::vector<float> values(3 * 65536);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 3 == 0 ? 1.0f : 2.0f;
  values[1] = 1000;  // far enough to have a cluster of its own
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    dkm::Options options{.bits = 1, .start = Start::kExact};
    if (dtype == DType::kF32) options.round_to = DType::kF16;
    EXPECT_EQ(StartOf(options, dtype, values)[1], 1000.0f) << DTypeName(dtype);
    options.start = Start::kPlusPlus;
    EXPECT_LT(StartOf(options, dtype, values)[1], 1000.0f) << "the sample has changed: the test shows nothing";
  }
}

TEST(ClusteringStart, ExactTakesFewerValuesThanClustersAndNumbersOnly) {
  EXPECT_EQ(StartOf({.start = Start::kExact}, DType::kF32, std::vector<float>(64, 0.125f)),
            std::vector<float>(8, 0.125f));
  ExpectFailure(StatusOf({.cluster_dim = 2, .start = Start::kExact}), "start exact takes cluster_dim 1, not 2");
}

// --- table ----------------------------------------------------------------------------------------------------------

std::vector<float> Palettized(dkm::Options options, const std::vector<float>& values, DType weight) {
  TestDevice device;
  Tape tape(device.context());
  const Dims sizes = {static_cast<std::int64_t>(values.size())};
  Clustering clustering("w", options);
  const Tensor w = Cast(tape.Constant(device.Make(DType::kF32, sizes, values)), weight).tensor();
  const Tensor hard = clustering.Palettize(device.context(), w).value();
  return Read<float>(Cast(tape.Constant(hard), DType::kF32).tensor());
}

std::vector<float> Levels(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// `levels` as a table of the type has them, in double.
std::vector<float> InTable(DType type, std::vector<float> levels) {
  float largest = 0;
  for (const float level : levels) largest = std::max(largest, std::abs(level));
  const double scale = static_cast<float>(double{largest} / 127);
  for (float& level : levels) {
    level = type == DType::kI8 ? static_cast<float>(std::round(level / scale) * scale) : Rounded(type, level);
  }
  return levels;
}

TEST(ClusteringTable, PalettizeAssignsToTheTableAsItsTypeHasIt) {
  const std::vector<float> values = NormalWeights(6, 2000);
  for (const Form form : {Form::kTiled, Form::kExact}) {
    for (const DType weight : {DType::kF32, DType::kF64}) {
      if (form == Form::kExact && weight == DType::kF64) continue;
      dkm::Options options = With(form);
      const std::vector<float> levels = Levels(Palettized(options, values, weight));
      ASSERT_EQ(levels.size(), 8u);
      for (const DType type : {DType::kF16, DType::kBF16, DType::kI8}) {
        options.table = type;
        const std::vector<float> hard = Palettized(options, values, weight);
        const std::vector<float> table = InTable(type, levels);
        EXPECT_NE(table, levels) << DTypeName(type);
        for (std::size_t i = 0; i < values.size(); ++i) {
          const float w = form == Form::kExact ? Rounded(DType::kBF16, values[i]) : values[i];
          const float nearest = *std::min_element(table.begin(), table.end(),
                                                  [&](float a, float b) { return std::abs(w - a) < std::abs(w - b); });
          ASSERT_NEAR(hard[i], nearest, 1e-8) << DTypeName(type) << " " << i;
        }
      }
    }
  }
}

// 65,520 and more round to infinity in f16. What is palettized stays finite.
TEST(ClusteringTable, ValuesBeyondItsTypeBecomeItsLargest) {
  std::vector<float> values = NormalWeights(6, 64);
  values[3] = -1e6f;
  values[9] = 1e6f;
  const std::vector<float> hard = Palettized({.tau = 1, .table = DType::kF16}, values, DType::kF32);
  EXPECT_EQ(hard[3], -65504.0f);
  EXPECT_EQ(hard[9], 65504.0f);
  values[9] = std::numeric_limits<float>::max();
  EXPECT_EQ(Palettized({.table = DType::kBF16}, values, DType::kF64)[9], 0x1.fep127f);
  EXPECT_EQ(Palettized({.table = DType::kI8}, std::vector<float>(64, 0.0f), DType::kF32), std::vector<float>(64, 0.0f));
  for (const float value : Palettized({.table = DType::kI8}, std::vector<float>(64, 1e-45f), DType::kF32)) {
    EXPECT_LE(std::abs(value), 1e-43f);
  }
}

TEST(ClusteringTable, CountsItsBitsAndRefusesOtherTypes) {
  EXPECT_DOUBLE_EQ(Clustering("w", {.table = DType::kF16}).BitsPerWeight(4096), 3 + 8 * 16 / 4096.0);
  EXPECT_DOUBLE_EQ(Clustering("w", {.cluster_dim = 2, .table = DType::kI8}).BitsPerWeight(4096),
                   1.5 + (8 * 2 * 8 + 32) / 4096.0);
  ExpectFailure(StatusOf({.table = DType::kF64}), "table is f32, f16, bf16 or i8, not f64");
  ExpectFailure(StatusOf({.table = DType::kU8}), "table is f32, f16, bf16 or i8, not u8");
}

}  // namespace
}  // namespace tierlib::dkm
