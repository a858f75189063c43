#include "autograd/kernels/gradient_norm.h"

#include <algorithm>
#include <cmath>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/lanes_elementwise.h"
#include "autograd/kernels/host/lanes_rows.h"
#include "autograd/kernels/host/tensor_blocks.h"

namespace tierlib::autograd::host {

void GradientNorm(KernelContext& context, const GradientNormArguments& a) {
  auto* sums = static_cast<double*>(a.workspace);
  ForEachTensorBlock(context.pool, a.tensors,
                     [&](const GradientTensor& tensor, std::int64_t block, std::int64_t begin, std::int64_t end) {
                       WithComputeType(tensor.dtype, [&](auto type) {
                         using T = decltype(type);
                         T buffer[kChunk];
                         double sum = 0;
                         for (std::int64_t i = begin; i < end; i += kChunk) {
                           const std::int64_t n = std::min(kChunk, end - i);
                           const T* chunk = ReadChunk(tensor.dtype, tensor.data, i, 1, n, buffer);
                           sum += SquaredSumLanes(chunk, static_cast<std::size_t>(n));
                         }
                         sums[block] = sum;
                       });
                     });
  const double norm = std::sqrt(SumLanes(sums, static_cast<std::size_t>(TensorBlocks(a.tensors))));
  const double coefficient = a.max_norm / (norm + 1e-6);
  a.coefficient[0] = coefficient >= 1 ? 1 : coefficient;  // a NaN stays
  a.coefficient[1] = norm;
}

std::size_t GradientNormWorkspaceBytes(std::span<const GradientTensor> tensors) {
  return static_cast<std::size_t>(TensorBlocks(tensors)) * sizeof(double);
}

void ScaleGradients(KernelContext& context, const ScaleGradientsArguments& a) {
  const double coefficient = a.coefficient[0];
  if (coefficient == 1) return;
  ForEachTensorBlock(context.pool, a.tensors,
                     [&](const GradientTensor& tensor, std::int64_t /*block*/, std::int64_t begin, std::int64_t end) {
                       WithComputeType(tensor.dtype, [&](auto type) {
                         using T = decltype(type);
                         T x_buffer[kChunk];
                         T y_buffer[kChunk];
                         for (std::int64_t i = begin; i < end; i += kChunk) {
                           const std::int64_t n = std::min(kChunk, end - i);
                           const T* x = ReadChunk(tensor.dtype, tensor.data, i, 1, n, x_buffer);
                           T* y = OpenChunk(tensor.dtype, tensor.data, i, 1, y_buffer);
                           UnaryLanes(UnaryOp::kMulScalar, coefficient, 0, x, y, static_cast<std::size_t>(n));
                           CloseChunk(tensor.dtype, tensor.data, i, 1, n, y);
                         }
                       });
                     });
}

}  // namespace tierlib::autograd::host
