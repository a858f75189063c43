// LayerNorm and RMSNorm on CUDA devices: one launch forward; backward one for dx, after one or two for the sums over
// rows that dweight and dbias are. Reference: host/layer_norm.cc.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_LAYER_NORM_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_LAYER_NORM_LAUNCHES_H_

#include <cstddef>
#include <cstdint>

#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/cuda/row_kernel.h"
#include "autograd/kernels/cuda/sums.h"
#include "autograd/kernels/layer_norm.h"

namespace tierlib::autograd::cuda {

template <typename T, int kGroup>
struct LayerNormForwardKernel : RowKernel<kGroup> {
  using Base = RowKernel<kGroup>;
  using Shared = typename Base::Shared;
  static constexpr int kRoundPhases = 5;
  static constexpr int kSum = 0;
  static constexpr int kSquares = 1;

  host::LayerNormForwardArguments a;

  TIERLIB_HOST_DEVICE T Mean(const Shared* shared, int thread) const {
    if (a.mean == nullptr) return 0;
    return static_cast<T>(Base::All(shared, kSum, thread, AddUp{}) / static_cast<double>(a.columns));
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const std::int64_t row = this->RowOf(round, block, thread);
    const std::int64_t start = row * a.columns;
    const std::int64_t columns = row < this->rows ? a.columns : 0;
    const int lane = Base::LaneOf(thread);
    if constexpr (kPhase == 0) {
      double sum = 0;
      if (a.mean != nullptr) {
        for (std::int64_t j = lane; j < columns; j += kGroup) sum += Read<double>(a.dtype, a.x, start + j);
      }
      shared->parts[kSum][thread] = sum;
    } else if constexpr (kPhase == 1) {
      Base::Fold(shared, kSum, thread, AddUp{});
    } else if constexpr (kPhase == 2) {
      const T mean = Mean(shared, thread);
      double squares = 0;
      for (std::int64_t j = lane; j < columns; j += kGroup) {
        const double from_mean = static_cast<double>(Read<T>(a.dtype, a.x, start + j) - mean);
        squares += from_mean * from_mean;
      }
      shared->parts[kSquares][thread] = squares;
    } else if constexpr (kPhase == 3) {
      Base::Fold(shared, kSquares, thread, AddUp{});
    } else {
      const T mean = Mean(shared, thread);
      const double squares = Base::All(shared, kSquares, thread, AddUp{});
      const T rstd = static_cast<T>(1 / Root(squares / static_cast<double>(a.columns) + a.epsilon));
      if (row < this->rows && lane == 0) {
        if (a.mean != nullptr) static_cast<T*>(a.mean)[row] = mean;
        static_cast<T*>(a.rstd)[row] = rstd;
      }
      for (std::int64_t j = lane; j < columns; j += kGroup) {
        const T scaled = (Read<T>(a.dtype, a.x, start + j) - mean) * rstd * Read<T>(a.dtype, a.weight, j);
        Write(a.dtype, a.y, start + j, a.bias == nullptr ? scaled : scaled + Read<T>(a.dtype, a.bias, j));
      }
    }
  }
};

// dx = rstd (h - mean(h) - z mean(h z)) with h = dy weight and z = (x - mean) rstd; RMSNorm has no mean(h).
template <typename T, int kGroup>
struct LayerNormBackwardKernel : RowKernel<kGroup> {
  using Base = RowKernel<kGroup>;
  using Shared = typename Base::Shared;
  static constexpr int kRoundPhases = 3;

  host::LayerNormBackwardArguments a;

  TIERLIB_HOST_DEVICE T MeanOf(std::int64_t row) const {
    return a.mean == nullptr ? T{0} : static_cast<const T*>(a.mean)[row];
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const std::int64_t row = this->RowOf(round, block, thread);
    const bool mine = row < this->rows;
    const std::int64_t start = row * a.columns;
    const std::int64_t columns = mine ? a.columns : 0;
    const T mean = mine ? MeanOf(row) : T{0};
    const T rstd = mine ? static_cast<const T*>(a.rstd)[row] : T{0};
    const auto h = [&](std::int64_t j) { return Read<T>(a.dtype, a.dy, start + j) * Read<T>(a.dtype, a.weight, j); };
    const auto z = [&](std::int64_t j) { return (Read<T>(a.dtype, a.x, start + j) - mean) * rstd; };
    if constexpr (kPhase == 0) {
      double sum_h = 0;
      double sum_hz = 0;
      for (std::int64_t j = Base::LaneOf(thread); j < columns; j += kGroup) {
        sum_h += static_cast<double>(h(j));
        sum_hz += static_cast<double>(h(j)) * static_cast<double>(z(j));
      }
      shared->parts[0][thread] = sum_h;
      shared->parts[1][thread] = sum_hz;
    } else if constexpr (kPhase == 1) {
      Base::Fold(shared, 0, thread, AddUp{});
      Base::Fold(shared, 1, thread, AddUp{});
    } else {
      const auto count = static_cast<double>(a.columns);
      const T mean_h = a.mean == nullptr ? T{0} : static_cast<T>(Base::All(shared, 0, thread, AddUp{}) / count);
      const T mean_hz = static_cast<T>(Base::All(shared, 1, thread, AddUp{}) / count);
      for (std::int64_t j = Base::LaneOf(thread); j < columns; j += kGroup) {
        Write(a.dtype, a.dx, start + j, rstd * (h(j) - mean_h - z(j) * mean_hz));
      }
    }
  }
};

// dweight += dy z, dbias += dy, over rows.
template <typename T>
struct NormParameterTerm {
  static constexpr int kValues = 2;
  host::LayerNormBackwardArguments a;
  TIERLIB_HOST_DEVICE void Add(std::int64_t row, std::int64_t column, double* sums) const {
    const T dy = Read<T>(a.dtype, a.dy, row * a.columns + column);
    const T mean = a.mean == nullptr ? T{0} : static_cast<const T*>(a.mean)[row];
    const T z = (Read<T>(a.dtype, a.x, row * a.columns + column) - mean) * static_cast<const T*>(a.rstd)[row];
    sums[0] += static_cast<double>(dy) * static_cast<double>(z);
    sums[1] += static_cast<double>(dy);
  }
};
struct NormParameterResult {
  DType dtype = DType::kF32;
  void* to[2] = {};  // dweight, dbias; null: not wanted
  TIERLIB_HOST_DEVICE void Put(std::int64_t, std::int64_t column, int value, double sum) const {
    if (to[value] != nullptr) Write(dtype, to[value], column, sum);
  }
};

inline std::size_t WorkspaceBytes(const host::LayerNormBackwardArguments& a) {
  if (a.dweight == nullptr && a.dbias == nullptr) return 0;
  return SumParts::OfColumns(a.columns, a.rows).WorkspaceBytes(2);
}

template <class Grid>
Status Run(Grid& grid, const host::LayerNormForwardArguments& a, void*) {
  return WithComputeType(a.dtype, [&](auto type) {
    return WithGroup(a.columns, [&](auto group) {
      LayerNormForwardKernel<decltype(type), decltype(group)::value> kernel;
      kernel.a = a;
      return RunRows(grid, kernel, a.rows);
    });
  });
}

template <class Grid>
Status Run(Grid& grid, const host::LayerNormBackwardArguments& a, void* workspace) {
  return WithComputeType(a.dtype, [&](auto type) -> Status {
    using T = decltype(type);
    if (a.dweight != nullptr || a.dbias != nullptr) {  // first: dx may be the memory of dy
      TIERLIB_RETURN_IF_ERROR(RunColumnSums(grid, NormParameterTerm<T>{a},
                                            NormParameterResult{a.dtype, {a.dweight, a.dbias}},
                                            SumParts::OfColumns(a.columns, a.rows), workspace));
    }
    if (a.dx == nullptr) return OkStatus();
    return WithGroup(a.columns, [&](auto group) {
      LayerNormBackwardKernel<T, decltype(group)::value> kernel;
      kernel.a = a;
      return RunRows(grid, kernel, a.rows);
    });
  });
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_LAYER_NORM_LAUNCHES_H_
