#include "autograd/kernels/softmax.h"

#include <algorithm>
#include <cmath>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/lanes_rows.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {
namespace {

std::int64_t RowGrain(std::int64_t size) { return std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, size)); }

// A row that is contiguous. Its exponentials are computed twice where the row does not fit into one chunk.
template <typename T>
void ForwardRow(const SoftmaxForwardArguments& a, std::int64_t row) {
  T x_buffer[kChunk];
  T y_buffer[kChunk];
  const std::int64_t start = row * a.size;
  T most = -INFINITY;
  for (std::int64_t j = 0; j < a.size; j += kChunk) {
    const std::int64_t n = std::min(kChunk, a.size - j);
    most = std::max(most, MaxLanes(ReadChunk(a.dtype, a.x, start + j, 1, n, x_buffer), static_cast<std::size_t>(n)));
  }
  double sum = 0;
  for (std::int64_t j = 0; j < a.size; j += kChunk) {
    const std::int64_t n = std::min(kChunk, a.size - j);
    const T* x = ReadChunk(a.dtype, a.x, start + j, 1, n, x_buffer);
    sum += ExpLanes(x, most, T{1}, static_cast<T*>(nullptr), static_cast<std::size_t>(n));
  }
  const T scale = static_cast<T>(1 / sum);
  for (std::int64_t j = 0; j < a.size; j += kChunk) {
    const std::int64_t n = std::min(kChunk, a.size - j);
    const T* x = ReadChunk(a.dtype, a.x, start + j, 1, n, x_buffer);
    T* y = OpenChunk(a.dtype, a.y, start + j, 1, y_buffer);
    ExpLanes(x, most, scale, y, static_cast<std::size_t>(n));
    CloseChunk(a.dtype, a.y, start + j, 1, n, y);
  }
}

template <typename T>
void BackwardRow(const SoftmaxBackwardArguments& a, std::int64_t row) {
  T y_buffer[kChunk];
  T dy_buffer[kChunk];
  T dx_buffer[kChunk];
  const std::int64_t start = row * a.size;
  double dot = 0;
  for (std::int64_t j = 0; j < a.size; j += kChunk) {
    const std::int64_t n = std::min(kChunk, a.size - j);
    const T* y = ReadChunk(a.dtype, a.y, start + j, 1, n, y_buffer);
    dot += DotLanes(y, ReadChunk(a.dtype, a.dy, start + j, 1, n, dy_buffer), static_cast<std::size_t>(n));
  }
  for (std::int64_t j = 0; j < a.size; j += kChunk) {
    const std::int64_t n = std::min(kChunk, a.size - j);
    const T* y = ReadChunk(a.dtype, a.y, start + j, 1, n, y_buffer);
    const T* dy = ReadChunk(a.dtype, a.dy, start + j, 1, n, dy_buffer);
    T* dx = OpenChunk(a.dtype, a.dx, start + j, 1, dx_buffer);
    SoftmaxGradientLanes(y, dy, static_cast<T>(dot), dx, static_cast<std::size_t>(n));
    CloseChunk(a.dtype, a.dx, start + j, 1, n, dx);
  }
}

// One slice along a dimension that is not the last: elements `inner` apart. Rare, so element by element.
template <typename T>
void ForwardSlice(const SoftmaxForwardArguments& a, std::int64_t start) {
  T most = -INFINITY;
  for (std::int64_t j = 0; j < a.size; ++j) most = std::max(most, ReadElement<T>(a.dtype, a.x, start + j * a.inner));
  double sum = 0;
  for (std::int64_t j = 0; j < a.size; ++j) sum += std::exp(ReadElement<T>(a.dtype, a.x, start + j * a.inner) - most);
  const T scale = static_cast<T>(1 / sum);
  for (std::int64_t j = 0; j < a.size; ++j) {
    const std::int64_t at = start + j * a.inner;
    WriteElement(a.dtype, a.y, at, static_cast<T>(std::exp(ReadElement<T>(a.dtype, a.x, at) - most) * scale));
  }
}

template <typename T>
void BackwardSlice(const SoftmaxBackwardArguments& a, std::int64_t start) {
  double dot = 0;
  for (std::int64_t j = 0; j < a.size; ++j) {
    const std::int64_t at = start + j * a.inner;
    dot +=
        static_cast<double>(ReadElement<T>(a.dtype, a.y, at)) * static_cast<double>(ReadElement<T>(a.dtype, a.dy, at));
  }
  for (std::int64_t j = 0; j < a.size; ++j) {
    const std::int64_t at = start + j * a.inner;
    const T dy = ReadElement<T>(a.dtype, a.dy, at);
    WriteElement(a.dtype, a.dx, at, static_cast<T>(ReadElement<T>(a.dtype, a.y, at) * (dy - static_cast<T>(dot))));
  }
}

// Calls row(index) for contiguous slices, slice(start) for others.
template <class Arguments, class Row, class Slice>
void ForEachSlice(KernelContext& context, const Arguments& a, const Row& row, const Slice& slice) {
  context.pool.ParallelFor(a.outer * a.inner, RowGrain(a.size), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (a.inner == 1) {
        row(i);
      } else {
        slice(i / a.inner * a.size * a.inner + i % a.inner);
      }
    }
  });
}

}  // namespace

void SoftmaxForward(KernelContext& context, const SoftmaxForwardArguments& a) {
  WithComputeType(a.dtype, [&](auto type) {
    using T = decltype(type);
    ForEachSlice(
        context, a, [&](std::int64_t row) { ForwardRow<T>(a, row); },
        [&](std::int64_t start) { ForwardSlice<T>(a, start); });
  });
}

void SoftmaxBackward(KernelContext& context, const SoftmaxBackwardArguments& a) {
  WithComputeType(a.dtype, [&](auto type) {
    using T = decltype(type);
    ForEachSlice(
        context, a, [&](std::int64_t row) { BackwardRow<T>(a, row); },
        [&](std::int64_t start) { BackwardSlice<T>(a, start); });
  });
}

}  // namespace tierlib::autograd::host
