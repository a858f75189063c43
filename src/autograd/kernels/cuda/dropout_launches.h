// Dropout on CUDA devices, with the host's masks to the bit: the same Philox blocks. Reference: host/dropout.cc.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_DROPOUT_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_DROPOUT_LAUNCHES_H_

#include <array>
#include <cstdint>

#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/cuda/elementwise_launches.h"
#include "autograd/kernels/dropout.h"
#include "autograd/kernels/host/dropout_mask.h"
#include "base/random.h"

namespace tierlib::autograd::cuda {

// A mask as kernels carry it: host/dropout_mask.h.
struct Mask {
  std::uint64_t seed = 0;
  std::uint64_t counter = 0;
  std::uint64_t threshold = 0;
  double kept = 1;  // what a kept value is multiplied with

  static Mask Of(double p, std::uint64_t seed, std::uint64_t counter) {
    return {seed, counter, host::DropoutMask::Threshold(p), host::KeptScale(p)};
  }
  // Whether elements 4 group, ..., 4 group + 3 are kept: bits 0 to 3.
  TIERLIB_HOST_DEVICE unsigned Keeps(std::uint64_t group) const {
    const std::array<std::uint32_t, 4> block = PhiloxBlock(seed, counter, group);
    unsigned keeps = 0;
    for (unsigned i = 0; i < 4; ++i) keeps |= (block[i] >= threshold ? 1u : 0u) << i;
    return keeps;
  }
};

// A thread takes the four elements of one Philox block after the other.
template <class Format>
struct DropoutKernel : PlainKernel {
  using T = typename Format::Compute;
  using Bits = typename Format::Bits;
  Mask mask;
  std::int64_t count = 0;
  const Bits* x = nullptr;
  Bits* y = nullptr;
  int blocks = 0;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const T kept = static_cast<T>(mask.kept);
    const std::int64_t step = std::int64_t{blocks} * kThreads;
    for (std::int64_t group = std::int64_t{block} * kThreads + thread; 4 * group < count; group += step) {
      const unsigned keeps = mask.Keeps(static_cast<std::uint64_t>(group));
      const std::int64_t first = 4 * group;
      for (int i = 0; i < 4 && first + i < count; ++i) {
        const T factor = (keeps >> i & 1) != 0 ? kept : T{0};
        y[first + i] = Format::Store(Format::Load(x[first + i]) * factor);
      }
    }
  }
};

template <class Grid>
Status Run(Grid& grid, const host::DropoutArguments& a, void*) {
  if (a.count == 0) return OkStatus();
  return WithFormat(a.dtype, [&](auto format) {
    DropoutKernel<decltype(format)> kernel;
    kernel.mask = Mask::Of(a.p, a.seed, a.counter);
    kernel.count = a.count;
    kernel.x = static_cast<const typename decltype(format)::Bits*>(a.x);
    kernel.y = static_cast<typename decltype(format)::Bits*>(a.y);
    kernel.blocks = MapBlocks(grid, (a.count + 3) / 4);
    return grid.Run(kernel, kernel.blocks);
  });
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_DROPOUT_LAUNCHES_H_
