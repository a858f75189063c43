// What backward keeps: the figures that PyTorch's ops give for the same models (counted by its saved-tensor hooks), and
// the ledger against the tape's own count. Devices without bytes behind them: only sizes matter.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "autograd/test_device.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

Options ShapeOnly(OffloadMode mode, int hop_limit) {
  Options options;
  options.devices[0].capacity = GiB(8);
  options.devices[0].emulated.schedule = EmulatedSchedule::kShapeOnly;
  options.pinned_limit = GiB(4);
  options.pageable_limit = GiB(1);
  options.mode = mode;
  options.hop_limit = hop_limit;
  return options;
}

// Parameters by the order in which a model asks for them, on the device only.
class Parameters {
 public:
  explicit Parameters(Context& context) : context_(context) {}
  Value Get(Tape& tape, const Dims& sizes, Holds holds = Holds::kPersistent) {
    all_.push_back(std::make_unique<Parameter>());
    all_.back()->name = "p" + std::to_string(all_.size());
    all_.back()->value = Tensor::Empty(context_, DType::kF32, sizes, holds, all_.back()->name).value();
    return tape.Leaf(*all_.back());
  }

 private:
  Context& context_;
  std::vector<std::unique_ptr<Parameter>> all_;
};

using Model = std::function<Value(Tape&, Parameters&)>;
constexpr std::int64_t kWidth = 768;
constexpr std::int64_t kHeads = 12;

Value Attention(Tape& tape, Parameters& p, const std::vector<Value>& qkv, std::int64_t batch, std::int64_t length) {
  const auto heads = [&](const Value& x) {
    return Transpose(Reshape(x, {batch, length, kHeads, kWidth / kHeads}), 1, 2);
  };
  const Value y = CausalAttention(heads(qkv[0]), heads(qkv[1]), heads(qkv[2]), AttentionForm::kComposed);
  return Linear(Reshape(Transpose(y, 1, 2), {batch, length, kWidth}), p.Get(tape, {kWidth, kWidth}));
}

Model Gpt2Block(std::int64_t batch, std::int64_t length) {
  return [=](Tape& tape, Parameters& p) {
    const Value x = MulScalar(p.Get(tape, {batch, length, kWidth}, Holds::kTransient), 1);
    const Value h = LayerNorm(x, p.Get(tape, {kWidth}), Value(), 1e-5);
    const Value qkv = Linear(h, p.Get(tape, {3 * kWidth, kWidth}));
    const Value middle = Add(x, Attention(tape, p, Split(qkv, 3, 2), batch, length));
    const Value normed = LayerNorm(middle, p.Get(tape, {kWidth}), Value(), 1e-5);
    const Value hidden = Gelu(Linear(normed, p.Get(tape, {4 * kWidth, kWidth})));
    return Sum(Add(middle, Linear(hidden, p.Get(tape, {kWidth, 4 * kWidth}))));
  };
}

// PyTorch's figure is of one with LayerNorm, which saves one float a row more (4 KB each of two).
Value LlamaBlock(Tape& tape, Parameters& p) {
  const std::int64_t batch = 1;
  const std::int64_t length = 1024;
  const Value x = MulScalar(p.Get(tape, {batch, length, kWidth}, Holds::kTransient), 1);
  const Value h = RmsNorm(x, p.Get(tape, {kWidth}), 1e-5);
  std::vector<Value> qkv;
  for (int i = 0; i < 3; ++i) qkv.push_back(Linear(h, p.Get(tape, {kWidth, kWidth})));
  const Value middle = Add(x, Attention(tape, p, qkv, batch, length));
  const Value normed = RmsNorm(middle, p.Get(tape, {kWidth}), 1e-5);
  const Value gate = Silu(Linear(normed, p.Get(tape, {4 * kWidth, kWidth})));
  const Value hidden = Mul(gate, Linear(normed, p.Get(tape, {4 * kWidth, kWidth})));
  return Sum(Add(middle, Linear(hidden, p.Get(tape, {kWidth, 4 * kWidth}))));
}

// The dense chain of DKM over one 1024 x 1024 weight, k = 8; `contiguous`: through a.t().contiguous().
Model Dkm(int iterations, bool contiguous) {
  return [=](Tape& tape, Parameters& p) {
    constexpr std::int64_t n = 1024;
    constexpr std::int64_t k = 8;
    const auto constant = [&](const Dims& sizes) {
      return tape.Constant(Tensor::Empty(tape.context(), DType::kF32, sizes, Holds::kTransient, "constant").value());
    };
    const Value x = constant({32, n});
    const Value w = Reshape(p.Get(tape, {n, n}), {-1, 1});
    Value c = constant({k, 1});
    Value a;
    for (int i = 0; i < iterations; ++i) {
      a = Softmax(MulScalar(Square(Sub(w, Transpose(c))), -1 / 5e-5), 1);
      if (contiguous) {
        const Value at = Contiguous(Transpose(a));
        c = Div(MatMul(at, w), SumDim(at, 1, true));
      } else {
        c = Div(MatMul(Transpose(a), w), Reshape(SumDim(a, 0, false), {k, 1}));
      }
    }
    const Value clustered = Reshape(MatMul(a, c), {n, n});
    return Mean(Square(MatMul(x, Transpose(clustered))));
  };
}

// Without the causal mask, which a tape has until it is cleared: moving it frees nothing. PyTorch's figures have it.
constexpr double kMask1024 = 1024 * 1024 / 1e6;
constexpr double kMask256 = 256 * 256 / 1e6;

struct Row {
  const char* name;
  Model model;
  double naive_mb;     // of 1e6 bytes, without parameters
  double identity_mb;  // each storage's bytes once
  double walk_mb;      // and what can be made again over at most 4 hops left out
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

struct Counts {
  Ledger ledger;
  Tape::SavedCount saved;
  Tape::SavedCount saved_without_parameters;
};

Counts Count(const Model& model, OffloadMode mode, int hop_limit) {
  TestDevice device(ShapeOnly(mode, hop_limit));
  Parameters parameters(device.context());
  Tape tape(device.context());
  const Value loss = model(tape, parameters);
  EXPECT_TRUE(tape.status().ok()) << tape.status();
  Counts counts;
  counts.saved = tape.saved(true);
  counts.saved_without_parameters = tape.saved(false);
  const Status status = tape.Backward(loss);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(device.runtime().Drain().ok());
  counts.ledger = device.runtime().statistics().total;
  return counts;
}

class SavedBytes : public testing::TestWithParam<Row> {};

TEST_P(SavedBytes, AreThoseOfPyTorch) {
  const Row& row = GetParam();
  const auto expect_near = [](std::uint64_t bytes, double megabytes, const char* what) {
    EXPECT_NEAR(static_cast<double>(bytes) / 1e6, megabytes, 0.01 * megabytes) << what;
  };
  const Counts identity = Count(row.model, OffloadMode::kMarshal, 0);
  const Counts walk = Count(row.model, OffloadMode::kMarshal, 4);
  expect_near(walk.ledger.naive - walk.ledger.frees_nothing, row.naive_mb, "naive, by the ledger");
  expect_near(walk.saved_without_parameters.bytes, row.naive_mb, "naive, by the tape");
  expect_near(identity.ledger.moved, row.identity_mb, "storage identity");
  expect_near(walk.ledger.moved, row.walk_mb, "with a walk of 4 hops");
}

TEST_P(SavedBytes, AreBookedOnceEach) {
  for (const int hops : {0, 4}) {
    const Counts counts = Count(GetParam().model, OffloadMode::kMarshal, hops);
    const Ledger& ledger = counts.ledger;
    EXPECT_EQ(ledger.naive, counts.saved.bytes);
    EXPECT_EQ(ledger.packs, counts.saved.values);
    EXPECT_EQ(ledger.frees_nothing, counts.saved.bytes - counts.saved_without_parameters.bytes);
    EXPECT_EQ(ledger.naive, ledger.moved + ledger.avoided_identity + ledger.avoided_lineage + ledger.frees_nothing);
    EXPECT_EQ(ledger.engine_out, ledger.moved);
    EXPECT_EQ(ledger.engine_in, ledger.moved_in);
  }
  const Counts naive = Count(GetParam().model, OffloadMode::kNaive, 4);
  EXPECT_EQ(naive.ledger.naive, naive.saved.bytes);
  EXPECT_EQ(naive.ledger.moved + naive.ledger.frees_nothing, naive.ledger.naive);
  EXPECT_EQ(naive.ledger.engine_out, naive.ledger.moved);
}

INSTANTIATE_TEST_SUITE_P(
    All, SavedBytes,
    testing::Values(Row{"Gpt2Block1x1024", Gpt2Block(1, 1024), 152.06 - kMask1024, 101.73 - kMask1024,
                        101.73 - kMask1024},
                    Row{"Gpt2Block8x256", Gpt2Block(8, 256), 151.09 - kMask256, 125.93 - kMask256, 125.93 - kMask256},
                    Row{"LlamaBlock", LlamaBlock, 186.66 - kMask1024, 126.89 - kMask1024, 126.89 - kMask1024},
                    Row{"Dkm3Plain", Dkm(3, false), 335.81, 201.59, 201.59},
                    Row{"Dkm3Contiguous", Dkm(3, true), 335.81, 302.25, 201.59},
                    Row{"Dkm5Contiguous", Dkm(5, true), 537.13, 503.58, 335.81}),
    [](const testing::TestParamInfo<Row>& row) { return row.param.name; });

// The paper's Table 1: x0 of 4 MiB and a view x1 of it, both saved.
TEST(Table1, ATensorAndItsViewMoveOnce) {
  for (const OffloadMode mode : {OffloadMode::kMarshal, OffloadMode::kNaive}) {
    Options options = SmallOptions();
    options.mode = mode;
    TestDevice device(options);
    Random random(1);
    Parameter x0{"x0", device.Make(DType::kF32, {1024, 1024}, RandomValues<float>(random, {1024, 1024}, -1, 1)), {}};
    Tape tape(device.context());
    const Value x1 = Transpose(tape.Leaf(x0));
    const Value loss = Add(Sum(Square(tape.Leaf(x0))), Sum(Square(x1)));
    ASSERT_TRUE(tape.status().ok()) << tape.status();
    ASSERT_TRUE(device.runtime().Drain().ok());
    const Statistics saved = device.runtime().statistics();
    EXPECT_EQ(saved.total.naive, MiB(8));
    EXPECT_EQ(saved.total.moved, mode == OffloadMode::kMarshal ? MiB(4) : MiB(8));
    EXPECT_EQ(saved.total.engine_out, saved.total.moved);
    EXPECT_EQ(saved.pinned.live + saved.pageable.live, saved.total.moved);
    ASSERT_TRUE(tape.Backward(loss).ok());
    const std::vector<float> x = Read<float>(x0.value);
    const std::vector<float> gradient = Read<float>(x0.gradient);
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_EQ(gradient[i], 4 * x[i]) << i;
  }
}

// What single ops save, next to what PyTorch's do.
struct Saving {
  const char* name;
  std::function<Value(Tape&, const Value& a, const Value& b)> op;  // a and b: [4, 4] of f32
  std::uint64_t values_if_both;                                    // saved when a and b require gradients
  std::uint64_t values_if_a;                                       // when only a does
};

TEST(SavedValues, AreWhatTheOtherOperandNeeds) {
  const std::vector<Saving> table = {
      {"add", [](Tape&, const Value& a, const Value& b) { return Add(a, b); }, 0, 0},
      {"sub", [](Tape&, const Value& a, const Value& b) { return Sub(a, b); }, 0, 0},
      {"mul", [](Tape&, const Value& a, const Value& b) { return Mul(a, b); }, 2, 1},
      {"div", [](Tape&, const Value& a, const Value& b) { return Div(a, b); }, 2, 1},
      {"matmul", [](Tape&, const Value& a, const Value& b) { return MatMul(a, b); }, 2, 1},
      {"linear", [](Tape&, const Value& a, const Value& b) { return Linear(a, b); }, 2, 1},
      {"square", [](Tape&, const Value& a, const Value&) { return Square(a); }, 1, 1},
      {"exp", [](Tape&, const Value& a, const Value&) { return Exp(a); }, 1, 1},
      {"gelu", [](Tape&, const Value& a, const Value&) { return Gelu(a); }, 1, 1},
      {"clamp", [](Tape&, const Value& a, const Value&) { return Clamp(a, 0, 1); }, 1, 1},
      {"softmax", [](Tape&, const Value& a, const Value&) { return Softmax(a, 1); }, 1, 1},
      {"views",
       [](Tape&, const Value& a, const Value&) {
         return Reshape(Transpose(Slice(a, 0, 0, 2)), {4, 2});
       },
       0, 0},
      {"sums",
       [](Tape&, const Value& a, const Value&) {
         return Mean(SumDim(Expand(a, {3, 4, 4}), 0, false));
       },
       0, 0},
      {"scalars", [](Tape&, const Value& a, const Value&) { return AddScalar(MulScalar(a, 2), 1); }, 0, 0},
      {"dropout", [](Tape&, const Value& a, const Value&) { return Dropout(a, 0.5, 1, 1); }, 0, 0},
      {"copies", [](Tape&, const Value& a, const Value&) { return Clone(Contiguous(Transpose(a))); }, 0, 0},
  };
  for (const Saving& saving : table) {
    TestDevice device(ShapeOnly(OffloadMode::kMarshal, 4));
    Parameters parameters(device.context());
    Tape tape(device.context());
    const Value a = parameters.Get(tape, {4, 4}, Holds::kTransient);
    const Value b = parameters.Get(tape, {4, 4}, Holds::kTransient);
    ASSERT_TRUE(saving.op(tape, a, b).defined()) << saving.name << ": " << tape.status();
    EXPECT_EQ(tape.saved(true).values, saving.values_if_both) << saving.name;
    tape.Clear();
    const Value again = parameters.Get(tape, {4, 4}, Holds::kTransient);
    ASSERT_TRUE(saving.op(tape, again, tape.Constant(b.tensor())).defined()) << saving.name << ": " << tape.status();
    EXPECT_EQ(tape.saved(true).values, saving.values_if_a) << saving.name;
    EXPECT_EQ(tape.saved(true).bytes, 64 * saving.values_if_a) << saving.name;
    tape.Clear();
    ASSERT_TRUE(saving.op(tape, tape.Constant(a.tensor()), tape.Constant(b.tensor())).defined()) << saving.name;
    EXPECT_EQ(tape.saved(true).values, 0u) << saving.name << ": constants";
  }
}

}  // namespace
}  // namespace tierlib::autograd
