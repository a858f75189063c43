// RowKernel: kernels of which a group of threads takes one row after the other, with sums and maxima over the row.
//
// A group is a warp or a whole block, as rows are short or long. A fold over a group takes two barriers: each thread
// leaves its part in shared memory; the first kFan threads of the group fold kGroup / kFan parts each; after the next
// barrier every thread folds those kFan by itself. All of it goes in a fixed order, in float64 as the host's kernels.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ROW_KERNEL_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ROW_KERNEL_H_

#include <math.h>

#include <cstdint>
#include <type_traits>

#include "base/cuda/grid.h"
#include "tierlib/status.h"

namespace tierlib::autograd::cuda {

inline constexpr int kWarp = 32;

struct AddUp {
  TIERLIB_HOST_DEVICE static double none() { return 0; }
  TIERLIB_HOST_DEVICE double operator()(double a, double b) const { return a + b; }
};
struct TakeMost {
  TIERLIB_HOST_DEVICE static double none() { return -HUGE_VAL; }
  TIERLIB_HOST_DEVICE double operator()(double a, double b) const { return b > a ? b : a; }
};

template <int kGroup>
struct RowShared {
  static constexpr int kThreads = PlainKernel::kThreads;
  static constexpr int kFan = kGroup == kWarp ? 4 : 16;
  static constexpr int kSlots = 2;  // results that stay until a later fold into the same slot
  double parts[kSlots][kThreads];
  double folded[kSlots][kThreads / kGroup * kFan];
};

// What a kernel over `rows` rows has. A row's rounds are Round<0>, Round<1> ...
template <int kGroup>
struct RowKernel {
  using Shared = RowShared<kGroup>;
  static constexpr int kThreads = PlainKernel::kThreads;
  static constexpr int kStartPhases = 0;
  static constexpr int kFinishPhases = 0;
  static constexpr int kRowsAtOnce = kThreads / kGroup;

  std::int64_t rows = 0;
  int blocks = 0;

  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const {
    const std::int64_t all = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
    return all <= block ? 0 : (all - block + blocks - 1) / blocks;
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int, Shared*) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}

  // At least `rows` where the thread has none.
  TIERLIB_HOST_DEVICE std::int64_t RowOf(std::int64_t round, int block, int thread) const {
    return (block + round * blocks) * kRowsAtOnce + thread / kGroup;
  }
  TIERLIB_HOST_DEVICE static int LaneOf(int thread) { return thread % kGroup; }

  // The parts of a fold: one for each thread, then, a barrier later, Fold, and another one later All.
  template <class Combine>
  TIERLIB_HOST_DEVICE static void Fold(Shared* shared, int slot, int thread, const Combine& combine) {
    const int lane = LaneOf(thread);
    if (lane >= Shared::kFan) return;
    constexpr int kEach = kGroup / Shared::kFan;
    const double* const parts = shared->parts[slot] + (thread - lane) + lane * kEach;
    double all = Combine::none();
    for (int i = 0; i < kEach; ++i) all = combine(all, parts[i]);
    shared->folded[slot][thread / kGroup * Shared::kFan + lane] = all;
  }
  template <class Combine>
  TIERLIB_HOST_DEVICE static double All(const Shared* shared, int slot, int thread, const Combine& combine) {
    const double* const folded = shared->folded[slot] + thread / kGroup * Shared::kFan;
    double all = Combine::none();
    for (int i = 0; i < Shared::kFan; ++i) all = combine(all, folded[i]);
    return all;
  }
};

// Calls f(std::integral_constant<int, kGroup>) with the group that suits rows of `columns`.
template <class F>
auto WithGroup(std::int64_t columns, const F& f) {
  if (columns <= 1024) return f(std::integral_constant<int, kWarp>{});
  return f(std::integral_constant<int, PlainKernel::kThreads>{});
}

template <class Kernel, class Grid>
Status RunRows(Grid& grid, Kernel kernel, std::int64_t rows) {
  if (rows == 0) return OkStatus();
  kernel.rows = rows;
  kernel.blocks = BlocksFor(rows, Kernel::kRowsAtOnce, std::int64_t{grid.limits().processors} * 16);
  return grid.Run(kernel, kernel.blocks);
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ROW_KERNEL_H_
