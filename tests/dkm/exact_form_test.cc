// The exact form as Clustering applies it: which weights it is chosen for, that it is the tiled form's mathematics,
// that f32 weights are rounded on the way, and what it saves and moves.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "dkm/golden.h"
#include "dkm/trainer.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {
namespace {

std::vector<float> InFloat(TestDevice& device, const Tensor& tensor) {
  Tape tape(device.context());
  tape.set_recording(false);
  return Read<float>(Cast(tape.Constant(tensor), DType::kF32).tensor());
}

// --- Which weights --------------------------------------------------------------------------------------------------

Form ChosenFor(const dkm::Options& options, DType dtype, std::int64_t elements) {
  TestDevice device;
  Tape tape(device.context());
  Clustering clustering("w", options);
  const Tensor weight = Tensor::Zeros(device.context(), dtype, {elements}, Holds::kPersistent, "w").value();
  EXPECT_TRUE(clustering.Apply(tape, tape.Constant(weight)).defined()) << tape.status();
  return clustering.form();
}

TEST(ExactForm, IsChosenForLargeWeightsOfSixteenBits) {
  EXPECT_EQ(ChosenFor({}, DType::kBF16, 16384), Form::kExact);
  EXPECT_EQ(ChosenFor({}, DType::kF16, 16384), Form::kExact);
  EXPECT_EQ(ChosenFor({.round_to = DType::kF16}, DType::kF32, 16384), Form::kExact);
  EXPECT_EQ(ChosenFor({.round_to = DType::kBF16}, DType::kBF16, 16384), Form::kExact);
  EXPECT_EQ(ChosenFor({}, DType::kBF16, 16383), Form::kTiled);
  EXPECT_EQ(ChosenFor({}, DType::kF32, 16384), Form::kTiled);
  EXPECT_EQ(ChosenFor({.cluster_dim = 2}, DType::kBF16, 16384), Form::kTiled);
  EXPECT_EQ(ChosenFor({.form = Form::kTiled}, DType::kBF16, 16384), Form::kTiled);
  EXPECT_EQ(ChosenFor({.form = Form::kExact}, DType::kBF16, 64), Form::kExact);
}

// --- What it computes -----------------------------------------------------------------------------------------------

// f32 weights that are rounded, by three forms.
TEST(ExactForm, AgreesWithTheOtherFormsOnRoundedWeights) {
  for (const DType rounded : {DType::kBF16, DType::kF16}) {
    for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
      for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
        const auto trainer = [&](Form form) {
          dkm::Options options = With(form, attention, metric);
          options.round_to = rounded;
          return options;
        };
        Trainer exact(trainer(Form::kExact));
        Trainer tiled(trainer(Form::kTiled));
        Trainer dense(trainer(Form::kReference));
        for (int step = 0; step < 2; ++step) {
          const Trainer::Pass a = exact.Run();
          ASSERT_TRUE(a.status.ok()) << a.status;
          for (Trainer* other : {&tiled, &dense}) {
            const Trainer::Pass b = other->Run();
            ASSERT_TRUE(b.status.ok()) << b.status;
            EXPECT_LT(LargestDifference(AsFloats(a.output), AsFloats(b.output)), 1e-5 * Largest(AsFloats(b.output)));
            EXPECT_LT(LargestDifference(AsFloats(a.gradient), AsFloats(b.gradient)),
                      2e-3 * Largest(AsFloats(b.gradient)));
            other->clustering.Advance();
          }
          exact.clustering.Advance();
          EXPECT_LT(LargestDifference(exact.clustering.Centroids().value(), tiled.clustering.Centroids().value()),
                    1e-6);
          EXPECT_LT(LargestDifference(exact.clustering.Centroids().value(), dense.clustering.Centroids().value()),
                    1e-6);
        }
      }
    }
  }
}

// Rounding changes the weights, or the test above would show nothing; and it is straight-through.
TEST(ExactForm, RoundsFloat32WeightsAndPassesTheGradientThrough) {
  Trainer rounded(With(Form::kExact));
  Trainer whole(With(Form::kTiled));
  const Trainer::Pass a = rounded.Run();
  const Trainer::Pass b = whole.Run();
  ASSERT_TRUE(a.status.ok()) << a.status;
  EXPECT_GT(LargestDifference(AsFloats(a.output), AsFloats(b.output)), 1e-4 * Largest(AsFloats(b.output)));

  // The same weights stored as bf16 give the same values, rounded; their gradient is of bf16.
  Trainer narrow(With(Form::kExact), SmallOptions(), DType::kBF16);
  ASSERT_TRUE(
      narrow.clustering.Restore(narrow.context(), rounded.clustering.Centroids().value(), rounded.clustering.tau())
          .ok());
  const Trainer::Pass c = narrow.Run();
  ASSERT_TRUE(c.status.ok()) << c.status;
  Tape tape(rounded.context());
  const Value wide = tape.Constant(rounded.device().Make(DType::kF32, {24, 25}, AsFloats(a.output), Holds::kTransient));
  EXPECT_EQ(ReadBytes(Cast(wide, DType::kBF16).tensor()), c.output);
  EXPECT_EQ(rounded.weight.gradient.dtype(), DType::kF32);
  EXPECT_LT(LargestDifference(AsFloats(a.gradient), InFloat(narrow.device(), narrow.weight.gradient)),
            1e-2 * Largest(AsFloats(a.gradient)));
}

TEST(ExactForm, TakesAWeightThatIsAViewByColumns) {
  const auto run = [](bool transposed) {
    TestDevice device;
    const Dims sizes = {16, 40};
    const std::vector<float> rows = NormalWeights(1, 640);
    std::vector<float> columns(640);
    for (std::size_t i = 0; i < 640; ++i) columns[i % 40 * 16 + i / 40] = rows[i];
    Parameter weight{"w",
                     transposed ? device.Make(DType::kF32, {40, 16}, columns, Holds::kPersistent)
                                : device.Make(DType::kF32, sizes, rows, Holds::kPersistent),
                     {}};
    Clustering clustering("w", With(Form::kExact));
    Tape tape(device.context());
    const Value leaf = tape.Leaf(weight);
    const Value output = clustering.Apply(tape, transposed ? Transpose(leaf) : leaf);
    const Value g = tape.Constant(device.Make(DType::kF32, sizes, NormalWeights(2, 640, 1)));
    EXPECT_TRUE(tape.Backward(Sum(Mul(output, g))).ok()) << tape.status();
    std::vector<float> gradient = Read<float>(weight.gradient);
    std::vector<float> by_rows = gradient;
    for (std::size_t i = 0; transposed && i < 640; ++i) by_rows[i] = gradient[i % 40 * 16 + i / 40];
    return std::make_pair(ReadBytes(output.tensor()), by_rows);
  };
  EXPECT_EQ(run(false), run(true));
}

TEST(ExactForm, GivesTheSameBitsForAnyModeScheduleAndNumberOfThreads) {
  const Dims sizes = {700, 800};  // three pieces
  const auto run = [&](const tierlib::Options& device) {
    return Trainer(With(Form::kExact), device, DType::kF32, sizes).Run();
  };
  const auto options = [](OffloadMode mode, tierlib::Options from) {
    from.mode = mode;
    from.devices[0].capacity = MiB(64);
    return from;
  };
  const Trainer::Pass expected = run(options(OffloadMode::kOff, SmallOptions()));
  ASSERT_TRUE(expected.status.ok()) << expected.status;
  for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal}) {
    for (const int threads : {1, 2, 5}) {
      tierlib::Options device = options(mode, SmallOptions());
      device.devices[0].emulated.kernel_threads = threads;
      const Trainer::Pass pass = run(device);
      EXPECT_EQ(pass.output, expected.output) << pass.status;
      EXPECT_EQ(pass.gradient, expected.gradient);
    }
    const Trainer::Pass pass = run(options(mode, StrictOptions(3)));
    EXPECT_EQ(pass.output, expected.output) << pass.status;
    EXPECT_EQ(pass.gradient, expected.gradient);
  }
}

TEST(ExactForm, PalettizesAsTheTiledForm) {
  const Golden golden = ReadGolden("c03_bf16_d1_k8");
  TestDevice device;
  const std::vector<float> start(golden.start.begin(), golden.start.end());
  const std::vector<float> values(golden.weights.begin(), golden.weights.end());
  const Tensor weight = device.Make(DType::kF32, {golden.vectors}, values);
  Clustering clustering("w", With(Form::kExact));
  ASSERT_TRUE(clustering.Restore(device.context(), start, golden.tau).ok());
  const std::vector<float> hard = Read<float>(clustering.Palettize(device.context(), weight).value());
  std::vector<double> expected;
  for (const std::int32_t j : golden.hard) expected.push_back(golden.centroids[static_cast<std::size_t>(j)]);
  EXPECT_LT(LargestDifference(hard, expected), 1e-7 * Largest(expected));
  EXPECT_EQ(clustering.Centroids().value(), start);

  // Weights that another form rounds first are the same ones.
  dkm::Options tiled = With(Form::kTiled);
  tiled.round_to = DType::kBF16;
  Clustering other("w", tiled);
  ASSERT_TRUE(other.Restore(device.context(), start, golden.tau).ok());
  EXPECT_LT(LargestDifference(Read<float>(other.Palettize(device.context(), weight).value()), hard), 1e-6);
}

// --- What it saves and moves ----------------------------------------------------------------------------------------

// Mul saves G, a constant, for the gradient of W~. The weight and the centroids stay where they are.
TEST(ExactForm, MovesNothing) {
  Trainer trainer(With(Form::kExact));
  ASSERT_TRUE(trainer.Run().status.ok());
  const Ledger ledger = trainer.device().runtime().statistics().total;
  const std::uint64_t weight_bytes = 600 * sizeof(float);
  const std::uint64_t trajectory_bytes = (4 * 8 + 3 * 8 + 1 + 2) * sizeof(double);
  EXPECT_EQ(ledger.naive, weight_bytes + trajectory_bytes + weight_bytes);
  EXPECT_EQ(ledger.frees_nothing, weight_bytes + trajectory_bytes);
  EXPECT_EQ(ledger.moved, weight_bytes);
}

// A layer: x W~. Its product saves W~, which is made again from the weight instead of being copied.
TEST(ExactForm, ASavedOutputIsMadeAgainFromTheWeight) {
  struct Layer {
    std::vector<std::uint8_t> weight_gradient, x_gradient;
    Ledger ledger;
  };
  const auto run = [](OffloadMode mode, DType dtype, Form form, bool frozen = false) {
    tierlib::Options options = StrictOptions(7);
    options.mode = mode;
    options.devices[0].emulated.find_races = true;
    TestDevice device(options);
    Tape tape(device.context());
    const auto make = [&](const Dims& sizes, std::uint64_t seed, double scale) {
      const auto count = static_cast<std::size_t>(autograd::ElementsOf(sizes));
      const Tensor f32 = device.Make(DType::kF32, sizes, NormalWeights(seed, count, scale));
      Tape casts(device.context());
      casts.set_recording(false);
      return device.Make(dtype, sizes, ReadBytes(Cast(casts.Constant(f32), dtype).tensor()), Holds::kPersistent);
    };
    Parameter weight{"w", make({24, 40}, 1, 0.02), {}};
    Parameter x{"x", make({8, 24}, 2, 1), {}};
    dkm::Options dkm = With(form);
    dkm.round_to = DType::kBF16;
    Clustering clustering("w", dkm);
    Value loss;
    {
      const Value output = clustering.Apply(tape, frozen ? tape.Constant(weight.value) : tape.Leaf(weight));
      loss = Sum(MatMul(tape.Leaf(x), output));
    }
    Layer layer;
    layer.ledger = device.runtime().statistics().total;
    // The memory that W~ gave up is somebody else's by then.
    std::vector<Tensor> others;
    for (int i = 0; i < 16; ++i) others.push_back(device.Make(dtype, {24, 40}, std::vector<float>(960, 1)));
    EXPECT_TRUE(tape.Backward(loss).ok()) << tape.status();
    if (!frozen) layer.weight_gradient = ReadBytes(weight.gradient);
    layer.x_gradient = ReadBytes(x.gradient);
    layer.ledger.replayed = device.runtime().statistics().total.replayed;
    return layer;
  };
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    const std::uint64_t bytes = 960 * ElementBytes(dtype);
    const Layer off = run(OffloadMode::kOff, dtype, Form::kExact);
    const Layer moved = run(OffloadMode::kNaive, dtype, Form::kExact);
    const Layer marshal = run(OffloadMode::kMarshal, dtype, Form::kExact);
    EXPECT_EQ(marshal.ledger.avoided_lineage, bytes) << DTypeName(dtype);
    EXPECT_EQ(marshal.ledger.replayed, bytes);
    for (const Layer& one : {moved, marshal}) {
      EXPECT_EQ(one.weight_gradient, off.weight_gradient);
      EXPECT_EQ(one.x_gradient, off.x_gradient);
    }
    // Of a weight that does not learn nothing else is saved: the centroids are kept for the replay alone.
    const Layer frozen = run(OffloadMode::kMarshal, dtype, Form::kExact, /*frozen=*/true);
    EXPECT_EQ(frozen.ledger.avoided_lineage, bytes);
    EXPECT_EQ(frozen.ledger.replayed, bytes);
    EXPECT_EQ(frozen.x_gradient, off.x_gradient);
    // Those of a tiled form are too, and what it saves of rounded weights.
    const Layer tiled_off = run(OffloadMode::kOff, dtype, Form::kTiled);
    const Layer tiled = run(OffloadMode::kMarshal, dtype, Form::kTiled);
    EXPECT_EQ(tiled.ledger.avoided_lineage, dtype == DType::kF32 ? 2 * bytes : bytes);
    EXPECT_GE(tiled.ledger.replayed, bytes);
    EXPECT_EQ(tiled.weight_gradient, tiled_off.weight_gradient);
    EXPECT_EQ(tiled.x_gradient, tiled_off.x_gradient);
  }
}

// --- What it cannot take --------------------------------------------------------------------------------------------

TEST(ExactForm, NamesAWeightThatRoundsToInfinity) {
  for (const Form form : {Form::kExact, Form::kTiled}) {
    dkm::Options options = With(form);
    options.round_to = DType::kF16;
    Trainer trainer(options);
    ASSERT_TRUE(trainer.Run().status.ok());
    std::vector<float> values = Read<float>(trainer.weight.value);
    values[308] = 70000;
    ASSERT_TRUE(trainer.weight.value.CopyFromHost(values.data(), values.size() * sizeof(float)).ok());
    EXPECT_TRUE(trainer.Run().status.ok());  // the stream does not stop
    ExpectFailure(trainer.Run().status, "weight layer.w: value 308, at [12,8], is NaN or infinite once rounded to f16");

    Clustering fresh("layer.w", options);
    Tape tape(trainer.context());
    EXPECT_FALSE(fresh.Apply(tape, tape.Leaf(trainer.weight)).defined());
    ExpectFailure(tape.status(), "value 308, at [12,8], is NaN or infinite once rounded to f16");
  }
}

TEST(ExactForm, NamesAWeightOfSixteenBitsThatIsNotFinite) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    Trainer trainer(dkm::Options{.form = Form::kExact}, SmallOptions(), dtype);
    ASSERT_TRUE(trainer.Run().status.ok());
    std::vector<std::uint16_t> bits(600);
    ASSERT_TRUE(trainer.weight.value.CopyToHost(bits.data(), bits.size() * sizeof(bits[0])).ok());
    bits[599] = 0xffff;
    bits[41] = dtype == DType::kBF16 ? 0x7f80 : 0x7c00;
    ASSERT_TRUE(trainer.weight.value.CopyFromHost(bits.data(), bits.size() * sizeof(bits[0])).ok());
    EXPECT_TRUE(trainer.Run().status.ok());
    ExpectFailure(trainer.Run().status, "weight layer.w: value 41, at [1,16], is NaN or infinite");
  }
}

}  // namespace
}  // namespace tierlib::dkm
