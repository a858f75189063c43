// Runs the tile passes over all tiles and adds up what they leave behind, in the order of the tiles.
#include "dkm/kernels/tiled.h"

#include <algorithm>

#include "base/thread_pool.h"
#include "dkm/kernels/tile_pass.h"

namespace tierlib::dkm::host {
namespace {

// Vectors per tile. Grows with k, so that the partial sums stay small beside the weights.
std::int64_t TileVectors(const TiledShape& shape) {
  return std::max<std::int64_t>(2048, std::int64_t{32} * shape.clusters);
}

std::int64_t TileCount(const TiledShape& shape) {
  const std::int64_t tile = TileVectors(shape);
  return (shape.vectors + tile - 1) / tile;
}

// Doubles that a pass leaves behind per tile: masses and moments.
std::size_t PartialElements(const TiledShape& shape) {
  return static_cast<std::size_t>(shape.clusters) * static_cast<std::size_t>(shape.dim + 1);
}

std::size_t CentroidElements(const TiledShape& shape) {
  return static_cast<std::size_t>(shape.clusters) * static_cast<std::size_t>(shape.dim);
}

// The workspace, cut up.
struct Workspace {
  double* partials;  // [tiles][k (d + 1)]
  double* sums;      // [k (d + 1)]
  double* adjoint;   // [k d]: P_t
  void* u;           // [k d] of T
};

Workspace Cut(const TiledShape& shape, void* workspace) {
  Workspace w;
  w.partials = static_cast<double*>(workspace);
  w.sums = w.partials + static_cast<std::size_t>(TileCount(shape)) * PartialElements(shape);
  w.adjoint = w.sums + PartialElements(shape);
  w.u = w.adjoint + CentroidElements(shape);
  return w;
}

template <typename T>
Tile<T> TileAt(const TiledShape& shape, const T* weights, const T* centroids, std::int64_t begin, std::int64_t end) {
  return {weights + begin * shape.dim, end - begin, shape.dim, shape.clusters, shape.metric, shape.tau, centroids};
}

// Runs body(tile, partial) over all tiles, `partial` being `elements` zeroed doubles of the tile, and adds the partials
// up into w.sums.
template <typename T, typename Body>
void SumOverTiles(KernelContext& context, const TiledShape& shape, const T* weights, const T* centroids,
                  std::size_t elements, const Workspace& w, const Body& body) {
  const std::int64_t grain = TileVectors(shape);
  context.pool.ParallelFor(shape.vectors, grain, [&](std::int64_t begin, std::int64_t end) {
    double* partial = w.partials + static_cast<std::size_t>(begin / grain) * elements;
    std::fill_n(partial, elements, 0.0);
    body(TileAt(shape, weights, centroids, begin, end), begin, partial);
  });
  std::fill_n(w.sums, elements, 0.0);
  const std::size_t tiles = static_cast<std::size_t>(TileCount(shape));
  for (std::size_t tile = 0; tile < tiles; ++tile) {
    for (std::size_t i = 0; i < elements; ++i) w.sums[i] += w.partials[tile * elements + i];
  }
}

template <typename T>
void Forward(KernelContext& context, const TiledShape& shape, const T* weights, T* trajectory, T* output,
             void* workspace) {
  const Workspace w = Cut(shape, workspace);
  const std::size_t k = static_cast<std::size_t>(shape.clusters);
  const std::size_t d = static_cast<std::size_t>(shape.dim);
  const std::size_t kd = k * d;
  T* masses = trajectory + static_cast<std::size_t>(shape.iterations + 1) * kd;
  for (int t = 0; t < shape.iterations; ++t) {
    const T* from = trajectory + static_cast<std::size_t>(t) * kd;
    T* to = trajectory + static_cast<std::size_t>(t + 1) * kd;
    SumOverTiles(
        context, shape, weights, from, PartialElements(shape), w,
        [&](const Tile<T>& tile, std::int64_t, double* partial) { AccumulateTile(tile, partial, partial + k); });
    for (std::size_t j = 0; j < k; ++j) {
      const double mass = w.sums[j];
      masses[static_cast<std::size_t>(t) * k + j] = static_cast<T>(mass);
      for (std::size_t i = j * d; i < (j + 1) * d; ++i) {
        to[i] = static_cast<T>(static_cast<double>(from[i]) + w.sums[k + i] / (mass + kMassFloor));
      }
    }
  }
  if (output == nullptr) return;
  const T* last = trajectory + TiledCentroidOffset(shape, shape.iterations);
  const T* attended = shape.attention == Attention::kLast ? last - kd : last;
  context.pool.ParallelFor(shape.vectors, TileVectors(shape), [&](std::int64_t begin, std::int64_t end) {
    AttendTile(TileAt(shape, weights, attended, begin, end), last, output + begin * shape.dim);
  });
}

template <typename T>
void Backward(KernelContext& context, const TiledShape& shape, const T* weights, const T* trajectory, const T* gradient,
              T* weight_gradient, double* start_gradient, void* workspace) {
  const Workspace w = Cut(shape, workspace);
  const std::size_t k = static_cast<std::size_t>(shape.clusters);
  const std::size_t d = static_cast<std::size_t>(shape.dim);
  const std::size_t kd = k * d;
  T* u = static_cast<T*>(w.u);
  const T* masses = trajectory + static_cast<std::size_t>(shape.iterations + 1) * kd;
  const T* last = trajectory + static_cast<std::size_t>(shape.iterations) * kd;
  const auto differentiate = [&](const T* centroids, TileAdjoint<T> adjoint, bool output_pass) {
    SumOverTiles(context, shape, weights, centroids, kd, w,
                 [&](const Tile<T>& tile, std::int64_t begin, double* partial) {
                   TileAdjoint<T> here = adjoint;
                   if (output_pass) here.gradient = gradient + begin * shape.dim;
                   DifferentiateTile(tile, here, weight_gradient + begin * shape.dim, partial);
                 });
  };

  const bool recomputed = shape.attention == Attention::kRecomputed;
  if (recomputed) {
    std::fill_n(u, kd, T{0});
    differentiate(last, {.targets = last, .u = u, .collect = true, .overwrite = true}, true);
  } else {
    SumOverTiles(context, shape, weights, last - kd, kd, w,
                 [&](const Tile<T>& tile, std::int64_t begin, double* partial) {
                   CollectTile(tile, gradient + begin * shape.dim, partial);
                 });
  }
  std::copy_n(w.sums, kd, w.adjoint);
  for (int t = shape.iterations; t >= 1; --t) {
    const T* mass = masses + static_cast<std::size_t>(t - 1) * k;
    const T* target = trajectory + static_cast<std::size_t>(t) * kd;
    for (std::size_t i = 0; i < kd; ++i) {
      w.adjoint[i] /= static_cast<double>(mass[i / d]) + kMassFloor;
      // Where no weight attends, u would only be multiplied by zeros, and 1 / kMassFloor may take it beyond float32.
      u[i] = mass[i / d] == T{0} ? T{0} : static_cast<T>(w.adjoint[i]);
    }
    const bool first = t == shape.iterations && !recomputed;
    differentiate(target - kd, {.targets = target, .u = u, .overwrite = first}, first);
    for (std::size_t i = 0; i < kd; ++i) w.adjoint[i] = w.sums[i] + kMassFloor * w.adjoint[i];
  }
  if (start_gradient != nullptr) std::copy_n(w.adjoint, kd, start_gradient);
}

}  // namespace

std::size_t TiledWorkspaceBytes(const TiledShape& shape, std::size_t element_bytes) {
  const std::size_t tiles = static_cast<std::size_t>(TileCount(shape));
  const std::size_t doubles = (tiles + 1) * PartialElements(shape) + CentroidElements(shape);
  return doubles * sizeof(double) + CentroidElements(shape) * element_bytes;
}

std::size_t TiledCentroidOffset(const TiledShape& shape, int t) {
  return static_cast<std::size_t>(t) * CentroidElements(shape);
}

std::size_t TiledTrajectoryElements(const TiledShape& shape) {
  const std::size_t iterations = static_cast<std::size_t>(shape.iterations);
  return (iterations + 1) * CentroidElements(shape) + iterations * static_cast<std::size_t>(shape.clusters);
}

void TiledForward(KernelContext& context, const TiledShape& shape, const float* weights, float* trajectory,
                  float* output, void* workspace) {
  Forward(context, shape, weights, trajectory, output, workspace);
}
void TiledForward(KernelContext& context, const TiledShape& shape, const double* weights, double* trajectory,
                  double* output, void* workspace) {
  Forward(context, shape, weights, trajectory, output, workspace);
}

void TiledBackward(KernelContext& context, const TiledShape& shape, const float* weights, const float* trajectory,
                   const float* gradient, float* weight_gradient, double* start_gradient, void* workspace) {
  Backward(context, shape, weights, trajectory, gradient, weight_gradient, start_gradient, workspace);
}
void TiledBackward(KernelContext& context, const TiledShape& shape, const double* weights, const double* trajectory,
                   const double* gradient, double* weight_gradient, double* start_gradient, void* workspace) {
  Backward(context, shape, weights, trajectory, gradient, weight_gradient, start_gradient, workspace);
}

}  // namespace tierlib::dkm::host
