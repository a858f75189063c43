// Rotary positions and causal masks on CUDA devices. Reference: host/rotary.cc, host/causal_mask.cc.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ROTARY_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ROTARY_LAUNCHES_H_

#include <math.h>

#include <cstdint>

#include "autograd/kernels/causal_mask.h"
#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/cuda/elementwise_launches.h"
#include "autograd/kernels/rotary.h"

namespace tierlib::autograd::cuda {

// Cosines [positions, pairs], and behind all of them the sines; those of a turn back are negative.
template <typename T>
struct RotaryTableKernel : PlainKernel {
  host::RotaryArguments a;
  int blocks = 0;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    T* const cosines = static_cast<T*>(a.workspace);
    T* const sines = cosines + a.positions * a.pairs;
    const std::int64_t step = std::int64_t{blocks} * kThreads;
    for (std::int64_t i = std::int64_t{block} * kThreads + thread; i < a.positions * a.pairs; i += step) {
      const double turn = ::pow(a.theta, -static_cast<double>(i % a.pairs) / static_cast<double>(a.pairs));
      const double angle = static_cast<double>(a.first + i / a.pairs) * turn;
      cosines[i] = static_cast<T>(::cos(angle));
      sines[i] = static_cast<T>(a.back ? -::sin(angle) : ::sin(angle));
    }
  }
};

// A thread takes one pair after the other.
template <typename T>
struct RotaryKernel : PlainKernel {
  host::RotaryArguments a;
  int blocks = 0;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const T* const cosines = static_cast<const T*>(a.workspace);
    const T* const sines = cosines + a.positions * a.pairs;
    const std::int64_t all = a.outer * a.positions * a.inner * a.pairs;
    const std::int64_t step = std::int64_t{blocks} * kThreads;
    for (std::int64_t i = std::int64_t{block} * kThreads + thread; i < all; i += step) {
      const std::int64_t row = i / a.pairs;
      const std::int64_t pair = i % a.pairs;
      const std::int64_t angle = row / a.inner % a.positions * a.pairs + pair;
      const std::int64_t first = 2 * row * a.pairs + (a.halves ? pair : 2 * pair);
      const std::int64_t second = first + (a.halves ? a.pairs : 1);
      const T xa = Read<T>(a.dtype, a.x, first);
      const T xb = Read<T>(a.dtype, a.x, second);
      Write(a.dtype, a.y, first, xa * cosines[angle] - xb * sines[angle]);
      Write(a.dtype, a.y, second, xa * sines[angle] + xb * cosines[angle]);
    }
  }
};

template <class Grid>
Status Run(Grid& grid, const host::RotaryArguments& a, void*) {
  const std::int64_t pairs = a.outer * a.positions * a.inner * a.pairs;
  if (pairs == 0) return OkStatus();
  return WithComputeType(a.dtype, [&](auto type) -> Status {
    RotaryTableKernel<decltype(type)> table;
    table.a = a;
    table.blocks = MapBlocks(grid, a.positions * a.pairs);
    TIERLIB_RETURN_IF_ERROR(grid.Run(table, table.blocks));
    RotaryKernel<decltype(type)> kernel;
    kernel.a = a;
    kernel.blocks = MapBlocks(grid, pairs);
    return grid.Run(kernel, kernel.blocks);
  });
}

struct CausalMaskKernel : PlainKernel {
  host::CausalMaskArguments a;
  int blocks = 0;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const std::int64_t step = std::int64_t{blocks} * kThreads;
    for (std::int64_t i = std::int64_t{block} * kThreads + thread; i < a.length * a.length; i += step) {
      a.mask[i] = i % a.length > i / a.length;
    }
  }
};

template <class Grid>
Status Run(Grid& grid, const host::CausalMaskArguments& a, void*) {
  if (a.length == 0) return OkStatus();
  CausalMaskKernel kernel;
  kernel.a = a;
  kernel.blocks = MapBlocks(grid, a.length * a.length);
  return grid.Run(kernel, kernel.blocks);
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ROTARY_LAUNCHES_H_
