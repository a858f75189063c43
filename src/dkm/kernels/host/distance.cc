#include "dkm/kernels/distance.h"

#include <algorithm>
#include <cmath>

#include "autograd/kernels/host/chunk.h"
#include "base/thread_pool.h"

namespace tierlib::dkm::host {
namespace {

namespace chunk = autograd::host;

constexpr std::int64_t kTile = 4096;  // vectors

std::int64_t Tiles(const DistanceShape& shape) { return (shape.vectors + kTile - 1) / kTile; }

std::int64_t CentroidValues(const DistanceShape& shape) { return std::int64_t{shape.clusters} * shape.dim; }

// Vectors whose weights and whose row of the map fit a chunk.
std::int64_t ChunkVectors(const DistanceShape& shape) { return chunk::kChunk / std::max(shape.clusters, shape.dim); }

// The centroids in T, at the start of the workspace, which has 8 bytes for each.
template <typename T>
const T* ReadCentroids(const DistanceShape& shape, const void* centroids, void* workspace) {
  T* values = static_cast<T*>(workspace);
  for (std::int64_t i = 0; i < CentroidValues(shape); ++i) values[i] = chunk::ReadElement<T>(shape.dtype, centroids, i);
  return values;
}

template <typename T>
void Forward(KernelContext& context, const DistanceForwardArguments& a) {
  const DistanceShape& s = a.shape;
  const T* centroids = ReadCentroids<T>(s, a.centroids, a.workspace);
  const std::int64_t step = ChunkVectors(s);
  context.pool.ParallelFor(s.vectors, kTile, [&](std::int64_t begin, std::int64_t end) {
    T in[chunk::kChunk];
    T out[chunk::kChunk];
    for (std::int64_t first = begin; first < end; first += step) {
      const std::int64_t count = std::min(step, end - first);
      const T* weights = chunk::ReadChunk<T>(s.dtype, a.weights, first * s.dim, 1, count * s.dim, in);
      T* rows = chunk::OpenChunk<T>(s.dtype, a.distance, first * s.clusters, 1, out);
      for (std::int64_t i = 0; i < count; ++i) {
        for (int j = 0; j < s.clusters; ++j) {
          T sum = 0;
          for (int c = 0; c < s.dim; ++c) {
            const T difference = weights[i * s.dim + c] - centroids[j * s.dim + c];
            sum += difference * difference;
          }
          rows[i * s.clusters + j] = std::sqrt(sum);
        }
      }
      chunk::CloseChunk<T>(s.dtype, a.distance, first * s.clusters, 1, count * s.clusters, rows);
    }
  });
}

// Rows [first, first + count) of a tile; `sums` are the tile's.
template <typename T>
void BackwardRows(const DistanceBackwardArguments& a, const T* centroids, std::int64_t first, std::int64_t count,
                  double* sums) {
  const DistanceShape& s = a.shape;
  T weight_buffer[chunk::kChunk], distance_buffer[chunk::kChunk], slope_buffer[chunk::kChunk], out[chunk::kChunk];
  const T* weights = chunk::ReadChunk<T>(s.dtype, a.weights, first * s.dim, 1, count * s.dim, weight_buffer);
  const T* distance =
      chunk::ReadChunk<T>(s.dtype, a.distance, first * s.clusters, 1, count * s.clusters, distance_buffer);
  const T* slope = chunk::ReadChunk<T>(s.dtype, a.d_distance, first * s.clusters, 1, count * s.clusters, slope_buffer);
  T* d_weights = a.d_weights == nullptr ? out : chunk::OpenChunk<T>(s.dtype, a.d_weights, first * s.dim, 1, out);
  std::fill_n(d_weights, count * s.dim, T{0});
  for (std::int64_t i = 0; i < count; ++i) {
    for (int j = 0; j < s.clusters; ++j) {
      const std::int64_t ij = i * s.clusters + j;
      const T p = distance[ij] == 0 ? T{0} : slope[ij] / distance[ij];
      for (int c = 0; c < s.dim; ++c) {
        const T part = p * (weights[i * s.dim + c] - centroids[j * s.dim + c]);
        d_weights[i * s.dim + c] += part;
        sums[j * s.dim + c] -= static_cast<double>(part);
      }
    }
  }
  if (a.d_weights != nullptr) {
    chunk::CloseChunk<T>(s.dtype, a.d_weights, first * s.dim, 1, count * s.dim, d_weights);
  }
}

template <typename T>
void Backward(KernelContext& context, const DistanceBackwardArguments& a) {
  const DistanceShape& s = a.shape;
  const T* centroids = ReadCentroids<T>(s, a.centroids, a.workspace);
  const std::int64_t values = CentroidValues(s);
  double* partials = static_cast<double*>(a.workspace) + values;
  context.pool.ParallelFor(s.vectors, kTile, [&](std::int64_t begin, std::int64_t end) {
    double* sums = partials + begin / kTile * values;
    std::fill_n(sums, values, 0.0);
    const std::int64_t step = ChunkVectors(s);
    for (std::int64_t first = begin; first < end; first += step) {
      BackwardRows(a, centroids, first, std::min(step, end - first), sums);
    }
  });
  for (std::int64_t i = 0; a.d_centroids != nullptr && i < values; ++i) {
    double sum = 0;
    for (std::int64_t tile = 0; tile < Tiles(s); ++tile) sum += partials[tile * values + i];
    chunk::WriteElement<T>(s.dtype, a.d_centroids, i, static_cast<T>(sum));
  }
}

}  // namespace

std::size_t DistanceWorkspaceBytes(const DistanceShape& shape) {
  return static_cast<std::size_t>((Tiles(shape) + 1) * CentroidValues(shape)) * sizeof(double);
}

void DistanceForward(KernelContext& context, const DistanceForwardArguments& a) {
  chunk::WithComputeType(a.shape.dtype, [&](auto zero) { Forward<decltype(zero)>(context, a); });
}

void DistanceBackward(KernelContext& context, const DistanceBackwardArguments& a) {
  chunk::WithComputeType(a.shape.dtype, [&](auto zero) { Backward<decltype(zero)>(context, a); });
}

}  // namespace tierlib::dkm::host
