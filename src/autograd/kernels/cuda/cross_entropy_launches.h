// Softmax and cross-entropy in one on CUDA devices. Reference: host/cross_entropy.cc.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_CROSS_ENTROPY_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_CROSS_ENTROPY_LAUNCHES_H_

#include <math.h>

#include <cstddef>
#include <cstdint>

#include "autograd/kernels/cross_entropy.h"
#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/cuda/elementwise_launches.h"
#include "autograd/kernels/cuda/row_kernel.h"
#include "autograd/kernels/cuda/sums.h"

namespace tierlib::autograd::cuda {

// log_sum_exp, and each row's loss in a.workspace.
template <typename T, int kGroup>
struct CrossEntropyForwardKernel : RowKernel<kGroup> {
  using Base = RowKernel<kGroup>;
  using Shared = typename Base::Shared;
  static constexpr int kRoundPhases = 5;
  static constexpr int kMost = 0;
  static constexpr int kSum = 1;

  host::CrossEntropyForwardArguments a;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const std::int64_t row = this->RowOf(round, block, thread);
    const std::int64_t start = row * a.classes;
    const std::int64_t classes = row < this->rows ? a.classes : 0;
    const int lane = Base::LaneOf(thread);
    if constexpr (kPhase == 0) {
      double most = TakeMost::none();
      for (std::int64_t j = lane; j < classes; j += kGroup) {
        most = TakeMost{}(most, Read<double>(a.dtype, a.logits, start + j));
      }
      shared->parts[kMost][thread] = most;
    } else if constexpr (kPhase == 1) {
      Base::Fold(shared, kMost, thread, TakeMost{});
    } else if constexpr (kPhase == 2) {
      const T most = static_cast<T>(Base::All(shared, kMost, thread, TakeMost{}));
      double sum = 0;
      for (std::int64_t j = lane; j < classes; j += kGroup) {
        sum += static_cast<double>(Exp(Read<T>(a.dtype, a.logits, start + j) - most));
      }
      shared->parts[kSum][thread] = sum;
    } else if constexpr (kPhase == 3) {
      Base::Fold(shared, kSum, thread, AddUp{});
    } else if (row < this->rows && lane == 0) {
      const double most = Base::All(shared, kMost, thread, TakeMost{});
      const T log_sum_exp = static_cast<T>(most + Log(Base::All(shared, kSum, thread, AddUp{})));
      static_cast<T*>(a.log_sum_exp)[row] = log_sum_exp;
      const std::int64_t target = a.targets[row];
      const bool valid = target >= 0 && target < a.classes;
      static_cast<double*>(a.workspace)[row] =
          valid ? static_cast<double>(log_sum_exp) - Read<double>(a.dtype, a.logits, start + target)
                : static_cast<double>(NAN);
    }
  }
};

struct LossTerm {
  static constexpr int kValues = 1;
  const double* losses = nullptr;
  TIERLIB_HOST_DEVICE void Add(std::int64_t row, std::int64_t, double* sums) const { *sums += losses[row]; }
};
struct LossResult {
  void* loss = nullptr;
  DType dtype = DType::kF32;
  double rows = 1;
  TIERLIB_HOST_DEVICE void Put(std::int64_t, std::int64_t, int, double sum) const { Write(dtype, loss, 0, sum / rows); }
};

// A thread takes one logit after the other.
template <typename T>
struct CrossEntropyBackwardKernel : PlainKernel {
  host::CrossEntropyBackwardArguments a;
  int blocks = 0;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const T scale = static_cast<T>(Read<double>(a.loss_dtype, a.dloss, 0) / static_cast<double>(a.rows));
    const std::int64_t step = std::int64_t{blocks} * kThreads;
    for (std::int64_t i = std::int64_t{block} * kThreads + thread; i < a.rows * a.classes; i += step) {
      const std::int64_t row = i / a.classes;
      const std::int64_t target = a.targets[row];
      const T shift = static_cast<const T*>(a.log_sum_exp)[row];
      T value = Exp(Read<T>(a.dtype, a.logits, i) - shift) * scale;
      if (target < 0 || target >= a.classes) value = static_cast<T>(NAN);
      if (target == i % a.classes) value -= scale;
      Write(a.dtype, a.dlogits, i, value);
    }
  }
};

template <class Grid>
Status Run(Grid& grid, const host::CrossEntropyForwardArguments& a, void* workspace) {
  TIERLIB_RETURN_IF_ERROR(WithComputeType(a.dtype, [&](auto type) {
    return WithGroup(a.classes, [&](auto group) {
      CrossEntropyForwardKernel<decltype(type), decltype(group)::value> kernel;
      kernel.a = a;
      return RunRows(grid, kernel, a.rows);
    });
  }));
  return RunTermSums(grid, LossTerm{static_cast<const double*>(a.workspace)},
                     LossResult{a.loss, a.loss_dtype, static_cast<double>(a.rows)}, SumParts::OfTerms(1, a.rows),
                     workspace);
}
inline std::size_t WorkspaceBytes(const host::CrossEntropyForwardArguments& a) {
  return SumParts::OfTerms(1, a.rows).WorkspaceBytes(1);
}

template <class Grid>
Status Run(Grid& grid, const host::CrossEntropyBackwardArguments& a, void*) {
  if (a.rows * a.classes == 0) return OkStatus();
  return WithComputeType(a.dtype, [&](auto type) {
    CrossEntropyBackwardKernel<decltype(type)> kernel;
    kernel.a = a;
    kernel.blocks = MapBlocks(grid, a.rows * a.classes);
    return grid.Run(kernel, kernel.blocks);
  });
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_CROSS_ENTROPY_LAUNCHES_H_
