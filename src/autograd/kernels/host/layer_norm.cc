#include "autograd/kernels/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/lanes_rows.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {
namespace {

// Rows of a tile of the pool: a few microseconds at any width.
std::int64_t RowGrain(std::int64_t columns) {
  return std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, columns));
}

// Rows whose weight gradients are summed one after the other. At most kMostBlocks sums of them are kept.
constexpr std::int64_t kLeastBlockRows = 32;
constexpr std::int64_t kMostBlocks = 64;

std::int64_t BlockRows(std::int64_t rows) { return std::max(kLeastBlockRows, (rows + kMostBlocks - 1) / kMostBlocks); }
std::int64_t Blocks(std::int64_t rows) { return (rows + BlockRows(rows) - 1) / BlockRows(rows); }

// Calls f(first column, count) for the chunks of a row.
template <class F>
void ForEachChunk(std::int64_t columns, const F& f) {
  for (std::int64_t j = 0; j < columns; j += kChunk) f(j, std::min(kChunk, columns - j));
}

template <typename T>
void ForwardRow(const LayerNormForwardArguments& a, std::int64_t row) {
  T x_buffer[kChunk];
  T weight_buffer[kChunk];
  T bias_buffer[kChunk];
  T y_buffer[kChunk];
  const std::int64_t start = row * a.columns;
  T mean = 0;
  if (a.mean != nullptr) {
    double sum = 0;
    ForEachChunk(a.columns, [&](std::int64_t j, std::int64_t n) {
      sum += SumLanes(ReadChunk(a.dtype, a.x, start + j, 1, n, x_buffer), static_cast<std::size_t>(n));
    });
    mean = static_cast<T>(sum / static_cast<double>(a.columns));
    static_cast<T*>(a.mean)[row] = mean;
  }
  double squares = 0;
  ForEachChunk(a.columns, [&](std::int64_t j, std::int64_t n) {
    squares +=
        SquaredDeviationLanes(ReadChunk(a.dtype, a.x, start + j, 1, n, x_buffer), mean, static_cast<std::size_t>(n));
  });
  const T rstd = static_cast<T>(1 / std::sqrt(squares / static_cast<double>(a.columns) + a.epsilon));
  static_cast<T*>(a.rstd)[row] = rstd;
  ForEachChunk(a.columns, [&](std::int64_t j, std::int64_t n) {
    const T* x = ReadChunk(a.dtype, a.x, start + j, 1, n, x_buffer);
    const T* weight = ReadChunk(a.dtype, a.weight, j, 1, n, weight_buffer);
    const T* bias = a.bias == nullptr ? nullptr : ReadChunk(a.dtype, a.bias, j, 1, n, bias_buffer);
    T* y = OpenChunk(a.dtype, a.y, start + j, 1, y_buffer);
    NormalizeLanes(x, mean, rstd, weight, bias, y, static_cast<std::size_t>(n));
    CloseChunk(a.dtype, a.y, start + j, 1, n, y);
  });
}

// One row of backward: adds to the block's sums (where wanted) before dx, which may overwrite dy, is written.
template <typename T>
void BackwardRow(const LayerNormBackwardArguments& a, std::int64_t row, double* dweight, double* dbias) {
  T dy_buffer[kChunk];
  T x_buffer[kChunk];
  T weight_buffer[kChunk];
  T dx_buffer[kChunk];
  const std::int64_t start = row * a.columns;
  const T mean = a.mean == nullptr ? 0 : static_cast<const T*>(a.mean)[row];
  const T rstd = static_cast<const T*>(a.rstd)[row];
  NormalizeSums sums;
  ForEachChunk(a.columns, [&](std::int64_t j, std::int64_t n) {
    const auto count = static_cast<std::size_t>(n);
    const T* dy = ReadChunk(a.dtype, a.dy, start + j, 1, n, dy_buffer);
    const T* x = ReadChunk(a.dtype, a.x, start + j, 1, n, x_buffer);
    if (dweight != nullptr) NormalizeParameterLanes(dy, x, mean, rstd, dweight + j, dbias + j, count);
    if (a.dx == nullptr) return;
    const T* weight = ReadChunk(a.dtype, a.weight, j, 1, n, weight_buffer);
    const NormalizeSums part = NormalizeSumsLanes(dy, x, mean, rstd, weight, count);
    sums.h += part.h;
    sums.hz += part.hz;
  });
  if (a.dx == nullptr) return;
  // By way of the mean, which RMSNorm does not have.
  const T mean_h = a.mean == nullptr ? 0 : static_cast<T>(sums.h / static_cast<double>(a.columns));
  const T mean_hz = static_cast<T>(sums.hz / static_cast<double>(a.columns));
  ForEachChunk(a.columns, [&](std::int64_t j, std::int64_t n) {
    const T* dy = ReadChunk(a.dtype, a.dy, start + j, 1, n, dy_buffer);
    const T* x = ReadChunk(a.dtype, a.x, start + j, 1, n, x_buffer);
    const T* weight = ReadChunk(a.dtype, a.weight, j, 1, n, weight_buffer);
    T* dx = OpenChunk(a.dtype, a.dx, start + j, 1, dx_buffer);
    NormalizeGradientLanes(dy, x, mean, rstd, weight, mean_h, mean_hz, dx, static_cast<std::size_t>(n));
    CloseChunk(a.dtype, a.dx, start + j, 1, n, dx);
  });
}

// Adds the blocks' sums in order. sums: [blocks][2][columns].
void StoreParameterGradients(ThreadPool& pool, const LayerNormBackwardArguments& a, const double* sums) {
  const std::int64_t blocks = Blocks(a.rows);
  pool.ParallelFor(a.columns, kChunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j) {
      double dweight = 0;
      double dbias = 0;
      for (std::int64_t block = 0; block < blocks; ++block) {
        dweight += sums[2 * block * a.columns + j];
        dbias += sums[(2 * block + 1) * a.columns + j];
      }
      if (a.dweight != nullptr) WriteElement(a.dtype, a.dweight, j, dweight);
      if (a.dbias != nullptr) WriteElement(a.dtype, a.dbias, j, dbias);
    }
  });
}

}  // namespace

void LayerNormForward(KernelContext& context, const LayerNormForwardArguments& a) {
  WithComputeType(a.dtype, [&](auto type) {
    using T = decltype(type);
    context.pool.ParallelFor(a.rows, RowGrain(a.columns), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) ForwardRow<T>(a, row);
    });
  });
}

void LayerNormBackward(KernelContext& context, const LayerNormBackwardArguments& a) {
  const bool parameters = a.dweight != nullptr || a.dbias != nullptr;
  auto* sums = static_cast<double*>(a.workspace);
  const std::int64_t block_rows = BlockRows(a.rows);
  WithComputeType(a.dtype, [&](auto type) {
    using T = decltype(type);
    context.pool.ParallelFor(a.rows, block_rows, [&](std::int64_t begin, std::int64_t end) {
      double* dweight = nullptr;
      double* dbias = nullptr;
      if (parameters) {
        dweight = sums + begin / block_rows * 2 * a.columns;
        dbias = dweight + a.columns;
        std::fill(dweight, dweight + 2 * a.columns, 0.0);
      }
      for (std::int64_t row = begin; row < end; ++row) BackwardRow<T>(a, row, dweight, dbias);
    });
  });
  if (parameters) StoreParameterGradients(context.pool, a, sums);
}

std::size_t LayerNormBackwardWorkspaceBytes(DType /*dtype*/, std::int64_t rows, std::int64_t columns) {
  return static_cast<std::size_t>(Blocks(rows) * 2 * columns) * sizeof(double);
}

}  // namespace tierlib::autograd::host
