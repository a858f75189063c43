// What a training loop does with gradients besides the optimizer's step: clip, clear; and the learning rate's schedule.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "autograd/kernels/gradient_norm.h"
#include "autograd/launch.h"
#include "tierlib/autograd/optimizer.h"

namespace tierlib::autograd {

Status ClipGradientNorm(Context& context, const std::vector<Parameter*>& parameters, double max_norm) {
  if (!(max_norm > 0)) return InvalidArgumentError("clip: max_norm " + std::to_string(max_norm) + " is not above 0");
  auto tensors = std::make_shared<std::vector<host::GradientTensor>>();
  Operands norm;
  Operands scale;
  absl::flat_hash_set<const Parameter*> listed;
  for (const Parameter* parameter : parameters) {
    // It would be scaled twice, by two threads at once.
    if (!listed.insert(parameter).second) {
      return InvalidArgumentError("clip: " + parameter->name + " is listed twice");
    }
    const Tensor& gradient = parameter->gradient;
    if (!gradient.defined()) continue;
    if (!gradient.layout().is_contiguous()) {
      return InvalidArgumentError("clip: the gradient of " + parameter->name +
                                  " is not row-major: " + gradient.layout().ToString());
    }
    tensors->push_back(host::GradientTensor{gradient.dtype(), gradient.elements(), gradient.data()});
    norm.reads.push_back(&gradient);
    scale.updates.push_back(&gradient);
  }
  if (tensors->empty()) return OkStatus();
  const Launcher launcher(context, "clip_gradient_norm", /*backward=*/true);
  TIERLIB_ASSIGN_OR_RETURN(const Tensor coefficient, launcher.New(DType::kF64, {2}));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(host::GradientNormWorkspaceBytes(*tensors)));
  norm.writes.push_back(&coefficient);
  if (workspace.defined()) norm.writes.push_back(&workspace);
  scale.reads.push_back(&coefficient);
  const host::GradientNormArguments find{.tensors = *tensors,
                                         .max_norm = max_norm,
                                         .coefficient = static_cast<double*>(coefficient.data()),
                                         .workspace = AddressOrNull(workspace)};
  TIERLIB_RETURN_IF_ERROR(launcher.Launch("gradient norm", norm, host::GradientNorm, find, tensors));
  const host::ScaleGradientsArguments apply{.tensors = *tensors,
                                            .coefficient = static_cast<const double*>(coefficient.data())};
  return launcher.Launch("scale gradients", scale, host::ScaleGradients, apply, tensors);
}

void ClearGradients(const std::vector<Parameter*>& parameters) {
  for (Parameter* parameter : parameters) parameter->gradient = Tensor();
}

double CosineLearningRate(std::uint64_t step, double peak, double floor, std::uint64_t warmup, std::uint64_t total) {
  if (step < warmup) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup + 1);
  if (step >= total) return floor;
  const double done = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
  return floor + 0.5 * (1 + std::cos(std::numbers::pi * done)) * (peak - floor);
}

}  // namespace tierlib::autograd
