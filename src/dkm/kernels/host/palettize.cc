#include "dkm/kernels/palettize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/kernels/host/chunk.h"
#include "base/thread_pool.h"

namespace tierlib::dkm::host {
namespace {

namespace chunk = autograd::host;

template <typename T>
int Nearest(const PalettizeArguments<T>& a, const T* weight) {
  const bool prune = a.prune_threshold > 0;
  T least = std::numeric_limits<T>::infinity();
  int nearest = 0;
  for (int j = 0; j < a.clusters; ++j) {
    T distance = 0;
    for (int c = 0; c < a.dim; ++c) {
      const T difference = weight[c] - a.centroids[j * a.dim + c];
      distance += difference * difference;
    }
    if (prune && a.metric == Metric::kEuclidean) distance = std::sqrt(distance);
    if (prune && j == 0) distance -= static_cast<T>(a.prune_threshold);
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

// The nearest value that a float type has. Infinity only for infinity.
float Rounded(DType type, float value) {
  if (type == DType::kF32) return value;
  const float largest = type == DType::kF16 ? 65504.0f : 0x1.fep127f;
  const float inside = std::isinf(value) ? value : std::clamp(value, -largest, largest);
  std::uint16_t bits = 0;
  chunk::WriteElement<float>(type, &bits, 0, inside);
  return chunk::ReadElement<float>(type, &bits, 0);
}

// float32's nearest.
template <typename T>
float Single(T value) {
  constexpr T kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(std::isinf(value) ? value : std::clamp(value, -kLargest, kLargest));
}

template <typename T>
void RoundTo(DType type, std::size_t count, T* centroids) {
  float scale = 0;
  for (std::size_t i = 0; i < count; ++i) scale = std::max(scale, std::fabs(Single(centroids[i])));
  scale /= 127;
  for (std::size_t i = 0; i < count; ++i) {
    const float value = Single(centroids[i]);
    if (type != DType::kI8) {
      centroids[i] = static_cast<T>(Rounded(type, value));
    } else if (scale == 0) {  // also where all are too small for one
      centroids[i] = 0;
    } else {
      // A scale that is denormal is far from the largest over 127.
      centroids[i] = static_cast<T>(scale * std::clamp(std::nearbyint(value / scale), -127.0f, 127.0f));
    }
  }
}

}  // namespace

void RoundTable(DType type, std::size_t count, float* centroids) { RoundTo(type, count, centroids); }
void RoundTable(DType type, std::size_t count, double* centroids) { RoundTo(type, count, centroids); }

void Palettize(KernelContext& context, const PalettizeArguments<float>& a) { Run(context, a); }
void Palettize(KernelContext& context, const PalettizeArguments<double>& a) { Run(context, a); }

}  // namespace tierlib::dkm::host
