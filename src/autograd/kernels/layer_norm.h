// Normalisation over the last dimension: LayerNorm (Ba, Kiros, Hinton, arXiv 1607.06450) and RMSNorm (Zhang, Sennrich,
// arXiv 1910.07467), which is the same with a mean of 0.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_LAYER_NORM_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_LAYER_NORM_H_

#include <cstddef>
#include <cstdint>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// y = (x - mean) * rstd * weight + bias per row, rstd = 1 / sqrt(variance + epsilon), the variance over `columns`
// (biased). x, y: [rows, columns] row-major; weight, bias: [columns]; all of one dtype. mean, rstd: [rows] of
// ComputeType(dtype). Where `mean` is null it counts as 0, and rstd is the reciprocal of the root mean square:
// y = x / sqrt(mean of x^2 + epsilon) * weight.
struct LayerNormForwardArguments {
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  double epsilon = 1e-5;
  const void* x = nullptr;
  const void* weight = nullptr;
  const void* bias = nullptr;  // may be null
  void* y = nullptr;
  void* mean = nullptr;  // null: RMSNorm
  void* rstd = nullptr;
};
void LayerNormForward(KernelContext& context, const LayerNormForwardArguments& a);

// Each of dx, dweight and dbias may be null; otherwise it is overwritten. dx may be the same memory as dy.
struct LayerNormBackwardArguments {
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  const void* dy = nullptr;
  const void* x = nullptr;
  const void* weight = nullptr;
  const void* mean = nullptr;  // null: RMSNorm
  const void* rstd = nullptr;
  void* dx = nullptr;
  void* dweight = nullptr;
  void* dbias = nullptr;
  void* workspace = nullptr;  // LayerNormBackwardWorkspaceBytes
};
void LayerNormBackward(KernelContext& context, const LayerNormBackwardArguments& a);
std::size_t LayerNormBackwardWorkspaceBytes(DType dtype, std::int64_t rows, std::int64_t columns);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_LAYER_NORM_H_
