// The tape: errors that stick, passes that repeat, gradients that add up, and what is given back when.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "autograd/context.h"
#include "autograd/launch.h"
#include "autograd/models.h"
#include "autograd/test_device.h"
#include "tierlib/autograd/ops.h"
#include "trace/reader.h"

namespace tierlib::autograd {
namespace {

class TapeTest : public testing::Test {
 protected:
  Parameter MakeParameter(const std::string& name, const Dims& sizes, DType dtype = DType::kF32) {
    Parameter parameter;
    parameter.name = name;
    if (dtype == DType::kF32) {
      parameter.value = device_.Make(dtype, sizes, RandomValues<float>(random_, sizes, -1, 1), Holds::kTransient);
    } else {
      parameter.value = Tensor::Zeros(device_.context(), dtype, sizes, Holds::kTransient, name).value();
    }
    return parameter;
  }
  std::uint64_t HostBytes() {
    EXPECT_TRUE(device_.runtime().Drain().ok());
    const Statistics now = device_.runtime().statistics();
    return now.pinned.live + now.pageable.live;
  }

  TestDevice device_;
  Random random_{5};
};

TEST_F(TapeTest, ErrorsNameTheOpAndTheSizes) {
  struct Wrong {
    std::function<void(Tape&, const Value& a, const Value& b)> op;  // a: [3,4], b: [5,6]
    const char* message;
  };
  const std::vector<Wrong> table = {
      {[](Tape&, const Value& a, const Value& b) { MatMul(a, b); },
       "matmul: [3,4] x [5,6]: inner sizes 4 and 5 differ"},
      {[](Tape&, const Value& a, const Value& b) { Add(a, b); },
       "add: [3,4] and [5,6] do not broadcast: sizes 4 and 6"},
      {[](Tape&, const Value& a, const Value& b) { Linear(a, b); },
       "linear: x [3,4] and w [5,6]: w must be [out, in] with the last size of x as in"},
      {[](Tape&, const Value& a, const Value&) {
         Reshape(a, {5, -1});
       },
       "reshape: sizes [5,-1] do not hold 12 elements"},
      {[](Tape&, const Value& a, const Value&) { Transpose(a, 0, 2); }, "transpose: dimension 2 of [3,4]"},
      {[](Tape&, const Value& a, const Value&) { Slice(a, 0, 1, 4); },
       "slice: [1, 4) in steps of 1 of dimension 0 of [3,4]"},
      {[](Tape&, const Value& a, const Value&) { Split(a, 3, 1); }, "split: dimension 1 of [3,4] into 3 equal parts"},
      {[](Tape&, const Value& a, const Value&) {
         Expand(a, {3, 5});
       },
       "expand: [3,4] does not expand to [3,5]"},
      {[](Tape&, const Value& a, const Value&) {
         Expand(a, {-1, 3, 4});
       },
       "expand: sizes [-1,3,4] for [3,4]: -1 keeps the size of a dimension that is there, none else is negative"},
      {[](Tape&, const Value& a, const Value&) {
         Expand(Slice(a, 0, 0, 1), {-2, 4});
       },
       "expand: sizes [-2,4] for [1,4]: -1 keeps the size of a dimension that is there, none else is negative"},
      {[](Tape&, const Value& a, const Value&) {
         Expand(a, {std::int64_t{1} << 40, std::int64_t{1} << 40, 3, 4});
       },
       "expand: sizes [1099511627776,1099511627776,3,4]: their product overflows"},
      {[](Tape&, const Value& a, const Value&) {
         Permute(a, {0, 0});
       },
       "permute: the dimensions are not those of [3,4] in some order"},
      {[](Tape&, const Value& a, const Value&) { Squeeze(a, 0); }, "squeeze: dimension 0 of [3,4] is not 1"},
      {[](Tape&, const Value& a, const Value&) { Cast(a, DType::kI32); }, "cast: to i32, which is not a float type"},
      {[](Tape&, const Value& a, const Value&) { MaskedFill(a, a.tensor(), 0); },
       "masked_fill: the mask must be bool and broadcast to [3,4], it is f32[3,4]{4,1}+0"},
      {[](Tape&, const Value& a, const Value&) { Dropout(a, 1.5, 0, 0); }, "dropout: p = 1.500000 is not in [0, 1]"},
      {[](Tape&, const Value& a, const Value&) { CrossEntropy(a, a.tensor()); },
       "cross_entropy: targets f32[3,4]{4,1}+0 for logits [3,4]: they must be i32[3]"},
      {[](Tape&, const Value& a, const Value&) { Embedding(a, a.tensor()); },
       "embedding: indices f32[3,4]{4,1}+0: they must be i32 of rank 7 at most"},
      {[](Tape&, const Value& a, const Value& b) { LayerNorm(a, b, Value(), 1e-5); },
       "layer_norm: weight f32[5,6]{6,1}+0 for x f32[3,4]{4,1}+0: it must be f32[4]"},
      {[](Tape&, const Value& a, const Value& b) { RmsNorm(a, b, 1e-5); },
       "rms_norm: weight f32[5,6]{6,1}+0 for x f32[3,4]{4,1}+0: it must be f32[4]"},
      {[](Tape&, const Value& a, const Value&) { Rotary(Slice(a, 1, 0, 3), {}); },
       "rotary: x [3,3]: the last dimension is turned in pairs, so it must be even"},
      {[](Tape&, const Value& a, const Value&) { Rotary(a, {.position_dim = -1}); },
       "rotary: x [3,4], position_dim -1: it must name a dimension before the last"},
      {[](Tape&, const Value& a, const Value&) {
         Rotary(a, {.position_dim = 0, .first_position = std::numeric_limits<std::int64_t>::max()});
       },
       "rotary: first_position 9223372036854775807 must be at most 9007199254740989: with 3 positions the last one "
       "would pass 2^53"},
      {[](Tape&, const Value& a, const Value&) { CausalAttention(a, a, a, AttentionForm::kFused); },
       "attention: q [3,4], k [3,4], v [3,4]: they must be [B, H, T, D] of one dtype, all the same"},
  };
  Parameter a = MakeParameter("a", {3, 4});
  Parameter b = MakeParameter("b", {5, 6});
  for (const Wrong& wrong : table) {
    Tape tape(device_.context());
    wrong.op(tape, tape.Leaf(a), tape.Leaf(b));
    EXPECT_EQ(tape.status().code(), StatusCode::kInvalidArgument) << wrong.message;
    EXPECT_EQ(tape.status().message(), wrong.message);
  }
}

TEST_F(TapeTest, TheFirstErrorSticksUntilClear) {
  Parameter a = MakeParameter("a", {3, 4});
  Tape tape(device_.context());
  const Value x = tape.Leaf(a);
  const Value wrong = MatMul(x, x);
  EXPECT_FALSE(wrong.defined());
  EXPECT_FALSE(Gelu(wrong).defined());
  EXPECT_FALSE(Add(x, x).defined());
  EXPECT_TRUE(Split(wrong, 2, 0).empty());
  Add(x, wrong);
  EXPECT_EQ(tape.status().message(), "matmul: [3,4] x [3,4]: inner sizes 4 and 3 differ");
  EXPECT_EQ(tape.Backward(x), tape.status());
  tape.Clear();
  EXPECT_TRUE(tape.status().ok());
  EXPECT_TRUE(Add(tape.Leaf(a), tape.Leaf(a)).defined());
}

TEST_F(TapeTest, ScopesStandInFrontOfLabels) {
  Parameter a = MakeParameter("a", {3, 4});
  Tape tape(device_.context());
  {
    const Scope block(tape, "block.3");
    { const Scope attention(tape, "attn"); }
    const Scope mlp(tape, "mlp");
    MatMul(tape.Leaf(a), tape.Leaf(a));
  }
  EXPECT_EQ(tape.status().message(), "block.3.mlp.matmul: [3,4] x [3,4]: inner sizes 4 and 3 differ");
}

TEST_F(TapeTest, ValuesOfAnotherTapeOrOfBeforeClearAreRefused) {
  Parameter a = MakeParameter("a", {3, 4});
  Tape tape(device_.context());
  Tape other(device_.context());
  Add(tape.Leaf(a), other.Leaf(a));
  EXPECT_EQ(tape.status().message(), "add: its inputs are of two tapes");
  tape.Clear();
  const Value old = Square(tape.Leaf(a));
  tape.Clear();
  EXPECT_EQ(tape.Backward(old).code(), StatusCode::kFailedPrecondition);
  Square(old);
  EXPECT_EQ(tape.status().message(), "square: an input was recorded before the tape was cleared");
}

TEST_F(TapeTest, ASecondPassNeedsRetain) {
  Parameter a = MakeParameter("a", {3, 4});
  Tape tape(device_.context());
  const Value loss = Sum(Square(tape.Leaf(a)));
  ASSERT_TRUE(tape.Backward(loss, /*retain=*/true).ok());
  const std::vector<float> once = Read<float>(a.gradient);
  ASSERT_TRUE(tape.Backward(loss).ok());
  const std::vector<float> twice = Read<float>(a.gradient);
  for (std::size_t i = 0; i < once.size(); ++i) EXPECT_EQ(twice[i], 2 * once[i]);
  const Status third = tape.Backward(loss);
  EXPECT_EQ(third.code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(third.message(), "sum: backward ran through it before and dropped what it saved; retain keeps it");
}

TEST_F(TapeTest, GradientsOfGradientsAreNotRecorded) {
  Parameter a = MakeParameter("a", {3, 4});
  Tape tape(device_.context());
  ASSERT_TRUE(tape.Backward(Sum(Square(tape.Leaf(a))), /*retain=*/true).ok());
  const std::vector<float> first = Read<float>(a.gradient);
  const Status status = tape.Backward(Sum(Square(tape.Constant(a.gradient))));
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("gradients are constants"), std::string_view::npos) << status;
  EXPECT_TRUE(tape.status().ok()) << "the tape goes on";
  // As a leaf of its own it ends there: what it was computed from is not reached.
  Parameter leaf = {"gradient", a.gradient, Tensor()};
  ASSERT_TRUE(tape.Backward(Sum(Square(tape.Leaf(leaf)))).ok());
  const std::vector<float> second = Read<float>(leaf.gradient);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(second[i], 2 * first[i]);
  EXPECT_EQ(Read<float>(a.gradient), first);
}

TEST_F(TapeTest, GradientsAccumulateOverPassesAndUses) {
  Parameter a = MakeParameter("a", {3, 4});
  const std::vector<float> values = Read<float>(a.value);
  for (int pass = 1; pass <= 3; ++pass) {
    Tape tape(device_.context());
    const Value x = tape.Leaf(a);
    EXPECT_EQ(tape.Leaf(a).node(), x.node());
    ASSERT_TRUE(tape.Backward(Sum(Add(Square(x), Transpose(Transpose(MulScalar(x, 3)))))).ok());
    const std::vector<float> gradient = Read<float>(a.gradient);
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(gradient[i], pass * (2 * values[i] + 3), 1e-5);
  }
}

TEST_F(TapeTest, ExpandKeepsTheSizesGivenAsMinusOne) {
  Parameter a = MakeParameter("a", {3, 1, 4});
  Tape tape(device_.context());
  const Value x = tape.Leaf(a);
  EXPECT_EQ(Expand(x, {-1, -1, -1}).node(), x.node());
  const Value y = Expand(x, {2, -1, 5, -1});
  ASSERT_TRUE(y.defined()) << tape.status();
  EXPECT_EQ(y.sizes(), (Dims{2, 3, 5, 4}));
  ASSERT_TRUE(tape.Backward(Sum(y)).ok());
  EXPECT_EQ(Read<float>(a.gradient), std::vector<float>(12, 10.0F));
}

TEST_F(TapeTest, AGradientIsNeverAPartOfOtherMemory) {
  // Both leaves get the same upstream gradient, one of them a repeated one: each must own its bytes.
  Parameter a = MakeParameter("a", {3, 4});
  Parameter b = MakeParameter("b", {3, 4});
  Tape tape(device_.context());
  ASSERT_TRUE(tape.Backward(Sum(Add(tape.Leaf(a), tape.Leaf(b)))).ok());
  EXPECT_NE(a.gradient.storage(), b.gradient.storage());
  for (const Parameter* parameter : {&a, &b}) {
    EXPECT_TRUE(parameter->gradient.layout().is_contiguous());
    EXPECT_EQ(Read<float>(parameter->gradient), std::vector<float>(12, 1.0F));
  }
}

TEST_F(TapeTest, RecordingOffSavesNothing) {
  Parameter a = MakeParameter("a", {3, 4});
  Tape tape(device_.context());
  tape.set_recording(false);
  const Value y = Gelu(Clamp(Square(tape.Leaf(a)), 0, 1));
  ASSERT_TRUE(y.defined());
  EXPECT_FALSE(y.requires_grad());
  EXPECT_EQ(tape.saved(true).values, 0u);
  EXPECT_EQ(device_.runtime().statistics().total.packs, 0u);
  EXPECT_EQ(tape.Backward(y).code(), StatusCode::kFailedPrecondition);
}

TEST_F(TapeTest, GivesHostBytesBackAsBackwardUsesThem) {
  Parameter a = MakeParameter("a", {64, 64});
  Tape tape(device_.context());
  const Value loss = Sum(Square(Gelu(tape.Leaf(a))));
  EXPECT_EQ(HostBytes(), 2u * 64 * 64 * 4);
  ASSERT_TRUE(tape.Backward(loss, /*retain=*/true).ok());
  EXPECT_EQ(HostBytes(), 2u * 64 * 64 * 4);
  ASSERT_TRUE(tape.Backward(loss).ok());
  EXPECT_EQ(HostBytes(), 0u);
}

TEST_F(TapeTest, GivesHostBytesBackWithoutBackward) {
  Parameter a = MakeParameter("a", {64, 64});
  Value kept;
  {
    Tape tape(device_.context());
    kept = Square(Gelu(tape.Leaf(a)));
    EXPECT_GT(HostBytes(), 0u);
    tape.Clear();
    EXPECT_EQ(HostBytes(), 0u);
    kept = Square(Gelu(tape.Leaf(a)));
    EXPECT_GT(HostBytes(), 0u);
  }
  EXPECT_EQ(HostBytes(), 0u);  // although a Value still names its node
}

TEST_F(TapeTest, ABranchThatBackwardDoesNotReachIsFreedByClear) {
  Parameter a = MakeParameter("a", {64, 64});
  Tape tape(device_.context());
  const Value x = tape.Leaf(a);
  const Value unused = Square(Gelu(x));
  ASSERT_TRUE(tape.Backward(Sum(MulScalar(x, 2))).ok());
  EXPECT_GT(HostBytes(), 0u);
  tape.Clear();
  EXPECT_EQ(HostBytes(), 0u);
}

TEST_F(TapeTest, TwoLossesShareATrunk) {
  Parameter a = MakeParameter("a", {3, 4});
  const std::vector<float> values = Read<float>(a.value);
  Tape tape(device_.context());
  const Value trunk = Square(tape.Leaf(a));
  const Value first = Sum(trunk);
  const Value second = Sum(MulScalar(trunk, 2));
  ASSERT_TRUE(tape.Backward(first, /*retain=*/true).ok());
  ASSERT_TRUE(tape.Backward(second).ok());
  const std::vector<float> gradient = Read<float>(a.gradient);
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_FLOAT_EQ(gradient[i], 6 * values[i]);
}

// The fused attention writes dq, dk and dv where Split wants them: no copies, no fills.
TEST_F(TapeTest, AttentionWritesItsGradientsSideBySide) {
  Parameter x = MakeParameter("x", {2, 8, 12});
  Tape tape(device_.context());
  const auto heads = [](const Value& part) { return Transpose(Reshape(part, {2, 8, 2, 2}), 1, 2); };
  const std::vector<Value> parts = Split(MulScalar(tape.Leaf(x), 1), 3, 2);
  const Value y = CausalAttention(heads(parts[0]), heads(parts[1]), heads(parts[2]), AttentionForm::kFused);
  const Value loss = Sum(Square(Reshape(Transpose(y, 1, 2), {2, 8, 4})));
  ASSERT_TRUE(tape.status().ok()) << tape.status();
  const std::uint64_t before = device_.context().state().launches.load();
  ASSERT_TRUE(tape.Backward(loss).ok());
  // The seed, Square, attention, MulScalar: Sum, Reshape, Transpose and Split launch nothing.
  EXPECT_EQ(device_.context().state().launches.load() - before, 4u);
}

TEST_F(TapeTest, AFullDeviceIsAnErrorThatNamesTheOp) {
  Options options = SmallOptions();
  options.devices[0].capacity = MiB(2);
  options.mode = OffloadMode::kOff;
  TestDevice small(options);
  Random random(1);
  Parameter a{"a", small.Make(DType::kF32, {512, 256}, RandomValues<float>(random, {512, 256}, -1, 1)), {}};
  Tape tape(small.context());
  Value x = tape.Leaf(a);
  for (int i = 0; i < 8; ++i) x = Square(x);
  EXPECT_EQ(tape.status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(tape.status().message().substr(0, 8), "square: ") << tape.status();
  // What was recorded is given back, and the next step works.
  x = Value();
  tape.Clear();
  ASSERT_TRUE(tape.Backward(Sum(Square(tape.Leaf(a)))).ok());
}

TEST_F(TapeTest, AFullDeviceInBackwardLeavesNothingBehind) {
  Options options = SmallOptions();
  options.devices[0].capacity = MiB(4);
  options.mode = OffloadMode::kOff;
  TestDevice small(options);
  Random random(1);
  const Dims sizes = {512, 256};  // 512 KiB
  Parameter a{"a", small.Make(DType::kF32, sizes, RandomValues<float>(random, sizes, -1, 1)), {}};
  Parameter b{"b", small.Make(DType::kF32, sizes, RandomValues<float>(random, sizes, -1, 1)), {}};
  Tape tape(small.context());
  // Backward comes to `b` first.
  const auto make_loss = [&] {
    const Value square = Square(tape.Leaf(a));
    return Sum(Add(square, tape.Leaf(b)));
  };
  Value loss = make_loss();
  // Memory for `free` gradients: none, or that of `b` and not that of `a`.
  for (const std::size_t free : {0, 1}) {
    std::vector<Tensor> blockers;
    for (StatusOr<Tensor> more = Tensor::Empty(small.context(), DType::kF32, sizes, Holds::kTransient, "blocker");
         more.ok(); more = Tensor::Empty(small.context(), DType::kF32, sizes, Holds::kTransient, "blocker")) {
      blockers.push_back(*std::move(more));
    }
    ASSERT_GT(blockers.size(), free);
    blockers.resize(blockers.size() - free);
    const Status status = tape.Backward(loss);
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(status.message().find("square"), free == 0 ? std::string::npos : 0) << status;
    EXPECT_FALSE(a.gradient.defined());
    EXPECT_FALSE(b.gradient.defined());
    blockers.clear();
    loss = Value();
    tape.Clear();
    loss = make_loss();
  }
  ASSERT_TRUE(tape.Backward(loss).ok());
  EXPECT_TRUE(a.gradient.defined());
  EXPECT_TRUE(b.gradient.defined());
}

TEST_F(TapeTest, TensorsOutliveTheRuntime) {
  Tensor survivor;
  Saved saved;
  {
    TestDevice device;
    survivor = device.Make(DType::kF32, {4}, std::vector<float>{1, 2, 3, 4});
    saved = device.runtime().Pack(survivor.view(), nullptr, device.context().stream(), "saved").value();
  }
  survivor = Tensor();
  saved = Saved();
}

TEST_F(TapeTest, WritesAndReadsFromTheHostRoundTrip) {
  // Above and below the size that is staged, and through a transposed layout.
  for (const std::int64_t rows : {3, 3000}) {
    const std::vector<float> values = RandomValues<float>(random_, {rows, 129}, -1, 1);
    Tensor tensor = device_.Make(DType::kF32, {rows, 129}, values);
    EXPECT_EQ(Read<float>(tensor), values);
    std::vector<float> other = RandomValues<float>(random_, {rows, 129}, -1, 1);
    ASSERT_TRUE(tensor.CopyFromHost(other.data(), other.size() * 4).ok());
    Layout transposed = tensor.layout();
    std::swap(transposed.sizes[0], transposed.sizes[1]);
    std::swap(transposed.strides[0], transposed.strides[1]);
    const std::vector<float> columns = Read<float>(tensor.WithLayout(transposed));
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < 129; ++j) {
        ASSERT_EQ(columns[static_cast<std::size_t>(j * rows + i)], other[static_cast<std::size_t>(i * 129 + j)]);
      }
    }
  }
  Tensor tensor = device_.Make(DType::kF32, {2, 2}, std::vector<float>{1, 2, 3, 4});
  EXPECT_EQ(tensor.CopyFromHost(nullptr, 12).message(), "copy from host: 12 bytes given, f32[2,2]{2,1}+0 has 16");
}

TEST_F(TapeTest, KernelsStandInTheTraceUnderTheirOp) {
  const std::string path = testing::TempDir() + "tape_test_" + std::to_string(getpid()) + ".tlt";
  std::set<std::uint64_t> streams;
  {
    Options options = SmallOptions();
    options.trace = path;
    TestDevice device(options);
    Parameter a{"a", device.Make(DType::kF32, {2}, std::vector<float>{1, 2}), {}};
    Tape tape(device.context());
    const Scope scope(tape, "block.0");
    ASSERT_TRUE(tape.Backward(Sum(Gelu(tape.Leaf(a)))).ok());
    const StatusOr<std::unique_ptr<Context>> other = Context::Create(device.runtime());
    ASSERT_TRUE(other.ok()) << other.status();
    const StatusOr<Tensor> zeros = Tensor::Zeros(**other, DType::kF32, {2}, Holds::kTransient, "zeros");
    ASSERT_TRUE(zeros.ok()) << zeros.status();
    const Launcher launcher(**other, "other", /*backward=*/false);
    const StatusOr<Tensor> sum = launcher.New(DType::kF32, {1});
    ASSERT_TRUE(sum.ok() && launcher.SumInto(*zeros, *sum).ok());
    streams = {device.context().stream().handle, (*other)->stream().handle};
  }
  const StatusOr<trace::Trace> trace = trace::ReadTraceFile(path);
  std::remove(path.c_str());
  ASSERT_TRUE(trace.ok()) << trace.status();
  std::map<std::pair<std::string, int>, int> open;  // begun and not ended, by label and pass
  std::set<std::pair<std::string, int>> seen;
  std::set<std::uint64_t> numbers, streams_seen;
  for (const trace::Record& record : trace->records) {
    if (record.event != trace::Event::kOpBegin && record.event != trace::Event::kOpEnd) continue;
    const std::pair<std::string, int> op = {trace->LabelText(record.label), record.detail};
    open[op] += record.event == trace::Event::kOpBegin ? 1 : -1;
    EXPECT_GE(open[op], 0);
    seen.insert(op);
    streams_seen.insert(record.value);
    if (record.event == trace::Event::kOpBegin) {
      EXPECT_TRUE(numbers.insert(record.subject).second) << "two ops with one number";
    }
  }
  EXPECT_EQ(streams_seen, streams);
  for (const auto& [op, count] : open) EXPECT_EQ(count, 0) << op.first;
  EXPECT_TRUE(seen.count({"block.0.gelu", 0}));
  EXPECT_TRUE(seen.count({"block.0.gelu", 1}));
  EXPECT_TRUE(seen.count({"block.0.sum", 0}));
}

TEST_F(TapeTest, SizesThatOverflowAreRefused) {
  const std::int64_t big = std::int64_t{1} << 62;
  for (const Dims& sizes : {Dims({big, 16}), Dims({-1, 4}), Dims({big, big, big})}) {
    const StatusOr<Tensor> tensor = Tensor::Empty(device_.context(), DType::kF64, sizes, Holds::kTransient, "too big");
    EXPECT_EQ(tensor.status().code(), StatusCode::kInvalidArgument) << tensor.status();
  }
}

}  // namespace
}  // namespace tierlib::autograd
