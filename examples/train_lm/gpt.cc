#include "train_lm/gpt.h"

namespace train_lm {
namespace {

using tierlib::autograd::Tape;
using tierlib::autograd::Tensor;
using tierlib::autograd::Value;
namespace ops = tierlib::autograd;

constexpr double kEpsilon = 1e-5;  // of LayerNorm

// Where a block's weights lie in WeightsOf: two embeddings, then six weights a block.
enum BlockWeight : std::size_t { kLn1, kAttention, kAttentionOut, kLn2, kMlpIn, kMlpOut, kWeightsOfABlock };
std::size_t Position(std::int64_t layer, BlockWeight weight) {
  return 2 + static_cast<std::size_t>(layer) * kWeightsOfABlock + weight;
}

// Each place where dropout stands draws from a counter of its own: place 0 follows the embeddings, three stand in a
// block.
std::uint64_t Counter(const Dropout& dropout, std::int64_t layers, std::int64_t place) {
  return dropout.step * static_cast<std::uint64_t>(1 + 3 * layers) + static_cast<std::uint64_t>(place);
}

Value Drop(const Value& x, const Dropout& dropout, std::int64_t layers, std::int64_t place) {
  return dropout.p == 0 ? x : ops::Dropout(x, dropout.p, dropout.seed, Counter(dropout, layers, place));
}

}  // namespace

Value GptModel::Attention(Tape& tape, MatrixSource& matrices, std::int64_t layer, const Value& x,
                          const Dropout& dropout) {
  const std::int64_t batch = x.sizes()[0];
  const std::int64_t context = x.sizes()[1];
  const Value together = ops::Linear(x, matrices.Matrix(tape, Position(layer, kAttention)));
  if (!together.defined()) return together;
  std::vector<Value> heads = ops::Split(together, 3, -1);  // queries, keys, values
  for (Value& each : heads) {
    each = ops::Transpose(ops::Reshape(each, {batch, context, shape().heads, shape().width / shape().heads}), 1, 2);
  }
  const Value mixed = ops::CausalAttention(heads[0], heads[1], heads[2], ops::AttentionForm::kFused, dropout.p,
                                           dropout.seed, Counter(dropout, shape().layers, 1 + 3 * layer));
  const Value joined = ops::Reshape(ops::Transpose(mixed, 1, 2), {batch, context, shape().width});
  const Value out = ops::Linear(joined, matrices.Matrix(tape, Position(layer, kAttentionOut)));
  return Drop(out, dropout, shape().layers, 2 + 3 * layer);
}

Value GptModel::Block(Tape& tape, MatrixSource& matrices, std::int64_t layer, const Value& x, const Dropout& dropout) {
  const auto norm = [&](const Value& in, BlockWeight weight) {
    return ops::LayerNorm(in, tape.Leaf(parameters()[Position(layer, weight)]), Value(), kEpsilon);
  };
  const Value attended = Attention(tape, matrices, layer, norm(x, kLn1), dropout);
  if (!attended.defined()) return attended;
  const Value middle = ops::Add(x, attended);
  const Value hidden = ops::Gelu(ops::Linear(norm(middle, kLn2), matrices.Matrix(tape, Position(layer, kMlpIn))));
  const Value out = ops::Linear(hidden, matrices.Matrix(tape, Position(layer, kMlpOut)));
  return ops::Add(middle, Drop(out, dropout, shape().layers, 3 + 3 * layer));
}

Value GptModel::Logits(Tape& tape, MatrixSource& matrices, const Tensor& tokens, const Dropout& dropout) {
  const Value table = tape.Leaf(parameters()[0]);
  const Value positions = tape.Leaf(parameters()[1]);
  Value x = Drop(ops::Add(ops::Embedding(table, tokens), positions), dropout, shape().layers, 0);
  for (std::int64_t layer = 0; layer < shape().layers && x.defined(); ++layer) {
    x = Block(tape, matrices, layer, x, dropout);
  }
  if (!x.defined()) return x;
  const Value last = ops::LayerNorm(x, tape.Leaf(parameters().back()), Value(), kEpsilon);
  return ops::Linear(ops::Reshape(last, {-1, shape().width}), table);
}

}  // namespace train_lm
