// A model: parameters on a device, and the loss of a batch. The architectures are gpt.h and llama.h.
#ifndef TRAIN_LM_MODEL_H_
#define TRAIN_LM_MODEL_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "tierlib/autograd/ops.h"
#include "tierlib/autograd/optimizer.h"
#include "tierlib/autograd/tape.h"
#include "train_lm/weights.h"

namespace train_lm {

// How a forward pass sees the matrices of the blocks: as they are, clustered, or replaced for evaluation.
class MatrixSource {
 public:
  virtual ~MatrixSource() = default;
  // The matrix with this position in the parameters, as a value of the tape.
  virtual tierlib::autograd::Value Matrix(tierlib::autograd::Tape& tape, std::size_t parameter) = 0;
};

struct Dropout {
  double p = 0;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
};

// Parameters are persistent tensors on the context's device. Thread-safety: one thread at a time.
class Model {
 public:
  // A model of the architecture that `shape` names.
  static tierlib::StatusOr<std::unique_ptr<Model>> Create(tierlib::autograd::Context& context, const ModelShape& shape,
                                                          const HostWeights& weights);
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // The mean cross-entropy of `tokens` [B, T] against `targets` [B * T], both i32. Errors stick to the tape.
  tierlib::autograd::Value Loss(tierlib::autograd::Tape& tape, MatrixSource& matrices,
                                const tierlib::autograd::Tensor& tokens, const tierlib::autograd::Tensor& targets,
                                const Dropout& dropout);
  // [B * T, vocabulary]; undefined where the tape failed.
  virtual tierlib::autograd::Value Logits(tierlib::autograd::Tape& tape, MatrixSource& matrices,
                                          const tierlib::autograd::Tensor& tokens, const Dropout& dropout) = 0;

  const ModelShape& shape() const { return shape_; }
  const std::vector<WeightSpec>& specs() const { return specs_; }
  // Parallel to specs(). The addresses stay.
  std::vector<tierlib::autograd::Parameter>& parameters() { return parameters_; }
  std::vector<tierlib::autograd::Parameter*> parameter_pointers();

 protected:
  explicit Model(const ModelShape& shape) : shape_(shape), specs_(WeightsOf(shape)) {}

 private:
  const ModelShape shape_;
  const std::vector<WeightSpec> specs_;
  std::vector<tierlib::autograd::Parameter> parameters_;
};

}  // namespace train_lm

#endif  // TRAIN_LM_MODEL_H_
