#include "dkm/kernels/palettize.h"

#include <algorithm>
#include <limits>

#include "autograd/kernels/host/chunk.h"
#include "base/thread_pool.h"

namespace tierlib::dkm::host {
namespace {

namespace chunk = autograd::host;

template <typename T>
int Nearest(const PalettizeArguments<T>& a, const T* weight) {
  T least = std::numeric_limits<T>::infinity();
  int nearest = 0;
  for (int j = 0; j < a.clusters; ++j) {
    T distance = 0;
    for (int c = 0; c < a.dim; ++c) {
      const T difference = weight[c] - a.centroids[j * a.dim + c];
      distance += difference * difference;
    }
    if (distance < least) {
      least = distance;
      nearest = j;
    }
  }
  return nearest;
}

template <typename T>
void Run(KernelContext& context, const PalettizeArguments<T>& a) {
  const std::int64_t step = chunk::kChunk / a.dim;  // vectors in a chunk
  context.pool.ParallelFor(a.vectors, 16 * step, [&](std::int64_t begin, std::int64_t end) {
    T in[chunk::kChunk];
    T out[chunk::kChunk];
    for (std::int64_t first = begin; first < end; first += step) {
      const std::int64_t count = std::min(step, end - first);
      const std::int64_t values = count * a.dim;
      const T* weights = chunk::ReadChunk<T>(a.dtype, a.weights, first * a.dim, 1, values, in);
      T* output = a.output == nullptr ? out : chunk::OpenChunk<T>(a.dtype, a.output, first * a.dim, 1, out);
      for (std::int64_t i = 0; i < count; ++i) {
        const int nearest = Nearest(a, weights + i * a.dim);
        std::copy_n(a.centroids + nearest * a.dim, a.dim, output + i * a.dim);
        if (a.indices != nullptr) a.indices[first + i] = static_cast<std::uint8_t>(nearest);
      }
      if (a.output != nullptr) chunk::CloseChunk<T>(a.dtype, a.output, first * a.dim, 1, values, output);
    }
  });
}

}  // namespace

void Palettize(KernelContext& context, const PalettizeArguments<float>& a) { Run(context, a); }
void Palettize(KernelContext& context, const PalettizeArguments<double>& a) { Run(context, a); }

}  // namespace tierlib::dkm::host
