// Tile passes of DKM on CUDA devices: what tile_pass.h of the host is, over rows of weights or of distinct values.
//
// Reference: dkm/kernels/tiled.h has the formulas, host/tiled.cc and host/tile_pass.cc compute them. Results differ
// from those by the order of sums alone.
//
// A tile is as many rows as fit with their k distances into kTileElements (a power of two, 8 to 256). A block takes
// tiles in turn. Row r of the tile belongs to the threads r, r + rows, ...; each has some of the k centroids. Sums over
// rows: each output has some threads beside each other, which take rows in turn; in T within a tile, in float64 across
// tiles. The block that comes last adds the blocks' sums up, in their order, and works on with them. The number of
// blocks depends on the shape alone, so results are the same on every device.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_TILE_PASS_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_TILE_PASS_H_

#include <math.h>

#include <cstdint>

#include "dkm/kernels/clustering_shape.h"
#include "dkm/kernels/cuda/number.h"

namespace tierlib::dkm::cuda {

using host::kMassFloor;
using host::TiledShape;

inline constexpr int kTileThreads = 256;
inline constexpr int kTileElements = 2048;
inline constexpr int kMostTileBlocks = 1024;

TIERLIB_HOST_DEVICE inline int TileRows(int clusters) {
  int rows = kTileThreads;
  while (rows * clusters > kTileElements) rows /= 2;
  return rows;
}

// Threads beside each other that share an output; 0: there are more outputs than threads.
TIERLIB_HOST_DEVICE inline int ThreadsPerOutput(int outputs) {
  int threads = kTileThreads;
  while (threads > 0 && threads * outputs > kTileThreads) threads /= 2;
  return threads;
}

inline int TileBlocks(const TiledShape& shape, std::int64_t most_rows) {
  return BlocksFor(most_rows, TileRows(shape.clusters), kMostTileBlocks);
}

// What a pass goes over.
template <typename T>
struct Rows {
  const T* weights = nullptr;           // [rows][dim]
  const T* multiplicity = nullptr;      // [rows]: how often each counts in sums; null: once
  const std::int64_t* count = nullptr;  // on the device: how many rows there are; null: `most`
  std::int64_t most = 0;
};

// On the device, zeroed before the first pass.
struct PassState {
  std::uint32_t arrived = 0;  // blocks of the pass under way
  std::int32_t run = 0;       // iterations
  std::int32_t settled = 0;
  std::int32_t unused = 0;
};

// The workspace, cut up.
template <typename T>
struct TileWorkspace {
  double* partials = nullptr;  // [blocks][k (d + 1)]
  double* sums = nullptr;      // [k (d + 1)]
  double* adjoint = nullptr;   // [k d]: P_t
  double* direct = nullptr;  // [k d]: of P_(T-1), what the output's own attention adds where a pass of its own finds it
  T* u = nullptr;            // [k d]
  PassState* state = nullptr;
};

// The parts of a trajectory (tiled.h).
template <typename T>
struct Path {
  TiledShape shape;
  T* begin = nullptr;

  TIERLIB_HOST_DEVICE std::int64_t values() const { return std::int64_t{shape.clusters} * shape.dim; }
  TIERLIB_HOST_DEVICE T* centroids(int t) const { return begin + t * values(); }
  TIERLIB_HOST_DEVICE T* masses(int t) const {  // s_t, 1 <= t <= T
    return begin + (shape.iterations + 1) * values() + std::int64_t{t - 1} * shape.clusters;
  }
  TIERLIB_HOST_DEVICE T* run() const { return masses(shape.iterations + 1); }
  TIERLIB_HOST_DEVICE int iterations_run() const { return static_cast<int>(*run()); }
  // What the output's attention is taken against.
  TIERLIB_HOST_DEVICE const T* attended() const {
    const int t = iterations_run();
    return centroids(shape.attention == Attention::kLast ? t - 1 : t);
  }
};

template <typename T>
struct TileShared {
  T e[kTileElements];       // [centroid][row]: distances, then exponentials, then attention
  T h[kTileElements];       // [centroid][row]: adjoints
  T nearest[kTileThreads];  // of a thread's centroids; then its part of the mean adjoint
  T total[kTileThreads];    // of a thread's exponentials
  T inverse[kTileThreads];  // [row] 1 / sum of exponentials
  T times[kTileThreads];    // [row] multiplicity
  double sums[kTileThreads];
  int last;  // this block came last
};

template <typename T>
TIERLIB_HOST_DEVICE inline T Distance(const TiledShape& shape, const T* x, const T* centroid) {
  const T first = x[0] - centroid[0];
  T sum = first * first;
  for (int c = 1; c < shape.dim; ++c) {
    const T difference = x[c] - centroid[c];
    sum = Fma(difference, difference, sum);
  }
  return shape.metric == Metric::kEuclidean ? Root(sum) : sum;
}

// The tiles of a pass and the attention of their rows: the first phases of every round.
template <typename T>
struct TilePass {
  using Shared = TileShared<T>;
  static constexpr int kThreads = kTileThreads;
  static constexpr int kAttentionPhases = 3;

  TiledShape shape;
  Rows<T> rows;
  TileWorkspace<T> work;
  int blocks = 0;

  TIERLIB_HOST_DEVICE std::int64_t RowCount() const { return rows.count == nullptr ? rows.most : *rows.count; }
  TIERLIB_HOST_DEVICE std::int64_t TilesOf(int block) const {
    const std::int64_t height = TileRows(shape.clusters);
    const std::int64_t tiles = (RowCount() + height - 1) / height;
    return tiles <= block ? 0 : (tiles - block + blocks - 1) / blocks;
  }

  // A thread's place in a tile.
  struct Place {
    int height;          // rows of a tile
    int row;             // of this thread
    int lane;            // its first centroid
    int lanes;           // to its next one
    std::int64_t first;  // row of the tile
    int valid;           // rows that there are
    TIERLIB_HOST_DEVICE bool has_row() const { return row < valid; }
  };
  TIERLIB_HOST_DEVICE Place PlaceOf(std::int64_t round, int block, int thread) const {
    Place p;
    p.height = TileRows(shape.clusters);
    p.row = thread % p.height;
    p.lane = thread / p.height;
    p.lanes = kThreads / p.height;
    p.first = (block + round * blocks) * p.height;
    const std::int64_t left = RowCount() - p.first;
    p.valid = static_cast<int>(left < p.height ? left : p.height);
    return p;
  }

  // Phase 0 leaves distances, 1 exponentials, 2 what makes them attention.
  template <int kPhase>
  TIERLIB_HOST_DEVICE void MakeAttention(const Place& p, int thread, const T* centroids, Shared* shared) const {
    if constexpr (kPhase == 0) {
      T nearest = static_cast<T>(HUGE_VALF);
      for (int j = p.lane; j < shape.clusters; j += p.lanes) {
        T distance = 0;
        if (p.has_row()) distance = Distance(shape, RowAt(p, p.row), centroids + j * shape.dim);
        if (j == 0) distance -= static_cast<T>(shape.prune_threshold);
        shared->e[j * p.height + p.row] = distance;
        if (distance < nearest) nearest = distance;
      }
      shared->nearest[thread] = nearest;
    } else if constexpr (kPhase == 1) {
      T nearest = shared->nearest[p.row];
      for (int lane = 1; lane < p.lanes; ++lane) {
        const T other = shared->nearest[p.row + lane * p.height];
        if (other < nearest) nearest = other;
      }
      const T scale = ExponentScale(T{}, shape.tau);
      T total = 0;
      for (int j = p.lane; j < shape.clusters; j += p.lanes) {
        T& e = shared->e[j * p.height + p.row];
        e = Exponential((nearest - e) * scale);
        total += e;
      }
      shared->total[thread] = total;
    } else if (thread < p.height) {
      T total = 0;
      for (int lane = 0; lane < p.lanes; ++lane) total += shared->total[p.row + lane * p.height];
      shared->inverse[p.row] = p.has_row() ? T{1} / total : T{0};
      const bool once = rows.multiplicity == nullptr || !p.has_row();
      shared->times[p.row] = once ? T{1} : rows.multiplicity[p.first + p.row];
    }
  }

  // After those phases: what centroid j weighs in a row, times its multiplicity where `times`.
  TIERLIB_HOST_DEVICE T AttentionOf(const Shared& shared, const Place& p, int j, int row, bool times) const {
    const T e = shared.e[j * p.height + row];
    const T n = times ? shared.times[row] : T{1};
    if (shape.attention_floor == 0) return e * (shared.inverse[row] * n);
    return Raised(e * shared.inverse[row]) * n;
  }
  TIERLIB_HOST_DEVICE T Raised(T attention) const {
    const T floor = static_cast<T>(shape.attention_floor);
    return attention < floor ? floor : attention;
  }

  TIERLIB_HOST_DEVICE const T* RowAt(const Place& p, int row) const {
    return rows.weights + (p.first + row) * shape.dim;
  }
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_TILE_PASS_H_
