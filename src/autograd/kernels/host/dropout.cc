#include "autograd/kernels/dropout.h"

#include <algorithm>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/dropout_mask.h"
#include "autograd/kernels/host/lanes_elementwise.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {

void Dropout(KernelContext& context, const DropoutArguments& a) {
  const DropoutMask mask(a.p, a.seed, a.counter);
  WithComputeType(a.dtype, [&](auto type) {
    using T = decltype(type);
    const T kept = static_cast<T>(KeptScale(a.p));
    context.pool.ParallelFor(a.count, 4 * kChunk, [&](std::int64_t begin, std::int64_t end) {
      T x_buffer[kChunk];
      T y_buffer[kChunk];
      T factors[kChunk];
      for (std::int64_t i = begin; i < end; i += kChunk) {
        const std::int64_t n = std::min(kChunk, end - i);
        mask.Draw(static_cast<std::uint64_t>(i), n, kept, factors);
        const T* x = ReadChunk(a.dtype, a.x, i, 1, n, x_buffer);
        T* y = OpenChunk(a.dtype, a.y, i, 1, y_buffer);
        BinaryLanes(BinaryOp::kMul, 0, 0, x, factors, y, static_cast<std::size_t>(n));
        CloseChunk(a.dtype, a.y, i, 1, n, y);
      }
    });
  });
}

}  // namespace tierlib::autograd::host
