#include "autograd/kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/lanes_rows.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {
namespace {

std::int64_t RowGrain(std::int64_t classes) {
  return std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, classes));
}

// log(sum(exp(row))) without overflow.
template <typename T>
T LogSumExp(const CrossEntropyForwardArguments& a, std::int64_t start) {
  T buffer[kChunk];
  T most = -std::numeric_limits<T>::infinity();
  for (std::int64_t j = 0; j < a.classes; j += kChunk) {
    const std::int64_t n = std::min(kChunk, a.classes - j);
    most = std::max(most, MaxLanes(ReadChunk(a.dtype, a.logits, start + j, 1, n, buffer), static_cast<std::size_t>(n)));
  }
  double sum = 0;
  for (std::int64_t j = 0; j < a.classes; j += kChunk) {
    const std::int64_t n = std::min(kChunk, a.classes - j);
    const T* x = ReadChunk(a.dtype, a.logits, start + j, 1, n, buffer);
    sum += ExpLanes(x, most, T{1}, static_cast<T*>(nullptr), static_cast<std::size_t>(n));
  }
  return static_cast<T>(static_cast<double>(most) + std::log(sum));
}

template <typename T>
void BackwardRow(const CrossEntropyBackwardArguments& a, std::int64_t row, T scale) {
  T x_buffer[kChunk];
  T y_buffer[kChunk];
  const std::int64_t start = row * a.classes;
  const std::int64_t target = a.targets[row];
  const bool valid = target >= 0 && target < a.classes;
  const T shift = static_cast<const T*>(a.log_sum_exp)[row];
  for (std::int64_t j = 0; j < a.classes; j += kChunk) {
    const std::int64_t n = std::min(kChunk, a.classes - j);
    const T* x = ReadChunk(a.dtype, a.logits, start + j, 1, n, x_buffer);
    T* y = OpenChunk(a.dtype, a.dlogits, start + j, 1, y_buffer);
    ExpLanes(x, shift, scale, y, static_cast<std::size_t>(n));
    if (!valid) std::fill(y, y + n, std::numeric_limits<T>::quiet_NaN());
    if (valid && target >= j && target < j + n) y[target - j] -= scale;
    CloseChunk(a.dtype, a.dlogits, start + j, 1, n, y);
  }
}

}  // namespace

void CrossEntropyForward(KernelContext& context, const CrossEntropyForwardArguments& a) {
  auto* losses = static_cast<double*>(a.workspace);
  WithComputeType(a.dtype, [&](auto type) {
    using T = decltype(type);
    context.pool.ParallelFor(a.rows, RowGrain(a.classes), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T log_sum_exp = LogSumExp<T>(a, row * a.classes);
        static_cast<T*>(a.log_sum_exp)[row] = log_sum_exp;
        const std::int64_t target = a.targets[row];
        losses[row] = std::numeric_limits<double>::quiet_NaN();
        if (target < 0 || target >= a.classes) continue;
        const double logit = ReadElement<double>(a.dtype, a.logits, row * a.classes + target);
        losses[row] = static_cast<double>(log_sum_exp) - logit;
      }
    });
  });
  const double sum = SumLanes(losses, static_cast<std::size_t>(a.rows));
  WriteElement(a.loss_dtype, a.loss, 0, sum / static_cast<double>(a.rows));
}

std::size_t CrossEntropyForwardWorkspaceBytes(std::int64_t rows) {
  return static_cast<std::size_t>(rows) * sizeof(double);
}

void CrossEntropyBackward(KernelContext& context, const CrossEntropyBackwardArguments& a) {
  WithComputeType(a.dtype, [&](auto type) {
    using T = decltype(type);
    const T scale = static_cast<T>(ReadElement<double>(a.loss_dtype, a.dloss, 0) / static_cast<double>(a.rows));
    context.pool.ParallelFor(a.rows, RowGrain(a.classes), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) BackwardRow<T>(a, row, scale);
    });
  });
}

}  // namespace tierlib::autograd::host
