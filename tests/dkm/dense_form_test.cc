// The dense forms as Clustering runs them: what a layer saves of W~ is made again from the weight, to the bit.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dkm/trainer.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {
namespace {

constexpr std::int64_t kRows = 24, kColumns = 40;

struct Layer {
  Bytes output;       // W~^T as forward made it
  Bytes in_backward;  // as backward had it
  Bytes weight_gradient;
  Ledger ledger;
  Status status;
};

// sum(I * (x W~)): the gradient of x is I W~^T, whose products are with 0 and 1 and lose no bit.
Layer RunLayer(OffloadMode mode, DType dtype, const dkm::Options& options, bool frozen, int threads = 2,
               std::int64_t rows = kRows) {
  tierlib::Options device_options = StrictOptions(7);
  device_options.mode = mode;
  device_options.devices[0].emulated.find_races = true;
  device_options.devices[0].emulated.kernel_threads = threads;
  TestDevice device(device_options);
  Tape tape(device.context());
  Tape plain(device.context());
  plain.set_recording(false);
  const auto make = [&](const Dims& sizes, const std::vector<float>& values) {
    return device.Make(dtype, sizes,
                       ReadBytes(Cast(plain.Constant(device.Make(DType::kF32, sizes, values)), dtype).tensor()),
                       Holds::kPersistent);
  };
  const auto count = static_cast<std::size_t>(rows * kColumns);
  std::vector<float> diagonal(kColumns * kColumns);
  for (std::size_t i = 0; i < kColumns; ++i) diagonal[i * kColumns + i] = 1;
  Parameter weight{"w", make({rows, kColumns}, NormalWeights(1, count)), {}};
  Parameter x{"x", make({kColumns, rows}, NormalWeights(2, count, 1)), {}};
  const Value picks = tape.Constant(make({kColumns, kColumns}, diagonal));
  Clustering clustering("w", options);
  Layer layer;
  Value loss;
  {
    const Value output = clustering.Apply(tape, frozen ? tape.Constant(weight.value) : tape.Leaf(weight));
    if (output.defined()) layer.output = ReadBytes(Contiguous(Transpose(plain.Constant(output.tensor()))).tensor());
    loss = Sum(Mul(MatMul(tape.Leaf(x), output), picks));
  }
  layer.ledger = device.runtime().statistics().total;
  // The memory that W~ gave up is somebody else's by then.
  std::vector<Tensor> others;
  for (int i = 0; i < 64; ++i)
    others.push_back(device.Make(dtype, {rows, kColumns}, Bytes(count * ElementBytes(dtype), 0x3F)));
  layer.status = tape.Backward(loss);
  if (!layer.status.ok()) return layer;
  layer.in_backward = ReadBytes(x.gradient);
  if (!frozen) layer.weight_gradient = ReadBytes(weight.gradient);
  layer.ledger.replayed = device.runtime().statistics().total.replayed;
  return layer;
}

dkm::Options DenseOptions(Form form, int dim = 1) {
  dkm::Options options;
  options.form = form;
  options.bits = 3;
  options.cluster_dim = dim;
  return options;
}

std::string Describe(const dkm::Options& o, DType dtype) {
  return std::string(o.form == Form::kPaper ? "paper " : "reference ") + DTypeName(dtype) + ", d " +
         std::to_string(o.cluster_dim) + ", metric " + std::to_string(static_cast<int>(o.metric)) + ", attention " +
         std::to_string(static_cast<int>(o.attention)) + ", floor " + std::to_string(o.attention_floor) + ", prune " +
         std::to_string(o.prune_threshold) + ", group_rows " + std::to_string(o.group_rows);
}

void ExpectMadeAgain(const dkm::Options& options, DType dtype, std::int64_t rows = kRows) {
  SCOPED_TRACE(Describe(options, dtype));
  const std::uint64_t bytes = static_cast<std::uint64_t>(rows * kColumns) * ElementBytes(dtype);
  for (const int threads : {1, 3}) {
    if (TIERLIB_RANDOM_SCALE > 1 && threads == 1) continue;  // takes long in a sanitizer build
    const Layer layer = RunLayer(OffloadMode::kMarshal, dtype, options, /*frozen=*/true, threads, rows);
    ASSERT_TRUE(layer.status.ok()) << layer.status;
    EXPECT_EQ(layer.ledger.avoided_lineage, bytes);  // of a weight that does not learn nothing else is saved
    EXPECT_EQ(layer.ledger.replayed, bytes);
    EXPECT_TRUE(layer.in_backward == layer.output);
  }
}

class EachForm : public testing::TestWithParam<Form> {};

TEST_P(EachForm, ASavedOutputIsMadeAgainFromTheWeight) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64}) {
    for (const int dim : {1, 2}) {
      for (const Metric metric : {Metric::kSquared, Metric::kEuclidean}) {
        for (const Attention attention : {Attention::kLast, Attention::kRecomputed}) {
          dkm::Options options = DenseOptions(GetParam(), dim);
          options.metric = metric;
          options.attention = attention;
          ExpectMadeAgain(options, dtype);
        }
      }
    }
  }
}

TEST_P(EachForm, ASavedOutputIsMadeAgainThroughEveryOption) {
  dkm::Options clamped = DenseOptions(GetParam());
  clamped.attention_floor = 1e-3;
  dkm::Options pruned = DenseOptions(GetParam());
  pruned.prune_threshold = 1e-4;
  dkm::Options grouped = DenseOptions(GetParam());
  grouped.group_rows = 7;
  grouped.bits = 2;
  dkm::Options one = DenseOptions(GetParam());
  one.iterations = 1;
  for (const dkm::Options& options : {clamped, pruned, grouped, one}) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) ExpectMadeAgain(options, dtype);
  }
}

// More than one tile of a replay and of the product, and a last one that is not full.
TEST_P(EachForm, ASavedOutputIsMadeAgainOverManyTiles) {
  for (const int bits : {1, 5}) {
    dkm::Options options = DenseOptions(GetParam());
    options.bits = bits;
    ExpectMadeAgain(options, DType::kF32, 421);
    ExpectMadeAgain(options, DType::kBF16, 421);
  }
}

TEST_P(EachForm, ModesAndKeepersOfMapsChangeNoBit) {
  const Layer off = RunLayer(OffloadMode::kOff, DType::kBF16, DenseOptions(GetParam()), /*frozen=*/false);
  ASSERT_TRUE(off.status.ok()) << off.status;
  EXPECT_TRUE(off.in_backward == off.output);
  EXPECT_EQ(off.ledger.avoided_lineage, 0u);
  for (const bool uniquify : {false, true}) {
    for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal}) {
      dkm::Options options = DenseOptions(GetParam());
      options.uniquify = uniquify;
      const Layer layer = RunLayer(mode, DType::kBF16, options, /*frozen=*/false);
      ASSERT_TRUE(layer.status.ok()) << layer.status;
      EXPECT_TRUE(layer.in_backward == off.in_backward);
      EXPECT_TRUE(layer.weight_gradient == off.weight_gradient);
      if (mode == OffloadMode::kMarshal) {
        // W~, and the attention of each iteration that the paper's clamp is made again from.
        const std::uint64_t maps = GetParam() == Form::kPaper && !uniquify ? 3 * 8 : 0;
        EXPECT_EQ(layer.ledger.avoided_lineage, (1 + maps) * off.output.size());
      }
    }
  }
}

// As many centroids as would be half of the weight: W~ itself is kept.
TEST_P(EachForm, AnOutputThatIsSmallBesideItsCentroidsIsMoved) {
  dkm::Options options = DenseOptions(GetParam());
  options.bits = 8;
  const Layer layer = RunLayer(OffloadMode::kMarshal, DType::kF32, options, /*frozen=*/true);
  ASSERT_TRUE(layer.status.ok()) << layer.status;
  EXPECT_EQ(layer.ledger.avoided_lineage, 0u);
  EXPECT_GE(layer.ledger.moved, layer.output.size());
  EXPECT_TRUE(layer.in_backward == layer.output);
}

INSTANTIATE_TEST_SUITE_P(Dense, EachForm, testing::Values(Form::kReference, Form::kPaper),
                         [](const auto& form) { return form.param == Form::kPaper ? "Paper" : "Reference"; });

}  // namespace
}  // namespace tierlib::dkm
