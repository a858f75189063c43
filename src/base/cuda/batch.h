// Batches: one launch for kernels of one type that work on several problems.
//
// The kernels lie in device memory. A launch has as many blocks for each as the largest of them asks for; a block finds
// its kernel by its number and does what that kernel's block would do alone, so results are those of single launches to
// the bit. Blocks that a kernel has not asked for end at once. Kernels of a batch run side by side, in no order: none
// may touch what another one writes.
//
// Thread-safety: functions of memory that the caller names.
#ifndef TIERLIB_SRC_BASE_CUDA_BATCH_H_
#define TIERLIB_SRC_BASE_CUDA_BATCH_H_

#include <cstddef>
#include <cstdint>

#include "base/cuda/grid.h"

namespace tierlib {

// A kernel that is launched once for each step of something has SetStep(step), step = 0, 1, ..., which returns false
// where it has no such step.
template <class Kernel>
concept HasSteps = requires(Kernel kernel) {
  kernel.SetStep(0);
};

// Blocks that a kernel asks for: its `blocks`, or one. 0: there is nothing to do.
template <class Kernel>
TIERLIB_HOST_DEVICE inline int BlocksOf(const Kernel& kernel) {
  if constexpr (requires { kernel.blocks; }) {
    return kernel.blocks;
  } else {
    return 1;
  }
}

// Bytes of shared memory of a block.
template <class Kernel>
std::size_t SharedBytesOf(const Kernel& kernel) {
  if constexpr (requires { kernel.SharedBytes(); }) {
    return kernel.SharedBytes();
  } else {
    return sizeof(typename Kernel::Shared);
  }
}

// Which kernel of a batch a block works for, and which of its blocks it is.
struct BatchPlace {
  int kernel = 0;
  int block = 0;
};
TIERLIB_HOST_DEVICE inline BatchPlace PlaceInBatch(int block, int blocks_each) {
  return {block / blocks_each, block % blocks_each};
}

// Goes to Grid::Run as a kernel does, with blocks_each blocks for each of its kernels.
template <class Kernel>
struct Batch {
  using Shared = typename Kernel::Shared;
  static constexpr int kThreads = Kernel::kThreads;

  const std::byte* first = nullptr;  // a Kernel in device memory
  std::int64_t stride = 0;           // bytes from one to the next
  int blocks_each = 1;
  int step = -1;  // of a kernel with steps; -1: as it lies there

  // Arguments of a kernel are in registers, so these are copied.
  TIERLIB_HOST_DEVICE Kernel At(int kernel) const {
    return *reinterpret_cast<const Kernel*>(first + std::int64_t{kernel} * stride);
  }
};

template <class Kernel, class Threads>
TIERLIB_HOST_DEVICE inline void RunBlock(const Batch<Kernel>& batch, int block, typename Kernel::Shared* shared,
                                         const Threads& threads) {
  const BatchPlace place = PlaceInBatch(block, batch.blocks_each);
  Kernel kernel = batch.At(place.kernel);
  if constexpr (HasSteps<Kernel>) {
    if (batch.step >= 0 && !kernel.SetStep(batch.step)) return;
  }
  if (place.block >= BlocksOf(kernel)) return;
  RunBlock(static_cast<const Kernel&>(kernel), place.block, shared, threads);
}

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_CUDA_BATCH_H_
