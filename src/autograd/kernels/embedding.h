// Rows of a table by index, and the sum of their gradients.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_EMBEDDING_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_EMBEDDING_H_

#include <cstddef>
#include <cstdint>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// y[i] = table[indices[i]]. table: [vocabulary, width], indices: [count], y: [count, width], row-major. An index
// outside [0, vocabulary) gives a row of NaN.
struct EmbeddingForwardArguments {
  DType dtype = DType::kF32;
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;
  std::int64_t count = 0;
  const void* table = nullptr;
  const std::int32_t* indices = nullptr;
  void* y = nullptr;
};
void EmbeddingForward(KernelContext& context, const EmbeddingForwardArguments& a);

// dtable[v] = sum of dy[i] over all i with indices[i] == v, in ascending i and in ComputeType; all of dtable is
// written. Indices outside the vocabulary are left out.
struct EmbeddingBackwardArguments {
  DType dtype = DType::kF32;
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;
  std::int64_t count = 0;
  const std::int32_t* indices = nullptr;
  const void* dy = nullptr;
  void* dtable = nullptr;
  void* workspace = nullptr;  // EmbeddingBackwardWorkspaceBytes
};
void EmbeddingBackward(KernelContext& context, const EmbeddingBackwardArguments& a);
std::size_t EmbeddingBackwardWorkspaceBytes(std::int64_t vocabulary, std::int64_t count);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_EMBEDDING_H_
