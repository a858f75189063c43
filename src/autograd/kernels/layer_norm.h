// Layer normalisation over the last dimension (Ba, Kiros, Hinton, arXiv 1607.06450).
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_LAYER_NORM_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_LAYER_NORM_H_

#include <cstddef>
#include <cstdint>

#include "allocator/device_backend.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// y = (x - mean) * rstd * weight + bias per row, rstd = 1 / sqrt(variance + epsilon), the variance over `columns`
// (biased). x, y: [rows, columns] row-major; weight, bias: [columns]; all of one dtype. mean, rstd: [rows] of
// ComputeType(dtype).
struct LayerNormForwardArguments {
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  double epsilon = 1e-5;
  const void* x = nullptr;
  const void* weight = nullptr;
  const void* bias = nullptr;  // may be null
  void* y = nullptr;
  void* mean = nullptr;
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
  const void* mean = nullptr;
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
