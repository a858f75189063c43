// AdamW with weight-decay groups, gradient clipping and the cosine schedule.
#ifndef TIERLIB_AUTOGRAD_OPTIMIZER_H_
#define TIERLIB_AUTOGRAD_OPTIMIZER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "tierlib/autograd/tape.h"
#include "tierlib/status.h"

namespace tierlib::autograd {

// Decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101), bias-corrected moments, as torch.optim.AdamW computes
// it.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.99;
  double epsilon = 1e-8;
};

// State per parameter: two float32 moments (float64 for f64) and, for 16-bit parameters, a float32 master copy.
class AdamW {
 public:
  struct Group {
    std::vector<Parameter*> parameters;  // outlive the optimizer
    double weight_decay = 0;
  };
  // InvalidArgument where a parameter cannot be updated or is listed twice.
  static StatusOr<std::unique_ptr<AdamW>> Create(Context& context, std::vector<Group> groups,
                                                 AdamWOptions options = {});
  ~AdamW();

  // One update of every parameter that has a gradient; the bias correction counts all steps. Enqueues and returns. An
  // error enqueued and counted nothing.
  Status Step(double learning_rate);

  // State for checkpoints, in a stable order: "<parameter>.exp_avg", "<parameter>.exp_avg_sq", "<parameter>.master".
  struct NamedTensor {
    std::string name;
    Tensor tensor;
  };
  std::vector<NamedTensor> state_tensors() const;
  std::uint64_t steps() const;
  void set_steps(std::uint64_t steps);

 private:
  struct State;
  explicit AdamW(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Scales all gradients by max_norm / (norm + 1e-6) where their joint 2-norm exceeds max_norm, as
// torch.nn.utils.clip_grad_norm_. The norm is summed in float64 in a fixed order and stays on the device: no host wait.
// InvalidArgument where a parameter is listed twice.
Status ClipGradientNorm(Context& context, const std::vector<Parameter*>& parameters, double max_norm);

// Drops all gradients.
void ClearGradients(const std::vector<Parameter*>& parameters);

// Linear warm-up to `peak` over `warmup` steps (step 0 gives peak / (warmup + 1)), then a cosine down to `floor` at
// `total`.
double CosineLearningRate(std::uint64_t step, double peak, double floor, std::uint64_t warmup, std::uint64_t total);

}  // namespace tierlib::autograd

#endif  // TIERLIB_AUTOGRAD_OPTIMIZER_H_
