#include "offload_bench/models.h"

#include <cmath>
#include <utility>

#include "tierlib/autograd/ops.h"

namespace tierlib::bench {
namespace {

using namespace autograd;  // NOLINT: the ops

constexpr std::int64_t kWidth = 768;
constexpr std::int64_t kHeads = 12;
constexpr double kDeviation = 0.02;

Value Norm(Tape& tape, Inputs& in, const Value& x) {
  return LayerNorm(x, in.Leaf(tape, {kWidth}, 0, 1), Value(), 1e-5);
}

Value RootMeanSquareNorm(Tape& tape, Inputs& in, const Value& x) {
  return RmsNorm(x, in.Leaf(tape, {kWidth}, 0, 1), 1e-5);
}

Value Project(Tape& tape, Inputs& in, const Value& x, std::int64_t to, std::int64_t from = kWidth) {
  return Linear(x, in.Leaf(tape, {to, from}, kDeviation));
}

Value Attention(Tape& tape, Inputs& in, const std::vector<Value>& qkv, std::int64_t batch, std::int64_t length) {
  const auto heads = [&](const Value& x) {
    return Transpose(Reshape(x, {batch, length, kHeads, kWidth / kHeads}), 1, 2);
  };
  const Value y = CausalAttention(heads(qkv[0]), heads(qkv[1]), heads(qkv[2]), AttentionForm::kComposed);
  return Project(tape, in, Reshape(Transpose(y, 1, 2), {batch, length, kWidth}), kWidth);
}

Value BlockInput(Tape& tape, Inputs& in, std::int64_t batch, std::int64_t length) {
  return MulScalar(in.Leaf(tape, {batch, length, kWidth}, 1, 0, Holds::kTransient), 1);
}

auto GptBlock(std::int64_t batch, std::int64_t length) {
  return [=](Tape& tape, Inputs& in) -> Value {
    const Value x = BlockInput(tape, in, batch, length);
    const std::vector<Value> qkv = Split(Project(tape, in, Norm(tape, in, x), 3 * kWidth), 3, 2);
    if (qkv.empty()) return Value();
    const Value middle = Add(x, Attention(tape, in, qkv, batch, length));
    const Value hidden = Gelu(Project(tape, in, Norm(tape, in, middle), 4 * kWidth));
    return Sum(Add(middle, Project(tape, in, hidden, kWidth, 4 * kWidth)));
  };
}

// RMSNorm and SwiGLU, q, k and v apart. PyTorch's figure is of one with LayerNorm, which saves one float a row more.
Value LlamaBlock(Tape& tape, Inputs& in) {
  constexpr std::int64_t kBatch = 1;
  constexpr std::int64_t kLength = 1024;
  const Value x = BlockInput(tape, in, kBatch, kLength);
  const Value h = RootMeanSquareNorm(tape, in, x);
  std::vector<Value> qkv;
  for (int i = 0; i < 3; ++i) qkv.push_back(Project(tape, in, h, kWidth));
  const Value middle = Add(x, Attention(tape, in, qkv, kBatch, kLength));
  const Value normed = RootMeanSquareNorm(tape, in, middle);
  const Value gate = Silu(Project(tape, in, normed, 4 * kWidth));
  const Value hidden = Mul(gate, Project(tape, in, normed, 4 * kWidth));
  return Sum(Add(middle, Project(tape, in, hidden, kWidth, 4 * kWidth)));
}

// The dense chain of DKM over one 1024 x 1024 weight, k = 8. `contiguous`: through a.t().contiguous(), as
// implementations in Python write it.
auto Dkm(int iterations, bool contiguous) {
  return [=](Tape& tape, Inputs& in) -> Value {
    constexpr std::int64_t kSide = 1024;
    constexpr std::int64_t kClusters = 8;
    const Value x = in.Constant(tape, {32, kSide}, 1);
    const Value w = Reshape(in.Leaf(tape, {kSide, kSide}, kDeviation), {-1, 1});
    Value c = in.Constant(tape, {kClusters, 1}, kDeviation);
    Value a;
    for (int i = 0; i < iterations; ++i) {
      a = Softmax(MulScalar(Square(Sub(w, Transpose(c))), -1 / 5e-5), 1);
      if (contiguous) {
        const Value at = Contiguous(Transpose(a));
        c = Div(MatMul(at, w), SumDim(at, 1, true));
      } else {
        c = Div(MatMul(Transpose(a), w), Reshape(SumDim(a, 0, false), {kClusters, 1}));
      }
    }
    const Value clustered = Reshape(MatMul(a, c), {kSide, kSide});
    return Mean(Square(MatMul(x, Transpose(clustered))));
  };
}

}  // namespace

Parameter& Inputs::Next(const Dims& sizes, double deviation, double mean, Holds holds) {
  if (next_ == all_.size()) {
    std::vector<float> values(static_cast<std::size_t>(Layout::Contiguous(DType::kF32, sizes).elements()));
    for (float& value : values) value = static_cast<float>(mean + deviation * random_.Normal());
    auto made = std::make_unique<Parameter>();
    made->name = "input." + std::to_string(next_);
    made->value = Tensor::FromHost(context_, DType::kF32, sizes, values.data(), holds, made->name).value();
    all_.push_back(std::move(made));
  }
  return *all_[next_++];
}

Value Inputs::Leaf(Tape& tape, const Dims& sizes, double deviation, double mean, Holds holds) {
  return tape.Leaf(Next(sizes, deviation, mean, holds));
}

Value Inputs::Constant(Tape& tape, const Dims& sizes, double deviation) {
  return tape.Constant(Next(sizes, deviation, 0, Holds::kTransient).value);
}

std::vector<Parameter*> Inputs::parameters() const {
  std::vector<Parameter*> pointers;
  for (const auto& one : all_) pointers.push_back(one.get());
  return pointers;
}

std::vector<Model> Models() {
  return {
      {"gpt2_block_1x1024", GptBlock(1, 1024), 152.06, 101.73, 101.73, true},
      {"gpt2_block_8x256", GptBlock(8, 256), 151.09, 125.93, 125.93, false},
      {"llama_block_1x1024", LlamaBlock, 186.66, 126.89, 126.89, true},
      {"dkm_3", Dkm(3, false), 335.81, 201.59, 201.59, true},
      {"dkm_3_contiguous", Dkm(3, true), 335.81, 302.25, 201.59, true},
      {"dkm_5_contiguous", Dkm(5, true), 537.13, 503.58, 335.81, false},
  };
}

}  // namespace tierlib::bench
