// A loop over fixed blocks of many tensors, as if they stood one after the other: for kernels that treat all parameters
// at once.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_TENSOR_BLOCKS_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_TENSOR_BLOCKS_H_

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"

namespace tierlib::autograd::host {

inline constexpr std::int64_t kTensorBlock = 16384;

template <class Tensor>
std::int64_t TensorBlocks(std::span<const Tensor> tensors) {
  std::int64_t blocks = 0;
  for (const Tensor& tensor : tensors) blocks += (tensor.count + kTensorBlock - 1) / kTensorBlock;
  return blocks;
}

// Calls body(tensor, block, begin, end): elements [begin, end) of the tensor are block `block` of all. A block lies in
// one tensor, and which elements it has depends on the tensors' sizes only.
template <class Tensor, class Body>
void ForEachTensorBlock(ThreadPool& pool, std::span<const Tensor> tensors, const Body& body) {
  pool.ParallelFor(TensorBlocks(tensors), 1, [&](std::int64_t block, std::int64_t /*end*/) {
    std::int64_t rest = block;
    for (const Tensor& tensor : tensors) {
      const std::int64_t blocks = (tensor.count + kTensorBlock - 1) / kTensorBlock;
      if (rest < blocks) {
        body(tensor, block, rest * kTensorBlock, std::min(tensor.count, (rest + 1) * kTensorBlock));
        return;
      }
      rest -= blocks;
    }
  });
}

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_TENSOR_BLOCKS_H_
