// Groups of output channels and scales of channels: what they are made of, from step to step, by any number of threads,
// and what is said of weights that they do not fit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "comm/learners.h"
#include "dkm/trainer.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {
namespace {

const Form kForms[] = {Form::kTiled, Form::kExact, Form::kReference, Form::kPaper};

dkm::Options Grouped(Form form, std::int64_t group_rows, ChannelScale scale = ChannelScale::kNone) {
  dkm::Options options = With(form);
  options.bits = 2;
  options.group_rows = group_rows;
  options.per_channel_scale = scale;
  return options;
}

std::vector<float> Hard(Trainer& trainer) {
  const StatusOr<Tensor> hard = trainer.clustering.Palettize(trainer.context(), trainer.weight.value);
  EXPECT_TRUE(hard.ok()) << hard.status();
  return hard.ok() ? Read<float>(*hard) : std::vector<float>();
}

// --- Each group is a weight of its own ------------------------------------------------------------------------------

// The rows [begin, end) of a trainer's problem as one that has nothing else.
struct Part {
  std::vector<float> output, gradient, centroids, hard;
};
Part Alone(const dkm::Options& options, const std::vector<float>& weights, const std::vector<float>& gradient,
           std::int64_t columns, std::int64_t begin, std::int64_t end) {
  TestDevice device;
  const Dims sizes = {end - begin, columns};
  const auto rows = [&](const std::vector<float>& all) {
    return std::vector<float>(all.begin() + begin * columns, all.begin() + end * columns);
  };
  Parameter weight{"w", device.Make(DType::kF32, sizes, rows(weights), Holds::kPersistent), {}};
  Clustering clustering("w", options);
  Tape tape(device.context());
  const Value output = clustering.Apply(tape, tape.Leaf(weight));
  EXPECT_TRUE(tape.Backward(Sum(Mul(output, tape.Constant(device.Make(DType::kF32, sizes, rows(gradient)))))).ok());
  clustering.Advance();
  return {Read<float>(output.tensor()), Read<float>(weight.gradient), clustering.Centroids().value(),
          Read<float>(clustering.Palettize(device.context(), weight.value).value())};
}

template <typename T>
void Append(const std::vector<T>& part, std::vector<T>& whole) {
  whole.insert(whole.end(), part.begin(), part.end());
}

// To the bit: 24 rows in groups of 7, the last one of 3.
TEST(ClusteringGroups, EachIsClusteredAsIfItWereAlone) {
  const std::vector<float> weights = NormalWeights(1, 600), gradient = NormalWeights(2, 600, 1);
  for (const Form form : kForms) {
    for (const int dim : {1, 5}) {
      if (form == Form::kExact && dim != 1) continue;
      for (const DType table : {DType::kF32, DType::kI8}) {
        dkm::Options options = Grouped(form, 7);
        options.cluster_dim = dim;
        options.tau = 1e-5;
        options.table = table;
        if (dim == 1 && table == DType::kI8) options.start = Start::kExact;
        Trainer whole(options);
        const Trainer::Pass pass = whole.Run();
        ASSERT_TRUE(pass.status.ok()) << pass.status;
        whole.clustering.Advance();
        Part parts;
        for (std::int64_t group = 0; group < 4; ++group) {
          dkm::Options own = options;
          own.group_rows = 0;
          own.seed += static_cast<std::uint64_t>(group);
          const Part part = Alone(own, weights, gradient, 25, group * 7, std::min<std::int64_t>(group * 7 + 7, 24));
          Append(part.output, parts.output);
          Append(part.gradient, parts.gradient);
          Append(part.centroids, parts.centroids);
          Append(part.hard, parts.hard);
        }
        EXPECT_EQ(AsFloats(pass.output), parts.output) << static_cast<int>(form);
        EXPECT_EQ(AsFloats(pass.gradient), parts.gradient);
        EXPECT_EQ(whole.clustering.Centroids().value(), parts.centroids);
        EXPECT_EQ(Hard(whole), parts.hard);
      }
    }
  }
}

TEST(ClusteringGroups, OneGroupForAllRowsIsNoGroups) {
  for (const std::int64_t group_rows : {24, 25, 1000}) {
    Trainer grouped(Grouped(Form::kTiled, group_rows)), plain(Grouped(Form::kTiled, 0));
    EXPECT_EQ(grouped.Run().gradient, plain.Run().gradient);
    EXPECT_EQ(Hard(grouped), Hard(plain));
  }
  // A vector is one row, whatever its length.
  Trainer vector(Grouped(Form::kTiled, 1), SmallOptions(), DType::kF32, {600});
  ASSERT_TRUE(vector.Run().status.ok());
  EXPECT_EQ(vector.clustering.Centroids().value().size(), 4u);
}

// More iterations than any needs, so that groups end at different ones.
TEST(ClusteringGroups, EachEndsItsOwnIterations) {
  for (const Form form : {Form::kTiled, Form::kExact}) {
    dkm::Options options = Grouped(form, 7);
    options.iterations = 60;
    options.epsilon = 3e-5;
    options.tau = 1e-5;
    Trainer grouped(options);
    ASSERT_TRUE(grouped.Run().status.ok());
    int most = 0, least = 100;
    for (std::int64_t group = 0; group < 4; ++group) {
      dkm::Options own = options;
      own.group_rows = 0;
      own.seed += static_cast<std::uint64_t>(group);
      TestDevice device;
      const std::vector<float> all = NormalWeights(1, 600);
      const std::int64_t rows = group < 3 ? 7 : 3;
      const std::vector<float> values(all.begin() + group * 175, all.begin() + group * 175 + rows * 25);
      Clustering alone("w", own);
      ASSERT_TRUE(alone.Palettize(device.context(), device.Make(DType::kF32, {rows, 25}, values)).ok());
      ASSERT_TRUE(device.runtime().Synchronize(device.context().stream()).ok());
      most = std::max(most, alone.IterationsRun());
      least = std::min(least, alone.IterationsRun());
    }
    EXPECT_EQ(grouped.clustering.IterationsRun(), most);
    EXPECT_LT(least, most) << "the test shows nothing";
  }
}

// --- Scales ---------------------------------------------------------------------------------------------------------

// Rows of very different size: with scales one table serves all of them.
TEST(ClusteringScale, MakesRowsOfDifferentSizeEqual) {
  for (const Form form : kForms) {
    for (const ChannelScale scale : {ChannelScale::kAbs, ChannelScale::kMinMax}) {
      dkm::Options options = Grouped(form, 0, scale);
      Trainer trainer(options);
      std::vector<float> values = Read<float>(trainer.weight.value);
      std::vector<float> even = values;
      for (std::size_t i = 0; i < values.size(); ++i) values[i] *= std::exp2(static_cast<float>(i / 25) - 12);
      ASSERT_TRUE(trainer.weight.value.CopyFromHost(values.data(), values.size() * sizeof(float)).ok());
      Trainer unscaled(options);
      const Trainer::Pass a = trainer.Run(), b = unscaled.Run();
      ASSERT_TRUE(a.status.ok()) << a.status;
      // Powers of two change nothing but exponents.
      std::vector<float> expected = AsFloats(b.output);
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] *= std::exp2(static_cast<float>(i / 25) - 12);
      EXPECT_EQ(AsFloats(a.output), expected) << static_cast<int>(form);
      EXPECT_EQ(trainer.clustering.Centroids().value(), unscaled.clustering.Centroids().value());
      EXPECT_EQ(trainer.clustering.tau(), unscaled.clustering.tau());
    }
  }
}

TEST(ClusteringScale, StaysThatOfTheStart) {
  Trainer trainer(Grouped(Form::kTiled, 0, ChannelScale::kAbs));
  ASSERT_TRUE(trainer.Run().status.ok());
  const std::vector<float> scales = trainer.clustering.ChannelScales().value();
  ASSERT_EQ(scales.size(), 24u);
  const std::vector<float> values = Read<float>(trainer.weight.value);
  for (std::size_t row = 0; row < 24; ++row) {
    float largest = 0;
    for (std::size_t i = row * 25; i < row * 25 + 25; ++i) largest = std::max(largest, std::abs(values[i]));
    EXPECT_EQ(scales[row], largest);
  }
  trainer.Scale(3);
  trainer.clustering.Advance();
  ASSERT_TRUE(trainer.Run().status.ok());
  EXPECT_EQ(trainer.clustering.ChannelScales().value(), scales);
  EXPECT_TRUE(Trainer(Grouped(Form::kTiled, 0)).clustering.ChannelScales().value().empty());
}

// A row of zeros, or with kMinMax of one value, has scale 1.
TEST(ClusteringScale, IsOneWhereItWouldBeZero) {
  for (const Form form : kForms) {
    Trainer trainer(Grouped(form, 0, ChannelScale::kMinMax));
    std::vector<float> values = Read<float>(trainer.weight.value);
    std::fill(values.begin(), values.begin() + 25, 0.0f);
    std::fill(values.begin() + 25, values.begin() + 50, 0.5f);
    ASSERT_TRUE(trainer.weight.value.CopyFromHost(values.data(), values.size() * sizeof(float)).ok());
    const Trainer::Pass pass = trainer.Run();
    ASSERT_TRUE(pass.status.ok()) << pass.status;
    EXPECT_EQ(trainer.clustering.ChannelScales().value()[0], 1.0f);
    EXPECT_EQ(trainer.clustering.ChannelScales().value()[1], 1.0f);
    for (const float value : AsFloats(pass.gradient)) ASSERT_TRUE(std::isfinite(value));
  }
}

// Weights of 16 bits: quotients have 32, unless round_to rounds them.
TEST(ClusteringScale, TakesWeightsOfSixteenBits) {
  for (const Form form : {Form::kTiled, Form::kExact}) {
    for (const DType dtype : {DType::kBF16, DType::kF16}) {
      dkm::Options options = Grouped(form, 5, ChannelScale::kAbs);
      options.round_to = form == Form::kExact ? std::optional<DType>(dtype) : std::nullopt;
      Trainer narrow(options, SmallOptions(), dtype);
      const Trainer::Pass pass = narrow.Run();
      ASSERT_TRUE(pass.status.ok()) << pass.status;
      Trainer wide(options);
      Tape tape(narrow.context());
      const std::vector<float> values = Read<float>(Cast(tape.Constant(narrow.weight.value), DType::kF32).tensor());
      ASSERT_TRUE(wide.weight.value.CopyFromHost(values.data(), values.size() * sizeof(float)).ok());
      const Trainer::Pass other = wide.Run();
      ASSERT_TRUE(other.status.ok()) << other.status;
      const Tensor output = wide.device().Make(DType::kF32, {24, 25}, AsFloats(other.output));
      Tape casts(wide.context());
      EXPECT_EQ(ReadBytes(Cast(casts.Constant(output), dtype).tensor()), pass.output);
    }
  }
}

// --- Bits that do not depend on how it is run -----------------------------------------------------------------------

TEST(ClusteringGroups, RestoringGivesTheSameBitsAsNotStopping) {
  for (const Form form : kForms) {
    const dkm::Options options = Grouped(form, 7, ChannelScale::kMinMax);
    Trainer whole(options);
    ASSERT_TRUE(whole.Run().status.ok());
    whole.clustering.Advance();
    whole.Scale(0.98f);
    Trainer stopped(options);
    stopped.Scale(0.98f);
    ASSERT_TRUE(stopped.clustering
                    .Restore(stopped.context(), whole.clustering.Centroids().value(), whole.clustering.tau(),
                             whole.clustering.ChannelScales().value())
                    .ok());
    for (int step = 0; step < 2; ++step) {
      const Trainer::Pass a = whole.Run(), b = stopped.Run();
      ASSERT_TRUE(b.status.ok()) << b.status;
      EXPECT_EQ(a.output, b.output);
      EXPECT_EQ(a.gradient, b.gradient);
      whole.clustering.Advance();
      stopped.clustering.Advance();
      EXPECT_EQ(Hard(whole), Hard(stopped));
    }
  }
}

TEST(ClusteringGroups, GiveTheSameBitsForAnyModeScheduleAndNumberOfThreads) {
  for (const Form form : {Form::kTiled, Form::kExact, Form::kReference}) {
    dkm::Options options = Grouped(form, 3, ChannelScale::kAbs);
    options.attention_floor = 1e-7;
    options.prune_threshold = 1e-7;
    const auto run = [&](OffloadMode mode, tierlib::Options device, int threads) {
      device.mode = mode;
      device.devices[0].emulated.kernel_threads = threads;
      return Trainer(options, device, DType::kF32, {40, 101}).Run();
    };
    const Trainer::Pass expected = run(OffloadMode::kOff, SmallOptions(), 1);
    ASSERT_TRUE(expected.status.ok()) << expected.status;
    for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal}) {
      for (const int threads : {1, 2, 5}) {
        const Trainer::Pass pass = run(mode, SmallOptions(), threads);
        EXPECT_EQ(pass.output, expected.output) << pass.status;
        EXPECT_EQ(pass.gradient, expected.gradient);
      }
      const Trainer::Pass pass = run(mode, StrictOptions(5), 2);
      EXPECT_EQ(pass.output, expected.output) << pass.status;
      EXPECT_EQ(pass.gradient, expected.gradient);
    }
  }
}

// A layer x W~, whose product saves W~: it is made again from the weight, through the scales and the tables.
TEST(ClusteringGroups, ASavedOutputIsMadeAgainFromTheWeight) {
  const auto run = [](OffloadMode mode, ChannelScale scale) {
    tierlib::Options device_options = StrictOptions(7);
    device_options.mode = mode;
    TestDevice device(device_options);
    Tape tape(device.context());
    Parameter weight{"w", device.Make(DType::kF32, {24, 40}, NormalWeights(1, 960), Holds::kPersistent), {}};
    Parameter x{"x", device.Make(DType::kF32, {8, 24}, NormalWeights(2, 192, 1), Holds::kPersistent), {}};
    Clustering clustering("w", Grouped(Form::kExact, 7, scale));
    Value loss;
    { loss = Sum(MatMul(tape.Leaf(x), clustering.Apply(tape, tape.Leaf(weight)))); }
    const Ledger ledger = device.runtime().statistics().total;
    EXPECT_TRUE(tape.Backward(loss).ok()) << tape.status();
    return std::make_tuple(Read<float>(weight.gradient), Read<float>(x.gradient), ledger.avoided_lineage);
  };
  for (const ChannelScale scale : {ChannelScale::kNone, ChannelScale::kAbs}) {
    const auto [weight, x, none] = run(OffloadMode::kOff, scale);
    const auto [moved_weight, moved_x, of_naive] = run(OffloadMode::kNaive, scale);
    const auto [made_weight, made_x, avoided] = run(OffloadMode::kMarshal, scale);
    EXPECT_EQ(moved_weight, weight);
    EXPECT_EQ(made_weight, weight);
    EXPECT_EQ(made_x, x);
    EXPECT_EQ(moved_x, x);
    // W~, and with scales the quotient that the form saves.
    EXPECT_EQ(avoided, (scale == ChannelScale::kNone ? 1u : 2u) * 960 * sizeof(float));
    EXPECT_EQ(none + of_naive, 0u);
  }
}

// --- What is saved --------------------------------------------------------------------------------------------------

// Beside the weight, that stays, and G, which the product saves: for each group the centroids and masses of T
// iterations.
TEST(ClusteringGroups, SaveTheirCentroidsAlone) {
  for (const Form form : {Form::kTiled, Form::kExact}) {
    for (const std::uint64_t groups : {1, 4, 24}) {
      Trainer trainer(Grouped(form, groups == 1 ? 0 : groups == 4 ? 7 : 1));
      ASSERT_TRUE(trainer.Run().status.ok());
      const Ledger ledger = trainer.device().runtime().statistics().total;
      const std::uint64_t weight_bytes = 600 * sizeof(float);
      const std::uint64_t group_bytes =
          form == Form::kTiled ? (4 * 4 + 3 * 4 + 1) * sizeof(float) : (4 * 4 + 3 * 4 + 1 + 2) * sizeof(double);
      EXPECT_EQ(ledger.naive, 2 * weight_bytes + groups * group_bytes);
      // They stay on the device, as W~ is made from them; those of the tiled form only where they are small beside it.
      const bool stay = form == Form::kExact || groups < 24;
      EXPECT_EQ(ledger.moved, weight_bytes + (stay ? 0 : groups * group_bytes));
    }
  }
}

struct Kept {
  Bytes output, gradient;
  std::uint64_t moved = 0;
  Status status;
};
Kept KeptBy(dkm::Options options, OffloadMode mode, comm::Communicator* learners) {
  tierlib::Options device = SmallOptions();
  device.mode = mode;
  options.learners = learners;
  Trainer trainer(options, device, DType::kBF16, {48, 700});
  const Trainer::Pass pass = trainer.Run();
  return {pass.output, pass.gradient, trainer.device().runtime().statistics().total.moved, pass.status};
}

TEST(ClusteringUniquify, KeepsLessAndChangesNoBit) {
  struct Case {
    Form form;
    std::int64_t group_rows;
    OffloadMode mode;
  };
  const Case cases[] = {{Form::kPaper, 24, OffloadMode::kMarshal},
                        {Form::kPaper, 0, OffloadMode::kNaive},
                        {Form::kReference, 24, OffloadMode::kNaive}};
  for (const auto& [form, group_rows, mode] : cases) {
    dkm::Options options = Grouped(form, group_rows);
    options.iterations = 2;
    options.prune_threshold = 1e-6;
    if (form == Form::kReference) options.per_channel_scale = ChannelScale::kMinMax;
    const Kept plain = KeptBy(options, mode, nullptr);
    ASSERT_TRUE(plain.status.ok()) << plain.status;
    options.uniquify = true;
    const Kept unique = KeptBy(options, mode, nullptr);
    EXPECT_EQ(unique.output, plain.output) << unique.status;
    EXPECT_EQ(unique.gradient, plain.gradient);
    EXPECT_LT(static_cast<double>(unique.moved), 0.8 * static_cast<double>(plain.moved)) << group_rows;
    const auto run = [&](std::unique_ptr<comm::Communicator>& me) { return KeptBy(options, mode, me.get()); };
    for (const Kept& each : comm::RunLearners<Kept>(2, comm::kLongNs, run)) {
      EXPECT_EQ(each.output, plain.output) << each.status;
      EXPECT_EQ(each.gradient, plain.gradient);
      EXPECT_LE(each.moved, unique.moved) << "small tables are kept whole";
    }
    if (TIERLIB_RANDOM_SCALE > 1) break;
  }
}

// --- What does not fit ----------------------------------------------------------------------------------------------

Status StatusOf(const dkm::Options& options, const Dims& sizes = {8, 8}, DType dtype = DType::kF32) {
  TestDevice device;
  Tape tape(device.context());
  Clustering clustering("layer.w", options);
  const Tensor weight = Tensor::Zeros(device.context(), dtype, sizes, Holds::kPersistent, "w").value();
  EXPECT_FALSE(clustering.Apply(tape, tape.Constant(weight)).defined());
  return tape.status();
}

TEST(ClusteringGroups, NamesWhatDoesNotFit) {
  ExpectFailure(StatusOf({.group_rows = -1}), "group_rows are at least 1, or 0 for all, not -1");
  ExpectFailure(
      StatusOf({.bits = 4, .group_rows = 1}),
      "layer.w f32[8,8]{8,1}+0: a group of 1 of its 8 rows has 8 vectors, fewer than the 16 clusters of 4 bits");
  ExpectFailure(StatusOf({.bits = 4, .group_rows = 3}, {7, 8}), "a group of 1 of its 7 rows has 8 vectors");
  ExpectFailure(StatusOf({.bits = 1, .cluster_dim = 2, .group_rows = 3}, {6, 5}),
                "a group of 3 of its 6 rows cannot be cut into vectors of 2");
  ExpectFailure(StatusOf({.bits = 1, .cluster_dim = 2, .group_rows = 4}, {7, 5}),
                "a group of 3 of its 7 rows cannot be cut into vectors of 2");
  ExpectFailure(StatusOf({.bits = 1, .group_rows = 1}, {4, 0}), "has 0 vectors");
  dkm::Options exact{.form = Form::kExact};
  exact.per_channel_scale = ChannelScale::kAbs;
  ExpectFailure(
      StatusOf(exact, {8, 8}, DType::kBF16),
      "layer.w bf16[8,8]{8,1}+0 has more than 16 bits once it is scaled, and form exact needs 16: set round_to");
}

TEST(ClusteringCompatibility, RefusesWhatCannotBe) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  ExpectFailure(StatusOf({.attention_floor = -1e-7}), "attention_floor is from 0, for none, to below 1, not");
  ExpectFailure(StatusOf({.attention_floor = 1}), "attention_floor");
  ExpectFailure(StatusOf({.attention_floor = kNan}), "attention_floor");
  ExpectFailure(StatusOf({.prune_threshold = -1e-7}), "prune_threshold is positive, or 0 for none, not");
  ExpectFailure(StatusOf({.prune_threshold = kNan}), "prune_threshold");
  ExpectFailure(StatusOf({.uniquify = true}), "uniquify is for the maps of a dense form: use form reference or paper");
  ExpectFailure(StatusOf({.form = Form::kExact, .uniquify = true}, {8, 8}, DType::kBF16), "uniquify");
  ExpectFailure(StatusOf({.cluster_dim = 2, .form = Form::kPaper, .uniquify = true}), "uniquify takes cluster_dim 1");
}

TEST(ClusteringGroups, RefusesCentroidsAndScalesOfAnotherWeight) {
  Trainer trainer(Grouped(Form::kTiled, 7, ChannelScale::kAbs));
  const auto restore = [&](std::size_t centroids, const std::vector<float>& scales) {
    return trainer.clustering.Restore(trainer.context(), std::vector<float>(centroids, 0.5f), 1e-5, scales);
  };
  const std::vector<float> scales(24, 1.0f);
  ExpectFailure(restore(17, scales), "weight layer.w: 17 values restored as 4 centroids of 1 for each group");
  ExpectFailure(restore(0, scales), "0 values restored as 4 centroids");
  ExpectFailure(restore(16, {}), "0 scales of channels restored with per_channel_scale");
  ExpectFailure(restore(16, std::vector<float>(24, 0.0f)), "a restored scale is not a positive number");
  ExpectFailure(restore(16, std::vector<float>(24, INFINITY)), "a restored scale is not a positive number");
  ASSERT_TRUE(restore(12, scales).ok());
  ExpectFailure(trainer.Run().status, "has 4 groups of 4 clusters, not the 12 centroids that it is to start from");
  ASSERT_TRUE(restore(16, std::vector<float>(23, 1.0f)).ok());
  ExpectFailure(trainer.Run().status, "has 24 rows, not the 23 that there are scales for");
  ASSERT_TRUE(restore(16, scales).ok());
  EXPECT_TRUE(trainer.Run().status.ok());
  Trainer plain(Grouped(Form::kTiled, 0));
  ExpectFailure(plain.clustering.Restore(plain.context(), std::vector<float>(8, 0.5f), 1e-5), "8 values restored");
  ExpectFailure(plain.clustering.Restore(plain.context(), std::vector<float>(4, 0.5f), 1e-5, scales),
                "24 scales of channels restored without per_channel_scale");
}

TEST(ClusteringGroups, NameTheFirstValueThatIsNotFinite) {
  for (const Form form : kForms) {
    for (const ChannelScale scale : {ChannelScale::kNone, ChannelScale::kAbs}) {
      Trainer trainer(Grouped(form, 7, scale));
      ASSERT_TRUE(trainer.Run().status.ok());
      std::vector<float> values = Read<float>(trainer.weight.value);
      values[313] = std::numeric_limits<float>::infinity();
      values[599] = std::numeric_limits<float>::quiet_NaN();
      ASSERT_TRUE(trainer.weight.value.CopyFromHost(values.data(), values.size() * sizeof(float)).ok());
      EXPECT_TRUE(trainer.Run().status.ok());  // the stream does not stop
      ExpectFailure(trainer.Run().status, "weight layer.w: value 313, at [12,13], is NaN or infinite");
      Clustering fresh("layer.w", Grouped(form, 7, scale));
      Tape tape(trainer.context());
      EXPECT_FALSE(fresh.Apply(tape, tape.Leaf(trainer.weight)).defined());
      ExpectFailure(tape.status(), "weight layer.w: value 313, at [12,13], is NaN or infinite");
    }
  }
}

// --- What is told ---------------------------------------------------------------------------------------------------

TEST(ClusteringGroups, CountTheirTablesAndScales) {
  dkm::Options options;
  options.group_rows = 7;
  EXPECT_DOUBLE_EQ(Clustering("w", options).BitsPerWeight(Dims{24, 25}), 3 + 4 * 8 * 32 / 600.0);
  EXPECT_DOUBLE_EQ(Clustering("w", options).BitsPerWeight(600), 3 + 8 * 32 / 600.0) << "one row";
  options.per_channel_scale = ChannelScale::kAbs;
  options.table = DType::kI8;
  EXPECT_DOUBLE_EQ(Clustering("w", options).BitsPerWeight(Dims{24, 25}), 3 + (4 * (8 * 8 + 32) + 24 * 32) / 600.0);
}

TEST(ClusteringGroups, ChooseTheFormByTheirSize) {
  const auto chosen = [](std::int64_t group_rows) {
    dkm::Options options = Grouped(Form::kAuto, group_rows);
    Trainer trainer(options, SmallOptions(), DType::kBF16, {8, 8192});
    EXPECT_TRUE(trainer.Run().status.ok());
    return trainer.clustering.form();
  };
  EXPECT_EQ(chosen(0), Form::kExact);
  EXPECT_EQ(chosen(2), Form::kExact);
  EXPECT_EQ(chosen(1), Form::kTiled) << "8,192 weights";
}

// The bias of centroid 0 counts where weights are assigned, too.
TEST(ClusteringCompatibility, PalettizeLowersTheDistanceToCentroidZero) {
  for (const Form form : {Form::kTiled, Form::kExact}) {
    for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
      dkm::Options options = With(form, Attention::kLast, metric);
      options.bits = 1;
      options.iterations = 1;
      options.tau = 1e-6;
      // Distances from 0.34375 to -1 and 1 are 1.34375 and 0.65625; of their squares the first is 1.375 larger.
      const std::vector<float> weights = {-1, -1, -1, 1, 1, 1, 0.34375f};
      const auto last = [&](double threshold) {
        TestDevice device;
        options.prune_threshold = threshold;
        Clustering clustering("w", options);
        EXPECT_TRUE(clustering.Restore(device.context(), {-1, 1}, 1e-6).ok());
        const std::vector<float> hard =
            Read<float>(clustering.Palettize(device.context(), device.Make(DType::kF32, {7}, weights)).value());
        return hard[6] == hard[0];
      };
      const double border = metric == Metric::kSquared ? 1.375 : 0.6875;
      EXPECT_FALSE(last(0));
      EXPECT_FALSE(last(0.5 * border));
      EXPECT_TRUE(last(1.5 * border));
    }
  }
}

}  // namespace
}  // namespace tierlib::dkm
