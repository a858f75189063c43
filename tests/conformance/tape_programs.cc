#include "conformance/tape_programs.h"

#include <memory>
#include <string_view>
#include <utility>

#include "autograd/context.h"
#include "autograd/kernels/elementwise.h"
#include "autograd/op.h"
#include "autograd/saved_codec.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/autograd/optimizer.h"

namespace tierlib::autograd {
namespace {

constexpr std::int64_t kSide = 12;

// --- Ops of the programs' own
// -----------------------------------------------------------------------------------------

Status SquareInto(const Launcher& launcher, const Tensor& x, const Tensor& y) {
  return launcher.Launch("square", {.reads = {&x}, .writes = {&y}}, host::Unary,
                         host::UnaryArguments{.op = host::UnaryOp::kSquare, .x = In(x), .y = Out(y)});
}

// sum(x^2) / 2. Its gradient is x: backward gives the very value that came back, not a copy.
Value HalfSquaredSum(const Value& x) {
  return RunOp("half_squared_sum", {&x}, [&](Op& op) -> StatusOr<Value> {
    const int input = op.Save(x.tensor(), "input");
    TIERLIB_ASSIGN_OR_RETURN(const Tensor squares, op.New(x.dtype(), x.sizes()));
    TIERLIB_RETURN_IF_ERROR(SquareInto(op, x.tensor(), squares));
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), Dims()));
    TIERLIB_RETURN_IF_ERROR(op.SumInto(squares, y, 0.5));
    return op.Record(std::move(y), [input](BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(Tensor saved, pass.Unpack(input));
      return pass.Give(0, std::move(saved));
    });
  });
}

// Saves its input alone. Backward runs the region again on a tape of its own, and that tape's backward within its own.
Value Checkpoint(const Value& x, Value (*region)(const Value&)) {
  return RunOp("checkpoint", {&x}, [&](Op& op) -> StatusOr<Value> {
    const int input = op.Save(x.tensor(), "input");
    Tape once(op.context());
    once.set_recording(false);
    const Value y = region(once.Constant(x.tensor()));
    TIERLIB_RETURN_IF_ERROR(once.status());
    return op.Record(y.tensor(), [input, region](BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(const Tensor saved, pass.Unpack(input));
      Parameter again;
      again.name = "checkpoint.input";
      TIERLIB_ASSIGN_OR_RETURN(again.value, pass.New(saved.dtype(), saved.sizes()));
      TIERLIB_RETURN_IF_ERROR(pass.Copy(saved, again.value));  // a storage that may be saved again
      Tape tape(pass.context());
      const Value loss = Sum(Mul(region(tape.Leaf(again)), tape.Constant(pass.gradient())));
      TIERLIB_RETURN_IF_ERROR(tape.Backward(loss));
      return pass.Give(0, again.gradient);
    });
  });
}

// Keeps what it is given as it is, out of the runtime's hands.
class KeepingCodec : public SavedCodec {
 public:
  StatusOr<std::shared_ptr<const EncodedValue>> Encode(const Launcher&, const Tensor& tensor,
                                                       std::string_view) override {
    return std::shared_ptr<const EncodedValue>(std::make_shared<Kept>(tensor));
  }
  void NoteDerived(const Tensor&, const Tensor&, const Replay&) override {}

 private:
  struct Kept : EncodedValue {
    explicit Kept(Tensor value) : tensor(std::move(value)) {}
    StatusOr<Tensor> Decode(const Launcher&) const override { return tensor; }
    const Tensor tensor;
  };
};

// --- Programs
// ---------------------------------------------------------------------------------------------------------

// 3, 4, 11: a square matrix and its transpose, its copies, and slices that overlap.
void ViewsAndCopies(TapeClient& c) {
  Tape tape(c.context());
  const Value x = c.Then(Exp(tape.Leaf(c.Leaf({kSide, kSide}))));
  const Value transposed = Transpose(x);
  const Value copy = c.Then(Contiguous(transposed));
  const Value product = c.Then(MatMul(x, transposed));
  const Value clamped = c.Then(Clamp(copy, 0.5, 1.5));
  const Value parts = c.Then(Mul(Slice(x, 0, 0, kSide / 2), Slice(x, 0, kSide / 4, kSide / 4 + kSide / 2)));
  const Value sum = Add(Add(Sum(c.Then(Mul(product, copy))), Sum(c.Then(Mul(clamped, transposed)))), Sum(parts));
  c.Backward(tape, sum);
}

// 28, 33, 37: two losses over one trunk, the first one first; a branch that nobody asks for.
void BranchesAndTwoLosses(TapeClient& c) {
  Tape tape(c.context());
  const Value trunk = c.Then(Square(tape.Leaf(c.Leaf({kSide, kSide}))));
  const Value left = c.Then(Gelu(c.Then(MatMul(trunk, tape.Leaf(c.Leaf({kSide, kSide}))))));
  const Value right = c.Then(Silu(trunk));
  c.Then(Exp(c.Then(Square(right))));
  const Value first = Mean(c.Then(Square(left)));
  const Value second = Sum(c.Then(Mul(left, right)));
  c.Backward(tape, first, /*retain=*/true);
  c.Backward(tape, second);
}

// 21, 33: a retained graph gives the same again, and says so when it is not retained any more.
void RetainedGraph(TapeClient& c) {
  Parameter& leaf = c.Leaf({kSide, kSide});
  Tape tape(c.context());
  const Value x = c.Then(Gelu(tape.Leaf(leaf)));
  const Value loss = Sum(c.Then(Mul(x, Transpose(x))));
  for (const bool retain : {true, true, false}) {
    c.Overwrite(kSide * kSide);
    c.Backward(tape, loss, retain);
    if (retain) leaf.gradient = Tensor();
  }
  EXPECT_EQ(tape.Backward(loss).code(), StatusCode::kFailedPrecondition);
}

// 22, 39: micro-batches of changing shapes, and weights that are written in place between steps.
void StepsOfChangingShapes(TapeClient& c) {
  Parameter& weight = c.Leaf({kSide, kSide});
  const auto adamw = AdamW::Create(c.context(), {{{&weight}, 0.1}}).value();
  for (std::int64_t step = 0; step < 3; ++step) {
    c.runtime().BeginStep(static_cast<std::uint64_t>(step));
    for (std::int64_t micro_batch = 0; micro_batch < 2; ++micro_batch) {
      const std::int64_t rows = 3 + 5 * step + micro_batch;
      Tape tape(c.context());
      const Value x = tape.Constant(c.Leaf({rows, kSide}).value);
      const Value hidden = c.Then(Silu(c.Then(Linear(x, tape.Leaf(weight)))));
      c.Backward(tape, Mean(c.Then(Square(c.Then(Linear(hidden, tape.Leaf(weight)))))));
    }
    EXPECT_TRUE(adamw->Step(1e-2).ok());
    weight.gradient = Tensor();
    c.runtime().EndStep();
    c.Note(weight.value);
  }
}

// 27: the gradient is a value that came back, or a view of one; it is added to, and it outlives its node.
void GradientsThatCameBack(TapeClient& c) {
  Parameter& direct = c.Leaf({kSide, kSide});
  {
    Tape tape(c.context());
    const Value x = c.Then(Square(tape.Leaf(c.Leaf({kSide, kSide}))));
    const Value mean = Mean(c.Then(Square(x)));
    const Value by_views = Add(c.Then(HalfSquaredSum(Transpose(x))), c.Then(HalfSquaredSum(Slice(x, 0, 2, 9))));
    const Value loss = Add(Add(mean, by_views), c.Then(HalfSquaredSum(tape.Leaf(direct))));
    c.Backward(tape, loss, /*retain=*/true);
    c.Backward(tape, loss);
  }
  c.Overwrite(kSide * kSide);
  c.Note(direct.gradient);
}

// 38, 39: a backward within a backward, and a region within a region.
void BackwardWithinBackward(TapeClient& c) {
  Tape tape(c.context());
  const Value x = c.Then(Square(tape.Leaf(c.Leaf({kSide, kSide}))));
  const auto inner = [](const Value& v) { return Silu(Mul(v, Transpose(v))); };
  const auto outer = [](const Value& v) {
    return Gelu(Checkpoint(Square(v), [](const Value& w) { return Exp(MulScalar(Square(w), -1)); }));
  };
  const Value y = c.Then(Checkpoint(x, inner));
  const Value z = c.Then(Checkpoint(y, outer));
  c.Backward(tape, Sum(c.Then(Mul(z, x))));
}

// 38: what the program computes again has one owner, although an op saves it too.
void RegionThatIsComputedAgain(TapeClient& c) {
  Tape tape(c.context());
  const Value x = c.Then(Silu(tape.Leaf(c.Leaf({kSide, kSide}))));
  const Value y = Square(x);
  Context& context = c.context();
  const Layout layout = x.tensor().layout();
  const Saved input = c.runtime().Pack(x.tensor().view(), nullptr, context.stream(), "region").value();
  const auto compute = [&context, layout, input](const RecomputeArguments& a) -> Status {
    TIERLIB_ASSIGN_OR_RETURN(const Loaded loaded, context.runtime().Unpack(input, a.stream));
    HostKernel kernel;
    kernel.name = "region";
    const auto bytes = static_cast<std::size_t>(layout.logical_bytes());
    kernel.accesses = {{loaded.origin(), bytes, false}, {a.destination, bytes, true}};
    kernel.run = [from = const_cast<void*>(loaded.origin()), to = a.destination, layout](KernelContext& k) {
      host::Unary(k, {.op = host::UnaryOp::kSquare, .x = {from, layout}, .y = {to, layout}});
    };
    return context.state().backend->Launch(a.stream, std::move(kernel));
  };
  ASSERT_TRUE(c.runtime().Recomputes(y.tensor().view(), {compute, "region", 0, /*always=*/true}).ok());
  c.Settle();
  const Value loss = Sum(c.Then(Mul(c.Then(Square(y)), c.Then(Transpose(y)))));
  c.Backward(tape, loss, /*retain=*/true);
  c.Overwrite(kSide * kSide);
  c.Backward(tape, loss);
}

// 34: some ops save elsewhere, within them some do not, and backward runs outside both.
void ScopesThatSaveElsewhere(TapeClient& c) {
  Tape tape(c.context());
  Value x = c.Then(Square(tape.Leaf(c.Leaf({kSide, kSide}))));
  KeepingCodec codec;
  {
    const SavedCodecScope keeps(tape, &codec);
    x = c.Then(Gelu(x));
    const SavedCodecScope nothing(tape, nullptr);
    x = c.Then(Silu(Transpose(x)));
  }
  c.Backward(tape, Sum(c.Then(Square(x))));
}

// 26: leaves of one stream, and a tape on another; then the other way round.
void TwoStreams(TapeClient& c) {
  Parameter& leaf = c.Leaf({kSide, kSide});
  const auto other = Context::Create(c.runtime(), c.context().device()).value();
  EXPECT_TRUE(c.runtime().Synchronize(c.context().stream()).ok());
  {
    Tape tape(*other);
    c.Backward(tape, Sum(c.Then(Exp(c.Then(Gelu(tape.Leaf(leaf)))))));  // ends with a wait for `other`
  }
  Tape tape(c.context());
  Parameter of_other{"of other", std::exchange(leaf.gradient, Tensor()), Tensor()};
  c.Backward(tape, Sum(c.Then(Mul(c.Then(Square(tape.Leaf(of_other))), tape.Leaf(leaf)))));
  c.Note(of_other.gradient);
}

// 30, 35: many small graphs, every other one dropped as it is.
void ManyGraphs(TapeClient& c) {
  Parameter& leaf = c.Leaf({kSide, 4});
  for (int i = 0; i < 12; ++i) {
    Tape tape(c.context());
    const Value loss = Sum(c.Then(Square(c.Then(Exp(tape.Leaf(leaf))))));
    if (i % 2 == 0) c.Backward(tape, loss);
  }
}

}  // namespace

const std::vector<TapeProgram>& TapePrograms() {
  static const std::vector<TapeProgram> programs = {
      {"ViewsAndCopies", "3, 4, 11", ViewsAndCopies},
      {"BranchesAndTwoLosses", "28, 33, 37", BranchesAndTwoLosses},
      {"RetainedGraph", "21, 33", RetainedGraph},
      {"StepsOfChangingShapes", "22, 39", StepsOfChangingShapes},
      {"GradientsThatCameBack", "27", GradientsThatCameBack},
      {"BackwardWithinBackward", "38, 39", BackwardWithinBackward},
      {"RegionThatIsComputedAgain", "38", RegionThatIsComputedAgain},
      {"ScopesThatSaveElsewhere", "34", ScopesThatSaveElsewhere},
      {"TwoStreams", "26", TwoStreams},
      {"ManyGraphs", "30, 35", ManyGraphs},
  };
  return programs;
}

}  // namespace tierlib::autograd
