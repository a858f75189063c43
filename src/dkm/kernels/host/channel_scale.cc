#include "dkm/kernels/channel_scale.h"

#include <algorithm>

#include "autograd/kernels/host/chunk.h"
#include "base/thread_pool.h"

namespace tierlib::dkm::host {
namespace {

namespace chunk = autograd::host;

template <typename T>
void Run(KernelContext& context, const ScaleRowsArguments& a) {
  const std::int64_t grain = std::max<std::int64_t>(1, 16 * chunk::kChunk / std::max<std::int64_t>(a.columns, 1));
  context.pool.ParallelFor(a.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    T in[chunk::kChunk];
    T out[chunk::kChunk];
    for (std::int64_t row = begin; row < end; ++row) {
      const T scale = static_cast<T>(a.scales[row]);
      const std::int64_t row_end = (row + 1) * a.columns;
      for (std::int64_t first = row * a.columns; first < row_end; first += chunk::kChunk) {
        const std::int64_t n = std::min(chunk::kChunk, row_end - first);
        const T* x = chunk::ReadChunk<T>(a.x_dtype, a.x, first, 1, n, in);
        T* y = chunk::OpenChunk<T>(a.y_dtype, a.y, first, 1, out);
        for (std::int64_t i = 0; i < n; ++i) y[i] = a.divide ? x[i] / scale : x[i] * scale;
        chunk::CloseChunk<T>(a.y_dtype, a.y, first, 1, n, y);
      }
    }
  });
}

}  // namespace

void ScaleRows(KernelContext& context, const ScaleRowsArguments& a) {
  chunk::WithComputeType(a.x_dtype == DType::kF64 ? a.x_dtype : a.y_dtype,
                         [&](auto zero) { Run<decltype(zero)>(context, a); });
}

}  // namespace tierlib::dkm::host
