// The AdamW update (Loshchilov & Hutter, arXiv 1711.05101) as torch.optim.AdamW computes it, for many parameters at
// once.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_ADAMW_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_ADAMW_H_

#include <cstdint>
#include <span>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// One parameter, row-major. The moments are of ComputeType(dtype).
struct AdamWTensor {
  DType dtype = DType::kF32;  // of value and gradient
  std::int64_t count = 0;
  double weight_decay = 0;
  void* value = nullptr;
  const void* gradient = nullptr;
  void* exp_avg = nullptr;
  void* exp_avg_sq = nullptr;
  void* master = nullptr;  // float32 copy of a bf16 or f16 value, which is then its rounding; null otherwise
};

// With g the gradient and t = step:
//   value  *= 1 - learning_rate * weight_decay
//   avg     = beta1 avg + (1 - beta1) g,   avg_sq = beta2 avg_sq + (1 - beta2) g^2
//   value  -= learning_rate / (1 - beta1^t) * avg / (sqrt(avg_sq) / sqrt(1 - beta2^t) + epsilon)
// The span's memory is the host's and must live until the kernel has run.
struct AdamWArguments {
  std::span<const AdamWTensor> tensors;
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double epsilon = 1e-8;
  std::uint64_t step = 1;  // of this update: 1 for the first
};
void AdamW(KernelContext& context, const AdamWArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_ADAMW_H_
