#include "train_lm/llama.h"

namespace train_lm {

using tierlib::autograd::Tape;
using tierlib::autograd::Tensor;
using tierlib::autograd::Value;
namespace ops = tierlib::autograd;

llama::Shape LlamaShapeOf(const ModelShape& shape) {
  llama::Shape llama;
  llama.vocabulary = shape.vocabulary;
  llama.context = shape.context;
  llama.layers = shape.layers;
  llama.heads = shape.heads;
  llama.kv_heads = shape.llama->kv_heads;
  llama.width = shape.width;
  llama.hidden = shape.llama->hidden;
  llama.tied = shape.llama->tied;
  llama.norm_epsilon = shape.llama->norm_epsilon;
  llama.rope_theta = shape.llama->rope_theta;
  llama.pairs = ops::RotaryPairs::kHalves;
  return llama;
}

Value LlamaModel::Norm(Tape& tape, const Value& x, std::size_t position) {
  return ops::RmsNorm(x, tape.Leaf(parameters()[position]), llama_.norm_epsilon);
}

Value LlamaModel::Attention(Tape& tape, MatrixSource& matrices, std::int64_t layer, const Value& x,
                            const Dropout& dropout) {
  const std::int64_t batch = x.sizes()[0];
  const std::int64_t time = x.sizes()[1];
  const std::int64_t d = llama_.head_width();
  const auto project = [&](llama::LayerWeight weight, std::int64_t heads) {
    const Value rows = ops::Linear(x, matrices.Matrix(tape, llama::Position(layer, weight)));
    return ops::Reshape(rows, {batch, time, heads, d});
  };
  const auto turn = [&](const Value& rows) {
    return ops::Rotary(rows, {.position_dim = 1, .theta = llama_.rope_theta, .pairs = llama_.pairs});
  };
  // [B, T, kv_heads, D] as [B, heads, T, D]: each for the group of heads that shares it.
  const std::int64_t group = llama_.heads / llama_.kv_heads;
  const auto share = [&](const Value& rows) {
    const Value by_head = ops::Transpose(rows, 1, 2);
    if (group == 1) return by_head;
    const Value repeated = ops::Expand(ops::Unsqueeze(by_head, 2), {batch, llama_.kv_heads, group, time, d});
    return ops::Reshape(repeated, {batch, llama_.heads, time, d});
  };
  const Value queries = ops::Transpose(turn(project(llama::kQueries, llama_.heads)), 1, 2);
  const Value keys = share(turn(project(llama::kKeys, llama_.kv_heads)));
  const Value values = share(project(llama::kValues, llama_.kv_heads));
  const Value mixed = ops::CausalAttention(
      queries, keys, values, ops::AttentionForm::kFused, dropout.p, dropout.seed,
      dropout.step * static_cast<std::uint64_t>(llama_.layers) + static_cast<std::uint64_t>(layer));
  const Value joined = ops::Reshape(ops::Transpose(mixed, 1, 2), {batch, time, llama_.width});
  return ops::Linear(joined, matrices.Matrix(tape, llama::Position(layer, llama::kAttentionOut)));
}

Value LlamaModel::FeedForward(Tape& tape, MatrixSource& matrices, std::int64_t layer, const Value& x) {
  const auto project = [&](const Value& from, llama::LayerWeight weight) {
    return ops::Linear(from, matrices.Matrix(tape, llama::Position(layer, weight)));
  };
  return project(ops::Mul(ops::Silu(project(x, llama::kGate)), project(x, llama::kUp)), llama::kDown);
}

Value LlamaModel::Logits(Tape& tape, MatrixSource& matrices, const Tensor& tokens, const Dropout& dropout) {
  const Value table = tape.Leaf(parameters()[0]);
  Value x = ops::Embedding(table, tokens);
  for (std::int64_t layer = 0; layer < llama_.layers && x.defined(); ++layer) {
    const Value attended =
        Attention(tape, matrices, layer, Norm(tape, x, llama::Position(layer, llama::kInputNorm)), dropout);
    if (!attended.defined()) return attended;
    x = ops::Add(x, attended);
    x = ops::Add(x, FeedForward(tape, matrices, layer, Norm(tape, x, llama::Position(layer, llama::kMiddleNorm))));
  }
  if (!x.defined()) return x;
  const Value last = Norm(tape, x, llama::LastNormPosition(llama_));
  const Value head = llama_.tied ? table : tape.Leaf(parameters()[llama::HeadPosition(llama_)]);
  return ops::Linear(ops::Reshape(last, {-1, llama_.width}), head);
}

}  // namespace train_lm
