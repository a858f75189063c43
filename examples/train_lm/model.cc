#include "train_lm/model.h"

#include "train_lm/gpt.h"
#include "train_lm/llama.h"

namespace train_lm {

using tierlib::Dims;
using tierlib::StatusOr;
using tierlib::autograd::Context;
using tierlib::autograd::Parameter;
using tierlib::autograd::Tape;
using tierlib::autograd::Tensor;
using tierlib::autograd::Value;

StatusOr<std::unique_ptr<Model>> Model::Create(Context& context, const ModelShape& shape, const HostWeights& weights) {
  std::unique_ptr<Model> model;
  if (shape.llama) {
    model = std::make_unique<LlamaModel>(shape);
  } else {
    model = std::make_unique<GptModel>(shape);
  }
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

Value Model::Loss(Tape& tape, MatrixSource& matrices, const Tensor& tokens, const Tensor& targets,
                  const Dropout& dropout) {
  const Value logits = Logits(tape, matrices, tokens, dropout);
  if (!logits.defined()) return logits;
  // The loss has the dtype of the logits: 16 bits would leave it three digits.
  const bool narrow = tierlib::ElementBytes(logits.dtype()) == 2;
  return tierlib::autograd::CrossEntropy(narrow ? tierlib::autograd::Cast(logits, tierlib::DType::kF32) : logits,
                                         targets);
}

}  // namespace train_lm
