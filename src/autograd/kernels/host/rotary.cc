#include "autograd/kernels/rotary.h"

#include <algorithm>
#include <cmath>

#include "autograd/kernels/host/chunk.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {
namespace {

// Rows or positions that one thread takes at a time.
std::int64_t Grain(std::int64_t pairs) { return std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, pairs)); }

// cosines[t, i] and, behind all of them, sines[t, i]; the sines of a turn back are negative.
template <typename T>
void MakeTable(KernelContext& context, const RotaryArguments& a, T* cosines, T* sines) {
  const double sign = a.back ? -1 : 1;
  context.pool.ParallelFor(a.positions, Grain(a.pairs), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = 0; i < a.pairs; ++i) {
      const double step = std::pow(a.theta, -static_cast<double>(i) / static_cast<double>(a.pairs));
      for (std::int64_t t = begin; t < end; ++t) {
        const double angle = static_cast<double>(a.first + t) * step;
        cosines[t * a.pairs + i] = static_cast<T>(std::cos(angle));
        sines[t * a.pairs + i] = static_cast<T>(sign * std::sin(angle));
      }
    }
  });
}

template <typename T>
void TurnRow(const RotaryArguments& a, std::int64_t row, const T* cosines, const T* sines) {
  T buffers[4][kChunk];
  const std::int64_t stride = a.halves ? 1 : 2;
  for (std::int64_t i = 0; i < a.pairs; i += kChunk) {
    const std::int64_t n = std::min(kChunk, a.pairs - i);
    const std::int64_t first = 2 * row * a.pairs + stride * i;
    const std::int64_t second = first + (a.halves ? a.pairs : 1);
    const T* xa = ReadChunk(a.dtype, a.x, first, stride, n, buffers[0]);
    const T* xb = ReadChunk(a.dtype, a.x, second, stride, n, buffers[1]);
    T* ya = OpenChunk(a.dtype, a.y, first, stride, buffers[2]);
    T* yb = OpenChunk(a.dtype, a.y, second, stride, buffers[3]);
    for (std::int64_t j = 0; j < n; ++j) {
      ya[j] = xa[j] * cosines[i + j] - xb[j] * sines[i + j];
      yb[j] = xa[j] * sines[i + j] + xb[j] * cosines[i + j];
    }
    CloseChunk(a.dtype, a.y, first, stride, n, ya);
    CloseChunk(a.dtype, a.y, second, stride, n, yb);
  }
}

}  // namespace

void Rotary(KernelContext& context, const RotaryArguments& a) {
  WithComputeType(a.dtype, [&](auto type) {
    using T = decltype(type);
    T* const cosines = static_cast<T*>(a.workspace);
    T* const sines = cosines + a.positions * a.pairs;
    MakeTable(context, a, cosines, sines);
    const std::int64_t rows = a.outer * a.positions * a.inner;
    context.pool.ParallelFor(rows, Grain(a.pairs), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t position = row / a.inner % a.positions;
        TurnRow<T>(a, row, cosines + position * a.pairs, sines + position * a.pairs);
      }
    });
  });
}

std::size_t RotaryWorkspaceBytes(DType dtype, std::int64_t positions, std::int64_t pairs) {
  return static_cast<std::size_t>(2 * positions * pairs) * (dtype == DType::kF64 ? sizeof(double) : sizeof(float));
}

}  // namespace tierlib::autograd::host
