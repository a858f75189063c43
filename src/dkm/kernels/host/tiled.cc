// The tiled form and the table domain: runs the tile passes over all tiles and adds up what they leave behind, in the
// order of the tiles.
#include "dkm/kernels/tiled.h"

#include <algorithm>
#include <cmath>

#include "autograd/kernels/host/chunk.h"
#include "base/thread_pool.h"
#include "dkm/kernels/table.h"
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
  double* direct;    // [k d]: of P_(T-1), what the output's own attention adds where a pass of its own finds it
  void* u;           // [k d] of T
};

Workspace Cut(const TiledShape& shape, void* workspace) {
  Workspace w;
  w.partials = static_cast<double*>(workspace);
  w.sums = w.partials + static_cast<std::size_t>(TileCount(shape)) * PartialElements(shape);
  w.adjoint = w.sums + PartialElements(shape);
  w.direct = w.adjoint + CentroidElements(shape);
  w.u = w.direct + CentroidElements(shape);
  return w;
}

// What a pass goes over. `multiplicity` as in Tile.
template <typename T>
struct Rows {
  const T* weights = nullptr;
  const T* multiplicity = nullptr;
};

template <typename T>
Tile<T> TileAt(const TiledShape& shape, const Rows<T>& rows, const T* centroids, std::int64_t begin, std::int64_t end) {
  return {rows.weights + begin * shape.dim,
          end - begin,
          shape.dim,
          shape.clusters,
          shape.metric,
          shape.tau,
          centroids,
          rows.multiplicity == nullptr ? nullptr : rows.multiplicity + begin,
          shape.attention_floor,
          shape.prune_threshold};
}

// Runs body(tile, begin, partial) over all tiles, `partial` being `elements` zeroed doubles of the tile, and adds the
// partials up into w.sums.
template <typename T, typename Body>
void SumOverTiles(KernelContext& context, const TiledShape& shape, const Rows<T>& rows, const T* centroids,
                  std::size_t elements, const Workspace& w, const Body& body) {
  const std::int64_t grain = TileVectors(shape);
  context.pool.ParallelFor(shape.vectors, grain, [&](std::int64_t begin, std::int64_t end) {
    double* partial = w.partials + static_cast<std::size_t>(begin / grain) * elements;
    std::fill_n(partial, elements, 0.0);
    body(TileAt(shape, rows, centroids, begin, end), begin, partial);
  });
  std::fill_n(w.sums, elements, 0.0);
  const std::size_t tiles = static_cast<std::size_t>(TileCount(shape));
  for (std::size_t tile = 0; tile < tiles; ++tile) {
    for (std::size_t i = 0; i < elements; ++i) w.sums[i] += w.partials[tile * elements + i];
  }
}

// Whether no centroid of `to` is further than epsilon from where it was; false where one is NaN.
template <typename T>
bool Settled(const TiledShape& shape, const T* from, const T* to) {
  const std::size_t d = static_cast<std::size_t>(shape.dim);
  for (std::size_t j = 0; j < static_cast<std::size_t>(shape.clusters); ++j) {
    double moved = 0;  // std::hypot of all components: squares of small numbers would vanish
    for (std::size_t i = j * d; i < (j + 1) * d; ++i) {
      moved = std::hypot(moved, static_cast<double>(to[i]) - static_cast<double>(from[i]));
    }
    if (!(moved <= shape.epsilon)) return false;
  }
  return true;
}

// Writes all of the trajectory but C_0.
template <typename T>
void Iterate(KernelContext& context, const TiledShape& shape, const Rows<T>& rows, T* trajectory, const Workspace& w) {
  const std::size_t k = static_cast<std::size_t>(shape.clusters);
  const std::size_t d = static_cast<std::size_t>(shape.dim);
  const std::size_t kd = k * d;
  T* masses = trajectory + static_cast<std::size_t>(shape.iterations + 1) * kd;
  int run = 0;
  for (bool settled = false; run < shape.iterations && !settled; ++run) {
    const T* from = trajectory + static_cast<std::size_t>(run) * kd;
    T* to = trajectory + static_cast<std::size_t>(run + 1) * kd;
    SumOverTiles(
        context, shape, rows, from, PartialElements(shape), w,
        [&](const Tile<T>& tile, std::int64_t, double* partial) { AccumulateTile(tile, partial, partial + k); });
    for (std::size_t j = 0; j < k; ++j) {
      const double mass = w.sums[j];
      masses[static_cast<std::size_t>(run) * k + j] = static_cast<T>(mass);
      for (std::size_t i = j * d; i < (j + 1) * d; ++i) {
        to[i] = static_cast<T>(static_cast<double>(from[i]) + w.sums[k + i] / (mass + kMassFloor));
      }
    }
    settled = shape.epsilon > 0 && Settled(shape, from, to);
  }
  const T* last = trajectory + TiledCentroidOffset(shape, run);
  for (int t = run; t < shape.iterations; ++t) {
    std::copy_n(last, kd, trajectory + TiledCentroidOffset(shape, t + 1));
    std::fill_n(masses + static_cast<std::size_t>(t) * k, k, T{0});
  }
  trajectory[TiledTrajectoryElements(shape) - 1] = static_cast<T>(run);
}

// W~.
template <typename T>
void Attend(KernelContext& context, const TiledShape& shape, const Rows<T>& rows, const T* trajectory, T* output) {
  const T* last = trajectory + TiledCentroidOffset(shape, shape.iterations);
  const T* attended = AttendedCentroids(shape, trajectory);
  context.pool.ParallelFor(shape.vectors, TileVectors(shape), [&](std::int64_t begin, std::int64_t end) {
    AttendTile(TileAt(shape, rows, attended, begin, end), last, output + begin * shape.dim);
  });
}

// The same of weights that are stored in another type, and rounded to it.
template <typename T>
void AttendConverted(KernelContext& context, const TiledReplayArguments<T>& a) {
  namespace chunk = autograd::host;
  const TiledShape& shape = a.shape;
  const T* last = a.trajectory + TiledCentroidOffset(shape, shape.iterations);
  const T* attended = AttendedCentroids(shape, a.trajectory);
  const std::int64_t at_once = std::max<std::int64_t>(1, chunk::kChunk / shape.dim);
  context.pool.ParallelFor(shape.vectors, TileVectors(shape), [&](std::int64_t begin, std::int64_t end) {
    T weights[chunk::kChunk];
    T output[chunk::kChunk];
    for (std::int64_t first = begin; first < end; first += at_once) {
      const std::int64_t count = std::min(at_once, end - first);
      chunk::ReadChunk<T>(a.dtype, a.weights, first * shape.dim, 1, count * shape.dim, weights);
      AttendTile(TileAt(shape, Rows<T>{weights}, attended, 0, count), last, output);
      chunk::CloseChunk<T>(a.dtype, a.output, first * shape.dim, 1, count * shape.dim, output);
    }
  });
}

template <typename T>
void Replay(KernelContext& context, const TiledReplayArguments<T>& a) {
  if (a.dtype != autograd::host::kDTypeOf<T>) return AttendConverted(context, a);
  Attend(context, a.shape, Rows<T>{static_cast<const T*>(a.weights)}, a.trajectory, static_cast<T*>(a.output));
}

template <typename T>
void Forward(KernelContext& context, const TiledShape& shape, const Rows<T>& rows, T* trajectory, T* output,
             void* workspace) {
  Iterate(context, shape, rows, trajectory, Cut(shape, workspace));
  if (output != nullptr) Attend(context, shape, rows, trajectory, output);
}

// DifferentiateTile over all tiles, with the sum in w.sums. adjoint.gradient and weight_gradient: [vectors][dim].
template <typename T>
void Differentiate(KernelContext& context, const TiledShape& shape, const Rows<T>& rows, const T* centroids,
                   const TileAdjoint<T>& adjoint, T* weight_gradient, const Workspace& w) {
  SumOverTiles(context, shape, rows, centroids, CentroidElements(shape), w,
               [&](const Tile<T>& tile, std::int64_t begin, double* partial) {
                 TileAdjoint<T> here = adjoint;
                 if (adjoint.gradient != nullptr) here.gradient = adjoint.gradient + begin * shape.dim;
                 DifferentiateTile(tile, here, weight_gradient + begin * shape.dim, partial);
               });
}

// w.sums = sum_i n_i A_ij gradient_i over all tiles.
template <typename T>
void Collect(KernelContext& context, const TiledShape& shape, const Rows<T>& rows, const T* centroids,
             const T* gradient, const Workspace& w) {
  SumOverTiles(context, shape, rows, centroids, CentroidElements(shape), w,
               [&](const Tile<T>& tile, std::int64_t begin, double* partial) {
                 CollectTile(tile, gradient + begin * shape.dim, partial);
               });
}

// From P_T in w.adjoint through all iterations to P_0 there. `gradient`: G where the last iteration's attention makes
// the output and is to be differentiated along with it; otherwise null. `direct`: what P_(T-1) gets besides; may be
// null. `overwrite`: weight_gradient holds nothing yet.
template <typename T>
void IterateBack(KernelContext& context, const TiledShape& shape, const Rows<T>& rows, const T* trajectory,
                 const T* gradient, const double* direct, bool overwrite, T* weight_gradient, const Workspace& w) {
  const std::size_t k = static_cast<std::size_t>(shape.clusters);
  const std::size_t d = static_cast<std::size_t>(shape.dim);
  const std::size_t kd = k * d;
  T* u = static_cast<T*>(w.u);
  const T* masses = trajectory + static_cast<std::size_t>(shape.iterations + 1) * kd;
  const int run = IterationsRun(shape, trajectory);
  for (int t = run; t >= 1; --t) {
    const T* mass = masses + static_cast<std::size_t>(t - 1) * k;
    const T* target = trajectory + static_cast<std::size_t>(t) * kd;
    for (std::size_t i = 0; i < kd; ++i) {
      w.adjoint[i] /= static_cast<double>(mass[i / d]) + kMassFloor;
      // Where no weight attends, u would only be multiplied by zeros, and 1 / kMassFloor may take it beyond float32.
      u[i] = mass[i / d] == T{0} ? T{0} : static_cast<T>(w.adjoint[i]);
    }
    const bool last = t == run;
    Differentiate(context, shape, rows, target - kd,
                  {.targets = target, .u = u, .gradient = last ? gradient : nullptr, .overwrite = last && overwrite},
                  weight_gradient, w);
    for (std::size_t i = 0; i < kd; ++i) {
      w.adjoint[i] = w.sums[i] + kMassFloor * w.adjoint[i] + (last && direct != nullptr ? direct[i] : 0.0);
    }
  }
}

template <typename T>
void Backward(KernelContext& context, const TiledShape& shape, const T* weights, const T* trajectory, const T* gradient,
              T* weight_gradient, double* start_gradient, void* workspace) {
  const Workspace w = Cut(shape, workspace);
  const std::size_t kd = CentroidElements(shape);
  const Rows<T> rows{weights};
  const T* last = trajectory + TiledCentroidOffset(shape, shape.iterations);
  const bool recomputed = shape.attention == Attention::kRecomputed;
  if (recomputed) {
    std::fill_n(static_cast<T*>(w.u), kd, T{0});
    Differentiate(
        context, shape, rows, last,
        {.targets = last, .u = static_cast<T*>(w.u), .gradient = gradient, .collect = true, .overwrite = true},
        weight_gradient, w);
  } else {
    Collect(context, shape, rows, AttendedCentroids(shape, trajectory), gradient, w);
  }
  std::copy_n(w.sums, kd, w.adjoint);
  IterateBack<T>(context, shape, rows, trajectory, recomputed ? nullptr : gradient, nullptr, !recomputed,
                 weight_gradient, w);
  if (start_gradient != nullptr) std::copy_n(w.adjoint, kd, start_gradient);
}

// dw~/dw of one weight at fixed centroids is differentiated apart from what goes through the centroids: G only scales
// it, once for each weight.
template <typename T>
void BackwardOfTable(KernelContext& context, const TiledShape& shape, const T* values, const T* counts,
                     const T* gradient_sums, const T* trajectory, T* slope, T* offset, double* start_gradient,
                     void* workspace) {
  const Workspace w = Cut(shape, workspace);
  const std::size_t kd = CentroidElements(shape);
  const T* last = trajectory + TiledCentroidOffset(shape, shape.iterations);
  const bool recomputed = shape.attention == Attention::kRecomputed;
  std::fill_n(slope, shape.vectors, T{1});  // G = 1 for each, in the place of the result
  std::fill_n(static_cast<T*>(w.u), kd, T{0});
  Differentiate(
      context, shape, {values, gradient_sums}, AttendedCentroids(shape, trajectory),
      {.targets = last, .u = static_cast<T*>(w.u), .gradient = slope, .collect = recomputed, .overwrite = true}, slope,
      w);
  if (!recomputed) {
    std::copy_n(w.sums, kd, w.direct);
    Collect(context, shape, {values}, AttendedCentroids(shape, trajectory), gradient_sums, w);
  }
  std::copy_n(w.sums, kd, w.adjoint);
  IterateBack<T>(context, shape, {values, counts}, trajectory, nullptr, recomputed ? nullptr : w.direct, true, offset,
                 w);
  if (start_gradient != nullptr) std::copy_n(w.adjoint, kd, start_gradient);
}

}  // namespace

std::size_t TiledWorkspaceBytes(const TiledShape& shape, std::size_t element_bytes) {
  const std::size_t tiles = static_cast<std::size_t>(TileCount(shape));
  const std::size_t doubles = (tiles + 1) * PartialElements(shape) + 2 * CentroidElements(shape);
  return doubles * sizeof(double) + CentroidElements(shape) * element_bytes;
}

std::size_t TiledCentroidOffset(const TiledShape& shape, int t) {
  return static_cast<std::size_t>(t) * CentroidElements(shape);
}

std::size_t TiledTrajectoryElements(const TiledShape& shape) {
  const std::size_t iterations = static_cast<std::size_t>(shape.iterations);
  return (iterations + 1) * CentroidElements(shape) + iterations * static_cast<std::size_t>(shape.clusters) + 1;
}

void TiledForward(KernelContext& context, const TiledShape& shape, const float* weights, float* trajectory,
                  float* output, void* workspace) {
  Forward(context, shape, Rows<float>{weights}, trajectory, output, workspace);
}
void TiledForward(KernelContext& context, const TiledShape& shape, const double* weights, double* trajectory,
                  double* output, void* workspace) {
  Forward(context, shape, Rows<double>{weights}, trajectory, output, workspace);
}

void TiledReplay(KernelContext& context, const TiledReplayArguments<float>& a) { Replay(context, a); }
void TiledReplay(KernelContext& context, const TiledReplayArguments<double>& a) { Replay(context, a); }

void TiledBackward(KernelContext& context, const TiledShape& shape, const float* weights, const float* trajectory,
                   const float* gradient, float* weight_gradient, double* start_gradient, void* workspace) {
  Backward(context, shape, weights, trajectory, gradient, weight_gradient, start_gradient, workspace);
}
void TiledBackward(KernelContext& context, const TiledShape& shape, const double* weights, const double* trajectory,
                   const double* gradient, double* weight_gradient, double* start_gradient, void* workspace) {
  Backward(context, shape, weights, trajectory, gradient, weight_gradient, start_gradient, workspace);
}

void TableForward(KernelContext& context, const TiledShape& shape, const float* values, const float* counts,
                  float* trajectory, float* table, void* workspace) {
  Forward(context, shape, Rows<float>{values, counts}, trajectory, table, workspace);
}
void TableForward(KernelContext& context, const TiledShape& shape, const double* values, const double* counts,
                  double* trajectory, double* table, void* workspace) {
  Forward(context, shape, Rows<double>{values, counts}, trajectory, table, workspace);
}

void TableBackward(KernelContext& context, const TiledShape& shape, const float* values, const float* counts,
                   const float* gradient_sums, const float* trajectory, float* slope, float* offset,
                   double* start_gradient, void* workspace) {
  BackwardOfTable(context, shape, values, counts, gradient_sums, trajectory, slope, offset, start_gradient, workspace);
}
void TableBackward(KernelContext& context, const TiledShape& shape, const double* values, const double* counts,
                   const double* gradient_sums, const double* trajectory, double* slope, double* offset,
                   double* start_gradient, void* workspace) {
  BackwardOfTable(context, shape, values, counts, gradient_sums, trajectory, slope, offset, start_gradient, workspace);
}

}  // namespace tierlib::dkm::host
