#include "dkm/kernels/round.h"

#include <algorithm>

#include "autograd/kernels/host/chunk.h"
#include "base/thread_pool.h"

namespace tierlib::dkm::host {

namespace chunk = autograd::host;

void RoundTo(KernelContext& context, DType narrow, const float* x, std::int64_t count, float* y) {
  context.pool.ParallelFor(count, 16 * chunk::kChunk, [&](std::int64_t begin, std::int64_t end) {
    std::uint16_t bits[chunk::kChunk];
    for (std::int64_t first = begin; first < end; first += chunk::kChunk) {
      const std::int64_t n = std::min(chunk::kChunk, end - first);
      chunk::CloseChunk<float>(narrow, bits, 0, 1, n, x + first);
      chunk::ReadChunk<float>(narrow, bits, 0, 1, n, y + first);
    }
  });
}

}  // namespace tierlib::dkm::host
