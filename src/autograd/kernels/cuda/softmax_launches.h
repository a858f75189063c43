// Softmax on CUDA devices: one launch forward, one backward. Reference: host/softmax.cc.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_SOFTMAX_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_SOFTMAX_LAUNCHES_H_

#include <cstdint>

#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/cuda/row_kernel.h"
#include "autograd/kernels/softmax.h"

namespace tierlib::autograd::cuda {

// A row is one slice: elements `inner` apart.
template <class Arguments>
TIERLIB_HOST_DEVICE inline std::int64_t SliceStart(const Arguments& a, std::int64_t row) {
  return row / a.inner * a.size * a.inner + row % a.inner;
}

template <typename T, int kGroup>
struct SoftmaxForwardKernel : RowKernel<kGroup> {
  using Base = RowKernel<kGroup>;
  using Shared = typename Base::Shared;
  static constexpr int kRoundPhases = 5;
  static constexpr int kMost = 0;
  static constexpr int kSum = 1;

  host::SoftmaxForwardArguments a;

  TIERLIB_HOST_DEVICE T X(std::int64_t start, std::int64_t j) const {
    return Read<T>(a.dtype, a.x, start + j * a.inner);
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const std::int64_t row = this->RowOf(round, block, thread);
    const std::int64_t start = SliceStart(a, row);
    const std::int64_t size = row < this->rows ? a.size : 0;
    const int lane = Base::LaneOf(thread);
    if constexpr (kPhase == 0) {
      double most = TakeMost::none();
      for (std::int64_t j = lane; j < size; j += kGroup) most = TakeMost{}(most, static_cast<double>(X(start, j)));
      shared->parts[kMost][thread] = most;
    } else if constexpr (kPhase == 1) {
      Base::Fold(shared, kMost, thread, TakeMost{});
    } else if constexpr (kPhase == 2) {
      const T most = static_cast<T>(Base::All(shared, kMost, thread, TakeMost{}));
      double sum = 0;
      for (std::int64_t j = lane; j < size; j += kGroup) sum += static_cast<double>(Exp(X(start, j) - most));
      shared->parts[kSum][thread] = sum;
    } else if constexpr (kPhase == 3) {
      Base::Fold(shared, kSum, thread, AddUp{});
    } else {
      const T most = static_cast<T>(Base::All(shared, kMost, thread, TakeMost{}));
      const T scale = static_cast<T>(1 / Base::All(shared, kSum, thread, AddUp{}));
      for (std::int64_t j = lane; j < size; j += kGroup) {
        Write(a.dtype, a.y, start + j * a.inner, Exp(X(start, j) - most) * scale);
      }
    }
  }
};

template <typename T, int kGroup>
struct SoftmaxBackwardKernel : RowKernel<kGroup> {
  using Base = RowKernel<kGroup>;
  using Shared = typename Base::Shared;
  static constexpr int kRoundPhases = 3;

  host::SoftmaxBackwardArguments a;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const std::int64_t row = this->RowOf(round, block, thread);
    const std::int64_t start = SliceStart(a, row);
    const std::int64_t size = row < this->rows ? a.size : 0;
    if constexpr (kPhase == 0) {
      double dot = 0;
      for (std::int64_t j = Base::LaneOf(thread); j < size; j += kGroup) {
        const std::int64_t at = start + j * a.inner;
        dot += Read<double>(a.dtype, a.y, at) * Read<double>(a.dtype, a.dy, at);
      }
      shared->parts[0][thread] = dot;
    } else if constexpr (kPhase == 1) {
      Base::Fold(shared, 0, thread, AddUp{});
    } else {
      const T dot = static_cast<T>(Base::All(shared, 0, thread, AddUp{}));
      for (std::int64_t j = Base::LaneOf(thread); j < size; j += kGroup) {
        const std::int64_t at = start + j * a.inner;
        Write(a.dtype, a.dx, at, Read<T>(a.dtype, a.y, at) * (Read<T>(a.dtype, a.dy, at) - dot));
      }
    }
  }
};

template <class Grid>
Status Run(Grid& grid, const host::SoftmaxForwardArguments& a, void*) {
  return WithComputeType(a.dtype, [&](auto type) {
    return WithGroup(a.size, [&](auto group) {
      SoftmaxForwardKernel<decltype(type), decltype(group)::value> kernel;
      kernel.a = a;
      return RunRows(grid, kernel, a.size == 0 ? 0 : a.outer * a.inner);
    });
  });
}
template <class Grid>
Status Run(Grid& grid, const host::SoftmaxBackwardArguments& a, void*) {
  return WithComputeType(a.dtype, [&](auto type) {
    return WithGroup(a.size, [&](auto group) {
      SoftmaxBackwardKernel<decltype(type), decltype(group)::value> kernel;
      kernel.a = a;
      return RunRows(grid, kernel, a.size == 0 ? 0 : a.outer * a.inner);
    });
  });
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_SOFTMAX_LAUNCHES_H_
