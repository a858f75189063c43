// StridedPlan: a loop over operands of any layout, as kernels take it: dimensions sorted and joined by the host
// (host/strided_loop.h), so that what lies side by side in all operands is one dimension.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_STRIDED_PLAN_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_STRIDED_PLAN_H_

#include <cstdint>
#include <span>

#include "autograd/kernels/operand.h"
#include "base/cuda/grid.h"

namespace tierlib::autograd::cuda {

struct StridedPlan {
  static constexpr int kMostOperands = 4;

  int rank = 0;                                              // at least 1
  std::int64_t elements = 0;                                 // in all
  std::int64_t sizes[Dims::kMaxRank] = {};                   // the last one is densest in operand 0
  std::int64_t strides[kMostOperands][Dims::kMaxRank] = {};  // in elements

  TIERLIB_HOST_DEVICE std::int64_t inner_size() const { return sizes[rank - 1]; }
  TIERLIB_HOST_DEVICE std::int64_t inner_stride(int operand) const { return strides[operand][rank - 1]; }

  // offsets[o]: where operand o has element `index` of the loop.
  template <int kOperands>
  TIERLIB_HOST_DEVICE void Locate(std::int64_t index, std::int64_t* offsets) const {
    for (int o = 0; o < kOperands; ++o) offsets[o] = 0;
    if (elements <= 0xffffffff) {  // 64-bit divisions are slow on a GPU
      Split<kOperands>(static_cast<std::uint32_t>(index), offsets);
    } else {
      Split<kOperands>(static_cast<std::uint64_t>(index), offsets);
    }
  }

 private:
  template <int kOperands, typename Index>
  TIERLIB_HOST_DEVICE void Split(Index index, std::int64_t* offsets) const {
    for (int d = rank - 1; d > 0; --d) {
      const Index size = static_cast<Index>(sizes[d]);
      const auto at = static_cast<std::int64_t>(index % size);
      for (int o = 0; o < kOperands; ++o) offsets[o] += at * strides[o][d];
      index /= size;
    }
    for (int o = 0; o < kOperands; ++o) offsets[o] += static_cast<std::int64_t>(index) * strides[o][0];
  }
};

// Operand 0 is `y`, whose sizes the loop has; the sources broadcast to them. REQUIRES: at most three sources.
StridedPlan MakeStridedPlan(const host::Target& y, std::span<const host::Source> sources);

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_STRIDED_PLAN_H_
