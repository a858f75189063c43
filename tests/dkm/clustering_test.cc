// Clustering: forms that agree, centroids from step to step, palettisation, and what it says of weights it cannot take.
#include "tierlib/dkm/clustering.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "autograd/test_device.h"
#include "base/random.h"
#include "dkm/form_choice.h"
#include "dkm/golden.h"
#include "dkm/start.h"
#include "dkm/trainer.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::dkm {
namespace {

TEST(Clustering, TiledAndReferenceFormsAgree) {
  for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
    for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
      for (const int dim : {1, 2, 4}) {
        Trainer tiled(With(Form::kTiled, attention, metric, dim));
        Trainer dense(With(Form::kReference, attention, metric, dim));
        for (int step = 0; step < 2; ++step) {
          const Trainer::Pass a = tiled.Run();
          const Trainer::Pass b = dense.Run();
          ASSERT_TRUE(a.status.ok()) << a.status;
          ASSERT_TRUE(b.status.ok()) << b.status;
          EXPECT_LT(LargestDifference(AsFloats(a.output), AsFloats(b.output)), 1e-5 * Largest(AsFloats(b.output)));
          EXPECT_LT(LargestDifference(AsFloats(a.gradient), AsFloats(b.gradient)),
                    2e-3 * Largest(AsFloats(b.gradient)));
          tiled.clustering.Advance();
          dense.clustering.Advance();
          EXPECT_LT(LargestDifference(tiled.clustering.Centroids().value(), dense.clustering.Centroids().value()),
                    1e-6);
        }
      }
    }
  }
}

TEST(Clustering, PaperFormComesCloseToTheReference) {
  Trainer paper(With(Form::kPaper));
  Trainer dense(With(Form::kReference));
  const Trainer::Pass a = paper.Run();
  const Trainer::Pass b = dense.Run();
  ASSERT_TRUE(a.status.ok()) << a.status;
  EXPECT_LT(LargestDifference(AsFloats(a.output), AsFloats(b.output)), 2e-3 * Largest(AsFloats(b.output)));
  EXPECT_EQ(paper.clustering.form(), Form::kPaper);
  EXPECT_EQ(Clustering("w", {}).form(), Form::kTiled);
}

TEST(Clustering, ApplyStartsFromTheSameCentroidsUntilAdvance) {
  Trainer trainer;
  const Trainer::Pass first = trainer.Run();
  ASSERT_TRUE(first.status.ok()) << first.status;
  const std::vector<float> start = trainer.clustering.Centroids().value();
  const Trainer::Pass again = trainer.Run();  // recompute, or the next part of an accumulated batch
  EXPECT_EQ(first.output, again.output);
  EXPECT_EQ(first.gradient, again.gradient);
  EXPECT_EQ(trainer.clustering.Centroids().value(), start);
  trainer.clustering.Advance();
  const std::vector<float> moved = trainer.clustering.Centroids().value();
  EXPECT_NE(moved, start);
  trainer.clustering.Advance();  // without an Apply in between there is nothing newer
  EXPECT_EQ(trainer.clustering.Centroids().value(), moved);
  EXPECT_NE(trainer.Run().output, first.output);
}

// A device that runs full in the middle of Apply, where the memory for the newest centroids was found already.
TEST(Clustering, AFailedApplyLeavesTheCentroidsAsTheyWere) {
  for (const Form form : {Form::kTiled, Form::kReference, Form::kPaper, Form::kExact}) {
    tierlib::Options device = SmallOptions();
    device.devices[0].emulated.poison = true;
    device.mode = OffloadMode::kOff;
    Trainer trainer(With(form), device);
    Trainer undisturbed(With(form), device);
    for (Trainer* one : {&trainer, &undisturbed}) {
      ASSERT_TRUE(one->Run().status.ok());
      one->clustering.Advance();
    }
    const std::vector<float> start = trainer.clustering.Centroids().value();
    // Room for centroids, not for anything of the weight's size.
    std::vector<Tensor> blockers;
    const auto block = [&](std::int64_t bytes) {
      while (true) {
        StatusOr<Tensor> more = Tensor::Empty(trainer.context(), DType::kU8, {bytes}, Holds::kTransient, "blocker");
        if (!more.ok()) return;
        blockers.push_back(*std::move(more));
      }
    };
    for (std::int64_t bytes = MiB(1); bytes >= 1024; bytes /= 2) block(bytes);
    blockers.pop_back();
    block(1024);
    blockers.pop_back();
    {
      Tape tape(trainer.context());
      EXPECT_FALSE(trainer.clustering.Apply(tape, tape.Leaf(trainer.weight)).defined());
      EXPECT_EQ(tape.status().code(), StatusCode::kResourceExhausted) << tape.status();
    }
    trainer.clustering.Advance();
    blockers.clear();
    EXPECT_EQ(trainer.clustering.Centroids().value(), start);
    const Trainer::Pass pass = trainer.Run();
    ASSERT_TRUE(pass.status.ok()) << pass.status;
    EXPECT_EQ(pass.output, undisturbed.Run().output);
  }
}

TEST(Clustering, RestoringGivesTheSameBitsAsNotStopping) {
  for (const Form form : {Form::kTiled, Form::kReference, Form::kExact}) {
    Trainer whole(With(form));
    for (int step = 0; step < 2; ++step) {
      ASSERT_TRUE(whole.Run().status.ok());
      whole.clustering.Advance();
      whole.Scale(0.98f);
    }
    const std::vector<float> centroids = whole.clustering.Centroids().value();
    Trainer stopped(With(form));
    stopped.Scale(0.98f);
    stopped.Scale(0.98f);
    ASSERT_TRUE(stopped.clustering.Restore(stopped.context(), centroids, whole.clustering.tau()).ok());
    for (int step = 0; step < 2; ++step) {
      const Trainer::Pass a = whole.Run();
      const Trainer::Pass b = stopped.Run();
      ASSERT_TRUE(b.status.ok()) << b.status;
      EXPECT_EQ(a.output, b.output);
      EXPECT_EQ(a.gradient, b.gradient);
      whole.clustering.Advance();
      stopped.clustering.Advance();
      EXPECT_EQ(ReadBytes(whole.clustering.Palettize(whole.context(), whole.weight.value).value()),
                ReadBytes(stopped.clustering.Palettize(stopped.context(), stopped.weight.value).value()));
    }
    EXPECT_EQ(whole.clustering.Centroids().value(), stopped.clustering.Centroids().value());
  }
}

TEST(Clustering, GivesTheSameBitsForAnyModeScheduleAndNumberOfThreads) {
  // More than two tiles of every kernel that a pass runs: of one tile, all threads but one would see nothing.
  const Dims sizes = {192, 192};
  const auto run = [&](const tierlib::Options& device) { return Trainer({}, device, DType::kF32, sizes).Run(); };
  const Trainer::Pass expected = run(SmallOptions());
  ASSERT_TRUE(expected.status.ok()) << expected.status;
  for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal}) {
    for (int threads = 1; threads <= 3; ++threads) {
      tierlib::Options options = SmallOptions();
      options.mode = mode;
      options.devices[0].emulated.kernel_threads = threads;
      const Trainer::Pass pass = run(options);
      EXPECT_EQ(pass.output, expected.output);
      EXPECT_EQ(pass.gradient, expected.gradient);
    }
    tierlib::Options strict = StrictOptions(3);
    strict.mode = mode;
    const Trainer::Pass pass = run(strict);
    EXPECT_EQ(pass.output, expected.output);
    EXPECT_EQ(pass.gradient, expected.gradient);
  }
}

// The weight stays where it is, and so do the few centroids that are saved beside it, from which W~ is made again.
TEST(Clustering, TiledFormMovesNothing) {
  Trainer trainer;
  ASSERT_TRUE(trainer.Run().status.ok());
  const Ledger ledger = trainer.device().runtime().statistics().total;
  const std::uint64_t weight_bytes = 600 * sizeof(float);
  const std::uint64_t trajectory_bytes = (4 * 8 + 3 * 8 + 1) * sizeof(float);
  // Mul saves G, a constant, for the gradient of W~.
  EXPECT_EQ(ledger.naive, weight_bytes + trajectory_bytes + weight_bytes);
  EXPECT_EQ(ledger.frees_nothing, weight_bytes + trajectory_bytes);
  EXPECT_EQ(ledger.moved, weight_bytes);
}

TEST(Clustering, SixteenBitWeightsGiveTheFloat32ResultRounded) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    Trainer narrow({}, SmallOptions(), dtype);
    const Trainer::Pass pass = narrow.Run();
    ASSERT_TRUE(pass.status.ok()) << pass.status;
    Trainer wide;
    Tape tape(wide.context());
    wide.weight.value = wide.device().Make(
        DType::kF32, {24, 25},
        Read<float>(Cast(Tape(narrow.context()).Constant(narrow.weight.value), DType::kF32).tensor()),
        Holds::kPersistent);
    const Value rounded = Cast(wide.clustering.Apply(tape, tape.Constant(wide.weight.value)), dtype);
    ASSERT_TRUE(tape.status().ok()) << tape.status();
    EXPECT_EQ(pass.output, ReadBytes(rounded.tensor()));
    EXPECT_EQ(narrow.clustering.tau(), wide.clustering.tau());
  }
}

TEST(Clustering, TauIsATenthOfTheDeviationForThePlainDistance) {
  dkm::Options options;
  options.metric = Metric::kEuclidean;
  Trainer trainer(options);
  const Trainer::Pass pass = trainer.Run();
  ASSERT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_NEAR(trainer.clustering.tau(), 0.1 * 0.02, 0.1 * 0.1 * 0.02);
  // In the unit of its metric, tau gives results that scale with the weight.
  Trainer large(options);
  large.Scale(1024);
  const std::vector<float> scaled = AsFloats(large.Run().output);
  EXPECT_NEAR(large.clustering.tau(), 1024 * trainer.clustering.tau(), 1e-9);
  std::vector<float> output = AsFloats(pass.output);
  for (float& value : output) value *= 1024;
  EXPECT_LT(LargestDifference(scaled, output), 1e-5 * Largest(output));
}

TEST(Clustering, TauIsAHundredthOfTheVarianceAtTheStart) {
  Trainer trainer;
  EXPECT_EQ(trainer.clustering.tau(), 0);
  ASSERT_TRUE(trainer.Run().status.ok());
  EXPECT_NEAR(trainer.clustering.tau(), 0.01 * 0.02 * 0.02, 0.2 * 0.01 * 0.02 * 0.02);
  const double tau = trainer.clustering.tau();
  trainer.Scale(2);
  trainer.clustering.Advance();
  ASSERT_TRUE(trainer.Run().status.ok());
  EXPECT_EQ(trainer.clustering.tau(), tau);
}

TEST(Clustering, PalettizeSnapsToTheCentroidsOfTheWeight) {
  for (const std::string& name : GoldenNames()) {
    const Golden golden = ReadGolden(name);
    TestDevice device;
    dkm::Options options;
    options.bits = golden.clusters == 4 ? 2 : 3;
    options.cluster_dim = golden.dim;
    options.iterations = golden.iterations;
    options.metric = golden.metric;
    Clustering clustering("w", options);
    const std::vector<float> start(golden.start.begin(), golden.start.end());
    ASSERT_TRUE(clustering.Restore(device.context(), start, golden.tau).ok());
    const Tensor weight = device.Make(DType::kF64, {golden.vectors, golden.dim}, golden.weights);
    const std::vector<double> hard = Read<double>(clustering.Palettize(device.context(), weight).value());
    std::vector<double> expected;
    for (const std::int32_t j : golden.hard) {
      for (int c = 0; c < golden.dim; ++c)
        expected.push_back(golden.centroids[static_cast<std::size_t>(j * golden.dim + c)]);
    }
    EXPECT_LT(LargestDifference(hard, expected), 1e-6 * Largest(expected)) << name;
  }
}

// 2^20 weights with 1e-7 each are a tenth of a weight that a cluster of two outliers has beside them.
TEST(Clustering, PalettizeClampsAsThePapersFormDoes) {
  std::vector<double> values(1 << 20, 0.0);
  values[0] = 0.30;
  values[1] = 0.31;
  for (const double floor : {0.0, 1e-12, 1e-6}) {
    TestDevice device;
    dkm::Options options{.bits = 1, .iterations = 1, .form = Form::kPaper};
    options.attention_floor = floor;
    Clustering clustering("w", options);
    ASSERT_TRUE(clustering.Restore(device.context(), {0.0f, 0.305f}, 1e-4).ok());
    const auto count = static_cast<std::int64_t>(values.size());
    const Tensor weight = device.Make(DType::kF64, {count, 1}, values);
    const std::vector<double> hard = Read<double>(clustering.Palettize(device.context(), weight).value());
    EXPECT_NEAR(hard[0], 0.61 / (2 + static_cast<double>(count - 2) * std::max(floor, 1e-7)), 1e-6) << floor;
  }
}

TEST(Clustering, PalettizeWorksBeforeTheFirstApply) {
  Trainer trainer;
  const std::vector<float> hard =
      Read<float>(trainer.clustering.Palettize(trainer.context(), trainer.weight.value).value());
  std::vector<float> levels = hard;
  std::sort(levels.begin(), levels.end());
  EXPECT_EQ(std::unique(levels.begin(), levels.end()) - levels.begin(), 8);
  const std::vector<float> weights = Read<float>(trainer.weight.value);
  double error = 0, square = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    error += std::pow(weights[i] - hard[i], 2);
    square += std::pow(weights[i], 2);
  }
  EXPECT_LT(error / square, 0.06);  // the best 8 levels of a normal distribution leave 0.035
}

TEST(Clustering, CountsBitsOfIndicesAndTable) {
  EXPECT_DOUBLE_EQ(Clustering("w", {}).BitsPerWeight(65536), 3 + 8 * 32 / 65536.0);
  EXPECT_DOUBLE_EQ(Clustering("w", {.bits = 8, .cluster_dim = 4}).BitsPerWeight(1024), 2 + 256 * 4 * 32 / 1024.0);
}

// --- What it cannot take ---------------------------------------------------------------------------------------------

Status StatusOfApply(const dkm::Options& options, const Dims& sizes, DType dtype = DType::kF32) {
  TestDevice device;
  Tape tape(device.context());
  Clustering clustering("layer.w", options);
  const Tensor weight = Tensor::Zeros(device.context(), dtype, sizes, Holds::kPersistent, "w").value();
  EXPECT_FALSE(clustering.Apply(tape, tape.Constant(weight)).defined());
  return tape.status();
}

TEST(Clustering, NamesWhatDoesNotFit) {
  ExpectFailure(StatusOfApply({}, {7}), "layer.w f32[7]{1}+0 has 7 vectors, fewer than the 8 clusters of 3 bits");
  ExpectFailure(StatusOfApply({.cluster_dim = 2}, {3, 7}), "cannot be cut into vectors of 2");
  ExpectFailure(StatusOfApply({}, {64}, DType::kI32), "is not of a float type");
  ExpectFailure(StatusOfApply({}, {0}), "has 0 vectors");
  ExpectFailure(StatusOfApply({.bits = 9}, {4096}), "bits are 1 to 8, not 9");
  ExpectFailure(StatusOfApply({.bits = 0}, {4096}), "bits are 1 to 8, not 0");
  ExpectFailure(StatusOfApply({.cluster_dim = 0}, {64}), "cluster_dim");
  ExpectFailure(StatusOfApply({.tau = -1}, {64}), "tau");
  ExpectFailure(StatusOfApply({.tau = std::nan("")}, {64}), "tau");
  ExpectFailure(StatusOfApply({.iterations = 0}, {64}), "iterations");
  ExpectFailure(StatusOfApply({.form = Form::kReference}, {64}, DType::kF16), "use form tiled");
  ExpectFailure(StatusOfApply({.form = Form::kExact}, {64}),
                "layer.w f32[64]{1}+0 is not of 16 bits, which form exact needs: set round_to, or use form tiled");
  ExpectFailure(StatusOfApply({.form = Form::kExact}, {64}, DType::kF64), "is not of 16 bits");
  ExpectFailure(StatusOfApply({.cluster_dim = 2, .form = Form::kExact}, {64}, DType::kBF16),
                "form exact takes cluster_dim 1, not 2; use form tiled");
  ExpectFailure(StatusOfApply({.round_to = DType::kF32}, {64}), "round_to is bf16 or f16, not f32");
  ExpectFailure(StatusOfApply({.round_to = DType::kF16}, {64}, DType::kBF16),
                "layer.w bf16[64]{1}+0 cannot be rounded to f16: round_to is for f32 weights");
  ExpectFailure(StatusOfApply({.round_to = DType::kF16}, {64}, DType::kF64), "round_to is for f32 weights");
}

// One value that is shown 2^35 times: beyond what the exact form counts.
TEST(Clustering, LeavesWeightsBeyondTheExactFormToTheTiledOne) {
  TestDevice device;
  const Tensor one = Tensor::Zeros(device.context(), DType::kBF16, {1}, Holds::kPersistent, "w").value();
  Layout layout = one.layout();
  layout.sizes = {std::int64_t{1} << 35};
  layout.strides = {0};
  const Tensor large = one.WithLayout(layout);
  EXPECT_EQ(FormFor({}, large.layout()), Form::kTiled);
  EXPECT_TRUE(CheckWeight("w", {}, large).ok());
  ExpectFailure(CheckWeight("w", {.form = Form::kExact}, large),
                "has 34359738368 values; form exact takes fewer than 34359738368: use form tiled");
  layout.sizes[0] -= 1;
  EXPECT_EQ(FormFor({}, layout), Form::kExact);
  EXPECT_TRUE(CheckWeight("w", {.form = Form::kExact}, one.WithLayout(layout)).ok());
}

TEST(Clustering, TakesConstantWeights) {
  TestDevice device;
  for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
    for (const Form form : {Form::kTiled, Form::kReference, Form::kPaper, Form::kExact}) {
      Tape tape(device.context());
      Clustering clustering("w", {.metric = metric, .form = form, .round_to = DType::kBF16});
      const std::vector<float> values(64, 0.125f);
      Parameter weight{"w", device.Make(DType::kF32, {64}, values, Holds::kPersistent), {}};
      const Value output = clustering.Apply(tape, tape.Leaf(weight));
      ASSERT_TRUE(tape.Backward(Sum(output)).ok()) << tape.status();
      EXPECT_LT(LargestDifference(Read<float>(output.tensor()), values), 1e-6);
      EXPECT_LT(LargestDifference(Read<float>(weight.gradient), std::vector<float>(64, 1)), 1e-4);
    }
  }
}

TEST(Clustering, NamesAWeightThatIsNotFiniteAtTheStart) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    TestDevice device;
    Tape tape(device.context());
    Clustering clustering("layer.w", dkm::Options());
    std::vector<float> values = NormalWeights(1, 600);
    values[308] = bad;
    values[599] = bad;
    const Tensor weight = device.Make(DType::kF32, {24, 25}, values);
    EXPECT_FALSE(clustering.Apply(tape, tape.Constant(weight)).defined());
    ExpectFailure(tape.status(), "weight layer.w: value 308, at [12,8], is NaN or infinite");
    EXPECT_TRUE(clustering.Centroids().value().empty());
  }
}

// A row of nearly equal weights over half of what lies between them: each weight fits f16, its quotient does not.
TEST(Clustering, NamesAWeightThatIsBeyondItsTypeOnceItIsScaledAndRounded) {
  TestDevice device;
  Tape tape(device.context());
  dkm::Options options;
  options.per_channel_scale = ChannelScale::kMinMax;
  options.round_to = DType::kF16;
  Clustering clustering("layer.w", options);
  std::vector<float> values = NormalWeights(1, 600);
  for (std::size_t i = 50; i < 75; ++i) values[i] = 1 + (i % 2 == 0 ? 5e-6f : -5e-6f);
  const Tensor weight = device.Make(DType::kF32, {24, 25}, values);
  EXPECT_FALSE(clustering.Apply(tape, tape.Constant(weight)).defined());
  ExpectFailure(tape.status(), "weight layer.w: value 50, at [2,0], is NaN or infinite once rounded to f16");
  EXPECT_TRUE(clustering.Centroids().value().empty());
}

// Later the host does not look at the weight: a kernel does, and the next call that asks finds what it saw.
TEST(Clustering, NamesAWeightThatCeasesToBeFiniteOnceAKernelHasSeenIt) {
  for (const Form form : {Form::kTiled, Form::kReference, Form::kExact}) {
    Trainer trainer(With(form));
    ASSERT_TRUE(trainer.Run().status.ok());
    trainer.clustering.Advance();
    std::vector<float> values = Read<float>(trainer.weight.value);
    values[599] = std::numeric_limits<float>::quiet_NaN();
    ASSERT_TRUE(trainer.weight.value.CopyFromHost(values.data(), values.size() * sizeof(float)).ok());
    EXPECT_TRUE(trainer.Run().status.ok());  // the stream does not stop
    trainer.clustering.Advance();
    ExpectFailure(trainer.Run().status, "weight layer.w: value 599, at [23,24], is NaN or infinite");
    ExpectFailure(trainer.clustering.Centroids().status(), "value 599");
  }
}

// Back to a checkpoint, as a training loop does that met a NaN.
TEST(Clustering, RestoringForgetsAWeightThatWasNotFinite) {
  Trainer trainer;
  ASSERT_TRUE(trainer.Run().status.ok());
  trainer.clustering.Advance();
  const std::vector<float> centroids = trainer.clustering.Centroids().value();
  const double tau = trainer.clustering.tau();
  const std::vector<float> good = Read<float>(trainer.weight.value);
  const Trainer::Pass expected = trainer.Run();
  std::vector<float> bad = good;
  bad[7] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(trainer.weight.value.CopyFromHost(bad.data(), bad.size() * sizeof(float)).ok());
  EXPECT_TRUE(trainer.Run().status.ok());
  ExpectFailure(trainer.Run().status, "value 7");

  // The weight is looked at anew: as long as it has the NaN, that is said.
  ASSERT_TRUE(trainer.clustering.Restore(trainer.context(), centroids, tau).ok());
  ExpectFailure(trainer.Run().status, "value 7");
  ASSERT_TRUE(trainer.weight.value.CopyFromHost(good.data(), good.size() * sizeof(float)).ok());
  const Trainer::Pass pass = trainer.Run();
  ASSERT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_EQ(pass.output, expected.output);
  EXPECT_EQ(pass.gradient, expected.gradient);
  EXPECT_EQ(trainer.clustering.Centroids().value(), centroids);
}

TEST(Clustering, RefusesAWeightOfAnotherTape) {
  for (const Form form : {Form::kTiled, Form::kReference, Form::kExact}) {
    Trainer trainer(With(form));
    Tape tape(trainer.context());
    Tape other(trainer.context());
    EXPECT_FALSE(trainer.clustering.Apply(tape, other.Leaf(trainer.weight)).defined());
    ExpectFailure(tape.status(), "weight layer.w is of another tape");
  }
}

TEST(Clustering, RefusesStateThatIsNotItsOwn) {
  TestDevice device;
  Clustering clustering("layer.w", {});
  ExpectFailure(clustering.Restore(device.context(), std::vector<float>(7), 1e-4),
                "weight layer.w: 7 values restored as 8 centroids of 1");
  std::vector<float> centroids(8);
  ExpectFailure(clustering.Restore(device.context(), centroids, 0), "tau");
  centroids[3] = std::numeric_limits<float>::infinity();
  ExpectFailure(clustering.Restore(device.context(), centroids, 1e-4), "NaN or infinite");
  EXPECT_EQ(clustering.tau(), 0);
}

TEST(Clustering, DoesNothingOnATapeThatFailed) {
  TestDevice device;
  Tape tape(device.context());
  tape.Fail(InternalError("earlier"));
  Clustering clustering("w", {});
  const Tensor weight = device.Make(DType::kF32, {64}, NormalWeights(1, 64));
  EXPECT_FALSE(clustering.Apply(tape, tape.Constant(weight)).defined());
  EXPECT_EQ(tape.status().message(), "earlier");
}

}  // namespace
}  // namespace tierlib::dkm
