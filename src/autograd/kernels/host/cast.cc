#include "autograd/kernels/cast.h"

#include <cstring>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/float16.h"
#include "autograd/kernels/host/strided_loop.h"

namespace tierlib::autograd::host {
namespace {

// Moves elements of sizeof(Bits) bytes without looking at them.
template <typename Bits>
void CopyBits(ThreadPool& pool, const StridedLoop& loop, const void* x, void* y) {
  const auto* source = static_cast<const Bits*>(x);
  auto* target = static_cast<Bits*>(y);
  loop.Run(pool, 4 * kChunk, [&](const std::int64_t* at, const std::int64_t* step, std::int64_t n) {
    const Bits* from = source + at[1];
    Bits* to = target + at[0];
    if (step[0] == 1 && step[1] == 1) {
      std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(Bits));
    } else {
      for (std::int64_t i = 0; i < n; ++i) to[i * step[0]] = from[i * step[1]];
    }
  });
}

template <typename Undo>
void UndoEach(ThreadPool& pool, const StridedLoop& loop, const CastArguments& a, Undo&& undo) {
  const auto* source = static_cast<const std::uint32_t*>(static_cast<const void*>(a.x.data));
  auto* target = static_cast<std::uint16_t*>(static_cast<void*>(a.y.data));
  loop.Run(pool, 4 * kChunk, [&](const std::int64_t* at, const std::int64_t* step, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) target[at[0] + i * step[0]] = undo(source[at[1] + i * step[1]]);
  });
}

}  // namespace

void UndoCast(KernelContext& context, const CastArguments& a) {
  const StridedLoop loop(a.y.layout.sizes, {a.y.layout.strides, BroadcastStrides(a.x.layout, a.y.layout.sizes)});
  if (a.y.layout.dtype == DType::kBF16) {
    UndoEach(context.pool, loop, a, [](std::uint32_t bits) { return static_cast<std::uint16_t>(bits >> 16); });
  } else {
    UndoEach(context.pool, loop, a, F16FromWidened);
  }
}

void Cast(KernelContext& context, const CastArguments& a) {
  const DType from_type = a.x.layout.dtype;
  const DType to_type = a.y.layout.dtype;
  const StridedLoop loop(a.y.layout.sizes, {a.y.layout.strides, BroadcastStrides(a.x.layout, a.y.layout.sizes)});
  if (from_type == to_type) {
    switch (ElementBytes(to_type)) {
      case 1: return CopyBits<std::uint8_t>(context.pool, loop, a.x.data, a.y.data);
      case 2: return CopyBits<std::uint16_t>(context.pool, loop, a.x.data, a.y.data);
      case 4: return CopyBits<std::uint32_t>(context.pool, loop, a.x.data, a.y.data);
      default: return CopyBits<std::uint64_t>(context.pool, loop, a.x.data, a.y.data);
    }
  }
  // Through the wider of the two compute types, so that nothing is rounded before the last step.
  WithComputeType(from_type == DType::kF64 ? from_type : to_type, [&](auto type) {
    using T = decltype(type);
    loop.Run(context.pool, kChunk, [&](const std::int64_t* at, const std::int64_t* step, std::int64_t n) {
      T x_buffer[kChunk];
      const T* x = ReadChunk(from_type, a.x.data, at[1], step[1], n, x_buffer);
      T y_buffer[kChunk];
      T* y = OpenChunk(to_type, a.y.data, at[0], step[0], y_buffer);
      if (y != y_buffer) std::memcpy(y, x, static_cast<std::size_t>(n) * sizeof(T));
      CloseChunk(to_type, a.y.data, at[0], step[0], n, y == y_buffer ? x : y);
    });
  });
}

void Round(KernelContext& context, const RoundArguments& a) {
  const DType x_type = a.x.layout.dtype;
  const DType y_type = a.y.layout.dtype;
  const StridedLoop loop(a.y.layout.sizes, {a.y.layout.strides, BroadcastStrides(a.x.layout, a.y.layout.sizes)});
  WithComputeType(x_type == DType::kF64 ? x_type : y_type, [&](auto type) {
    using T = decltype(type);
    loop.Run(context.pool, kChunk, [&](const std::int64_t* at, const std::int64_t* step, std::int64_t n) {
      T x_buffer[kChunk];
      std::uint16_t bits[kChunk];
      CloseChunk(a.narrow, bits, 0, 1, n, ReadChunk(x_type, a.x.data, at[1], step[1], n, x_buffer));
      T y_buffer[kChunk];
      T* const y = OpenChunk(y_type, a.y.data, at[0], step[0], y_buffer);
      ReadChunk(a.narrow, bits, 0, 1, n, y);  // into `y`, as no T has 16 bits
      CloseChunk(y_type, a.y.data, at[0], step[0], n, y);
    });
  });
}

}  // namespace tierlib::autograd::host
