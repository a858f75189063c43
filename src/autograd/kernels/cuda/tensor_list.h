// Lists of tensors in device memory, for kernels that treat all parameters in one launch. A list gets there by kernel
// arguments (store_words.h).
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_TENSOR_LIST_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_TENSOR_LIST_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/cuda/grid.h"
#include "base/cuda/store_words.h"
#include "tierlib/status.h"

namespace tierlib::autograd::cuda {

// Elements that a block of such a kernel takes. A block lies in one tensor.
inline constexpr std::int64_t kTensorBlock = 4096;

template <class Tensor>
struct ListedTensor {
  Tensor tensor;
  std::int64_t first_block = 0;  // of all blocks
};

inline std::int64_t BlocksOf(std::int64_t count) { return (count + kTensorBlock - 1) / kTensorBlock; }

template <class Tensor>
std::int64_t AllBlocks(std::span<const Tensor> tensors) {
  std::int64_t blocks = 0;
  for (const Tensor& tensor : tensors) blocks += BlocksOf(tensor.count);
  return blocks;
}

// A list as kernels see it.
template <class Tensor>
struct TensorList {
  const ListedTensor<Tensor>* tensors = nullptr;  // of the device
  int count = 0;

  // Calls body(tensor, i) for the elements i of block `block` that are the thread's.
  template <class Body>
  TIERLIB_HOST_DEVICE void ForEach(int block, int thread, const Body& body) const {
    int low = 0;
    for (int high = count; high - low > 1;) {  // the last one that begins at or before the block
      const int middle = low + (high - low) / 2;
      (tensors[middle].first_block <= block ? low : high) = middle;
    }
    const ListedTensor<Tensor> listed = tensors[low];
    const std::int64_t begin = (block - listed.first_block) * kTensorBlock;
    const std::int64_t end = begin + kTensorBlock < listed.tensor.count ? begin + kTensorBlock : listed.tensor.count;
    for (std::int64_t i = begin + thread; i < end; i += PlainKernel::kThreads) body(listed.tensor, i);
  }
};

template <class Tensor>
std::size_t TensorListBytes(std::span<const Tensor> tensors) {
  return tensors.size() * sizeof(ListedTensor<Tensor>);
}

// Puts the list of those that have elements into the workspace, of TensorListBytes. REQUIRES: fewer than 2^31 blocks.
template <class Tensor, class Grid>
StatusOr<TensorList<Tensor>> PutTensorList(Grid& grid, std::span<const Tensor> tensors, void* workspace) {
  static_assert(sizeof(ListedTensor<Tensor>) % sizeof(std::uint64_t) == 0);
  constexpr int kWords = sizeof(ListedTensor<Tensor>) / sizeof(std::uint64_t);
  constexpr int kAtOnce = StoreWords::kMost / kWords;
  auto* const listed = static_cast<ListedTensor<Tensor>*>(workspace);
  int put = 0;
  std::int64_t block = 0;
  StoreWords store;
  const auto flush = [&]() -> Status {
    if (store.count == 0) return OkStatus();
    store.to = reinterpret_cast<std::uint64_t*>(listed + put) - store.count;
    TIERLIB_RETURN_IF_ERROR(grid.Run(store, 1));
    store.count = 0;
    return OkStatus();
  };
  for (const Tensor& tensor : tensors) {
    if (tensor.count == 0) continue;
    const ListedTensor<Tensor> entry{tensor, block};
    std::memcpy(store.words + store.count, &entry, sizeof(entry));
    store.count += kWords;
    ++put;
    block += BlocksOf(tensor.count);
    if (store.count == kAtOnce * kWords) TIERLIB_RETURN_IF_ERROR(flush());
  }
  TIERLIB_RETURN_IF_ERROR(flush());
  if (block > 0x7fffffff) return InvalidArgumentError("parameters on a CUDA device: more than 2^43 elements in all");
  return TensorList<Tensor>{listed, put};
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_TENSOR_LIST_H_
