#include "train_lm/model.h"

namespace train_lm {
namespace {

using tierlib::Dims;
using tierlib::StatusOr;
using tierlib::autograd::Context;
using tierlib::autograd::Parameter;
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

StatusOr<std::unique_ptr<Model>> Model::Create(Context& context, const ModelShape& shape, const HostWeights& weights) {
  std::unique_ptr<Model> model(new Model);
  model->shape_ = shape;
  model->specs_ = WeightsOf(shape);
  model->parameters_.reserve(model->specs_.size());
  for (std::size_t i = 0; i < model->specs_.size(); ++i) {
    const WeightSpec& spec = model->specs_[i];
    const Dims sizes(spec.sizes.data(), static_cast<int>(spec.sizes.size()));
    TIERLIB_ASSIGN_OR_RETURN(Tensor value, Tensor::FromHost(context, weights[i].dtype, sizes, weights[i].bytes.data(),
                                                            tierlib::Holds::kPersistent, spec.name));
    model->parameters_.push_back(Parameter{spec.name, std::move(value), Tensor()});
  }
  return model;
}

std::vector<Parameter*> Model::parameter_pointers() {
  std::vector<Parameter*> pointers;
  for (Parameter& parameter : parameters_) pointers.push_back(&parameter);
  return pointers;
}

Value Model::Attention(Tape& tape, MatrixSource& matrices, std::int64_t layer, const Value& x, const Dropout& dropout) {
  const std::int64_t batch = x.sizes()[0];
  const std::int64_t context = x.sizes()[1];
  const Value together = ops::Linear(x, matrices.Matrix(tape, Position(layer, kAttention)));
  if (!together.defined()) return together;
  std::vector<Value> heads = ops::Split(together, 3, -1);  // queries, keys, values
  for (Value& each : heads) {
    each = ops::Transpose(ops::Reshape(each, {batch, context, shape_.heads, shape_.width / shape_.heads}), 1, 2);
  }
  const Value mixed = ops::CausalAttention(heads[0], heads[1], heads[2], ops::AttentionForm::kFused, dropout.p,
                                           dropout.seed, Counter(dropout, shape_.layers, 1 + 3 * layer));
  const Value joined = ops::Reshape(ops::Transpose(mixed, 1, 2), {batch, context, shape_.width});
  const Value out = ops::Linear(joined, matrices.Matrix(tape, Position(layer, kAttentionOut)));
  return Drop(out, dropout, shape_.layers, 2 + 3 * layer);
}

Value Model::Block(Tape& tape, MatrixSource& matrices, std::int64_t layer, const Value& x, const Dropout& dropout) {
  const auto norm = [&](const Value& in, BlockWeight weight) {
    return ops::LayerNorm(in, tape.Leaf(parameters_[Position(layer, weight)]), Value(), kEpsilon);
  };
  const Value attended = Attention(tape, matrices, layer, norm(x, kLn1), dropout);
  if (!attended.defined()) return attended;
  const Value middle = ops::Add(x, attended);
  const Value hidden = ops::Gelu(ops::Linear(norm(middle, kLn2), matrices.Matrix(tape, Position(layer, kMlpIn))));
  const Value out = ops::Linear(hidden, matrices.Matrix(tape, Position(layer, kMlpOut)));
  return ops::Add(middle, Drop(out, dropout, shape_.layers, 3 + 3 * layer));
}

Value Model::Loss(Tape& tape, MatrixSource& matrices, const Tensor& tokens, const Tensor& targets,
                  const Dropout& dropout) {
  const Value table = tape.Leaf(parameters_[0]);
  const Value positions = tape.Leaf(parameters_[1]);
  Value x = Drop(ops::Add(ops::Embedding(table, tokens), positions), dropout, shape_.layers, 0);
  for (std::int64_t layer = 0; layer < shape_.layers && x.defined(); ++layer) {
    x = Block(tape, matrices, layer, x, dropout);
  }
  if (!x.defined()) return x;
  const Value last = ops::LayerNorm(x, tape.Leaf(parameters_.back()), Value(), kEpsilon);
  const Value rows = ops::Reshape(last, {-1, shape_.width});
  const Value logits = ops::Linear(rows, table);
  // The loss has the dtype of the logits: 16 bits would leave it three digits.
  const bool narrow = tierlib::ElementBytes(table.dtype()) == 2;
  return ops::CrossEntropy(narrow ? ops::Cast(logits, tierlib::DType::kF32) : logits, targets);
}

}  // namespace train_lm
