// Causal self-attention that keeps no score matrix: tiles of scores stay on the worker's stack, and backward computes
// them again from q, k and the log-sum-exp of each row (Dao et al., arXiv 2205.14135).
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_ATTENTION_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_ATTENTION_H_

#include <cstddef>
#include <cstdint>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// A [B, H, T, D] tensor whose last stride is 1; the others in elements. Slices of one [B, T, 3 C] buffer are such
// tensors, as sources and as targets.
struct AttentionSource {
  const void* data = nullptr;
  std::int64_t batch_stride = 0;
  std::int64_t head_stride = 0;
  std::int64_t row_stride = 0;
};
struct AttentionTarget {
  void* data = nullptr;
  std::int64_t batch_stride = 0;
  std::int64_t head_stride = 0;
  std::int64_t row_stride = 0;
};

// Largest head_size; the composed form has no limit.
inline constexpr std::int64_t kMaxAttentionHeadSize = 256;

struct AttentionShape {
  DType dtype = DType::kF32;
  std::int64_t batch = 0;
  std::int64_t heads = 0;
  std::int64_t length = 0;     // T
  std::int64_t head_size = 0;  // D <= kMaxAttentionHeadSize
  double scale = 1;            // of the scores, usually 1 / sqrt(D)
  // Dropout of the probabilities; element ((b * H + h) * T + i) * T + j of dropout.h's mask for (seed, counter), that
  // is the mask that Dropout draws for a [B, H, T, T] tensor.
  double dropout = 0;
  std::uint64_t seed = 0;
  std::uint64_t counter = 0;
};

// log_sum_exp: [B, H, T] of ComputeType(dtype), of the scaled scores.
struct AttentionForwardArguments {
  AttentionShape shape;
  AttentionSource q;
  AttentionSource k;
  AttentionSource v;
  AttentionTarget out;
  void* log_sum_exp = nullptr;
};
void AttentionForward(KernelContext& context, const AttentionForwardArguments& a);

// dq, dk and dv are overwritten.
struct AttentionBackwardArguments {
  AttentionShape shape;
  AttentionSource q;
  AttentionSource k;
  AttentionSource v;
  AttentionSource out;
  const void* log_sum_exp = nullptr;
  AttentionSource dout;
  AttentionTarget dq;
  AttentionTarget dk;
  AttentionTarget dv;
  void* workspace = nullptr;  // AttentionBackwardWorkspaceBytes; may be null where that is 0
};
void AttentionBackward(KernelContext& context, const AttentionBackwardArguments& a);
std::size_t AttentionBackwardWorkspaceBytes(const AttentionShape& shape);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_ATTENTION_H_
