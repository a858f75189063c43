// The joint 2-norm of many gradients and their scaling, without a host wait in between.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_GRADIENT_NORM_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_GRADIENT_NORM_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

struct GradientTensor {
  DType dtype = DType::kF32;
  std::int64_t count = 0;  // row-major elements
  void* data = nullptr;
};

// coefficient[0] = max_norm / (norm + 1e-6) where that is below 1, otherwise 1; coefficient[1] = norm. Summed in
// float64 in fixed blocks. A NaN or infinity anywhere gives what torch.nn.utils.clip_grad_norm_ gives (NaN, or 0 for
// infinity). The span's memory is the host's and must live until the kernel has run.
struct GradientNormArguments {
  std::span<const GradientTensor> tensors;
  double max_norm = 1;
  double* coefficient = nullptr;  // two values of device memory
  void* workspace = nullptr;      // GradientNormWorkspaceBytes
};
void GradientNorm(KernelContext& context, const GradientNormArguments& a);
std::size_t GradientNormWorkspaceBytes(std::span<const GradientTensor> tensors);

// Multiplies every gradient by coefficient[0]; where that is 1, nothing is touched.
struct ScaleGradientsArguments {
  std::span<const GradientTensor> tensors;
  const double* coefficient = nullptr;
};
void ScaleGradients(KernelContext& context, const ScaleGradientsArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_GRADIENT_NORM_H_
