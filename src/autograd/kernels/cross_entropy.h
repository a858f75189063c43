// Softmax and cross-entropy in one: the mean over rows of log(sum(exp(row))) - row[target].
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CROSS_ENTROPY_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CROSS_ENTROPY_H_

#include <cstddef>
#include <cstdint>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// logits: [rows, classes] row-major of `dtype`; targets: [rows]. log_sum_exp: [rows] of ComputeType(dtype), for
// backward. loss: one value of `loss_dtype`, accumulated in float64. A target outside [0, classes) makes the loss NaN
// (a kernel cannot fail, and its row must not be read elsewhere).
struct CrossEntropyForwardArguments {
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t classes = 0;
  const void* logits = nullptr;
  const std::int32_t* targets = nullptr;
  void* log_sum_exp = nullptr;
  DType loss_dtype = DType::kF32;
  void* loss = nullptr;
  void* workspace = nullptr;  // CrossEntropyForwardWorkspaceBytes
};
void CrossEntropyForward(KernelContext& context, const CrossEntropyForwardArguments& a);
std::size_t CrossEntropyForwardWorkspaceBytes(std::int64_t rows);

// dlogits = (exp(logits - log_sum_exp) - onehot(targets)) * dloss / rows; rows of targets outside the classes become
// NaN. dloss: one value of `loss_dtype`. dlogits may be the same memory as logits.
struct CrossEntropyBackwardArguments {
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t classes = 0;
  const void* logits = nullptr;
  const std::int32_t* targets = nullptr;
  const void* log_sum_exp = nullptr;
  DType loss_dtype = DType::kF32;
  const void* dloss = nullptr;
  void* dlogits = nullptr;
};
void CrossEntropyBackward(KernelContext& context, const CrossEntropyBackwardArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CROSS_ENTROPY_H_
