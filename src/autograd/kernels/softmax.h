// Softmax over one dimension of a row-major tensor, seen as [outer, size, inner] (inner is 1 for the last dimension).
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_SOFTMAX_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_SOFTMAX_H_

#include <cstdint>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// y = exp(x - max) / sum(exp(x - max)). A slice that is all -inf gives NaN. y may be the same memory as x.
struct SoftmaxForwardArguments {
  DType dtype = DType::kF32;
  std::int64_t outer = 0;
  std::int64_t size = 0;
  std::int64_t inner = 1;
  const void* x = nullptr;
  void* y = nullptr;
};
void SoftmaxForward(KernelContext& context, const SoftmaxForwardArguments& a);

// dx = y * (dy - sum(y * dy)). dx may be the same memory as dy.
struct SoftmaxBackwardArguments {
  DType dtype = DType::kF32;
  std::int64_t outer = 0;
  std::int64_t size = 0;
  std::int64_t inner = 1;
  const void* y = nullptr;
  const void* dy = nullptr;
  void* dx = nullptr;
};
void SoftmaxBackward(KernelContext& context, const SoftmaxBackwardArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_SOFTMAX_H_
