#include "autograd/kernels/elementwise.h"

#include "autograd/kernels/activation.h"
#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/lanes_elementwise.h"
#include "autograd/kernels/host/strided_loop.h"

namespace tierlib::autograd::host {
namespace {

StridedLoop LoopOver(const Target& y, const Source& a) {
  return StridedLoop(y.layout.sizes, {y.layout.strides, BroadcastStrides(a.layout, y.layout.sizes)});
}

StridedLoop LoopOver(const Target& y, const Source& a, const Source& b) {
  return StridedLoop(y.layout.sizes, {y.layout.strides, BroadcastStrides(a.layout, y.layout.sizes),
                                      BroadcastStrides(b.layout, y.layout.sizes)});
}

// Calls lanes(a, y, n) on every run, in the compute type of y.
template <class Lanes>
void ForEach(KernelContext& context, const Source& a, const Target& y, const Lanes& lanes) {
  const DType dtype = y.layout.dtype;
  WithComputeType(dtype, [&](auto type) {
    using T = decltype(type);
    LoopOver(y, a).Run(context.pool, kChunk, [&](const std::int64_t* at, const std::int64_t* step, std::int64_t n) {
      T a_buffer[kChunk];
      T y_buffer[kChunk];
      const T* from = ReadChunk(a.layout.dtype, a.data, at[1], step[1], n, a_buffer);
      T* to = OpenChunk(dtype, y.data, at[0], step[0], y_buffer);
      lanes(from, to, static_cast<std::size_t>(n));
      CloseChunk(dtype, y.data, at[0], step[0], n, to);
    });
  });
}

// Calls lanes(a, b, y, n) on every run, in the compute type of y.
template <class Lanes>
void ForEach(KernelContext& context, const Source& a, const Source& b, const Target& y, const Lanes& lanes) {
  const DType dtype = y.layout.dtype;
  WithComputeType(dtype, [&](auto type) {
    using T = decltype(type);
    LoopOver(y, a, b).Run(context.pool, kChunk, [&](const std::int64_t* at, const std::int64_t* step, std::int64_t n) {
      T a_buffer[kChunk];
      T b_buffer[kChunk];
      T y_buffer[kChunk];
      const T* left = ReadChunk(a.layout.dtype, a.data, at[1], step[1], n, a_buffer);
      const T* right = ReadChunk(b.layout.dtype, b.data, at[2], step[2], n, b_buffer);
      T* to = OpenChunk(dtype, y.data, at[0], step[0], y_buffer);
      lanes(left, right, to, static_cast<std::size_t>(n));
      CloseChunk(dtype, y.data, at[0], step[0], n, to);
    });
  });
}

}  // namespace

void Unary(KernelContext& context, const UnaryArguments& a) {
  ForEach(context, a.x, a.y, [&](const auto* x, auto* y, std::size_t n) { UnaryLanes(a.op, a.c0, a.c1, x, y, n); });
}

void Binary(KernelContext& context, const BinaryArguments& a) {
  ForEach(context, a.a, a.b, a.y, [&](const auto* left, const auto* right, auto* y, std::size_t n) {
    BinaryLanes(a.op, a.c0, a.c1, left, right, y, n);
  });
}

void ActivationForward(KernelContext& context, const ActivationForwardArguments& a) {
  ForEach(context, a.x, a.y, [&](const auto* x, auto* y, std::size_t n) { ActivationLanes(a.activation, x, y, n); });
}

void ActivationBackward(KernelContext& context, const ActivationBackwardArguments& a) {
  ForEach(context, a.dy, a.x, a.dx, [&](const auto* dy, const auto* x, auto* dx, std::size_t n) {
    ActivationGradientLanes(a.activation, dy, x, dx, n);
  });
}

void DivisorGradient(KernelContext& context, const DivisorGradientArguments& a) {
  const Target& y = a.y;
  const Dims& sizes = y.layout.sizes;
  const DType dtype = y.layout.dtype;
  const StridedLoop loop(
      sizes, {y.layout.strides, BroadcastStrides(a.gradient.layout, sizes), BroadcastStrides(a.numerator.layout, sizes),
              BroadcastStrides(a.denominator.layout, sizes)});
  WithComputeType(dtype, [&](auto type) {
    using T = decltype(type);
    loop.Run(context.pool, kChunk, [&](const std::int64_t* at, const std::int64_t* step, std::int64_t n) {
      T buffers[4][kChunk];
      const T* gradient = ReadChunk(a.gradient.layout.dtype, a.gradient.data, at[1], step[1], n, buffers[1]);
      const T* numerator = ReadChunk(a.numerator.layout.dtype, a.numerator.data, at[2], step[2], n, buffers[2]);
      const T* denominator = ReadChunk(a.denominator.layout.dtype, a.denominator.data, at[3], step[3], n, buffers[3]);
      T* to = OpenChunk(dtype, y.data, at[0], step[0], buffers[0]);
      DivisorGradientLanes(gradient, numerator, denominator, to, static_cast<std::size_t>(n));
      CloseChunk(dtype, y.data, at[0], step[0], n, to);
    });
  });
}

void MaskedFill(KernelContext& context, const MaskedFillArguments& a) {
  const DType dtype = a.y.layout.dtype;
  const auto* mask = static_cast<const std::uint8_t*>(a.mask.data);
  WithComputeType(dtype, [&](auto type) {
    using T = decltype(type);
    const T fill = static_cast<T>(a.fill);
    LoopOver(a.y, a.x, a.mask)
        .Run(context.pool, kChunk, [&](const std::int64_t* at, const std::int64_t* step, std::int64_t n) {
          T x_buffer[kChunk];
          T y_buffer[kChunk];
          const T* x = ReadChunk(a.x.layout.dtype, a.x.data, at[1], step[1], n, x_buffer);
          T* y = OpenChunk(dtype, a.y.data, at[0], step[0], y_buffer);
          for (std::int64_t i = 0; i < n; ++i) y[i] = mask[at[2] + i * step[2]] != 0 ? fill : x[i];
          CloseChunk(dtype, a.y.data, at[0], step[0], n, y);
        });
  });
}

void Fill(KernelContext& context, const FillArguments& a) {
  const DType dtype = a.y.layout.dtype;
  const StridedLoop loop(a.y.layout.sizes, {a.y.layout.strides});
  WithComputeType(dtype, [&](auto type) {
    using T = decltype(type);
    loop.Run(context.pool, kChunk, [&](const std::int64_t* at, const std::int64_t* step, std::int64_t n) {
      T buffer[kChunk];
      T* y = OpenChunk(dtype, a.y.data, at[0], step[0], buffer);
      for (std::int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(a.value);
      CloseChunk(dtype, a.y.data, at[0], step[0], n, y);
    });
  });
}

}  // namespace tierlib::autograd::host
