// Tile passes: what the tiled form of DKM computes over one tile of weights. Private to tiled.cc, which runs them over
// all tiles and has the formulas (tiled.h).
//
// Every pass takes the attention A_ij of the tile's weights to k centroids anew, in blocks that fit into the
// first-level cache, and uses it at once. Sums over weights are taken in T inside a block of at most 32 vectors of
// lanes and in float64 across blocks.
//
// Thread-safety: pure functions of their arguments; stack at most 128 KiB.
#ifndef TIERLIB_SRC_DKM_KERNELS_TILE_PASS_H_
#define TIERLIB_SRC_DKM_KERNELS_TILE_PASS_H_

#include <cstdint>

#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm::host {

// k and d beyond these do not fit the blocks on the stack.
inline constexpr int kMostClusters = 256;
inline constexpr int kMostDimensions = 256;

template <typename T>
struct Tile {
  const T* weights = nullptr;  // [vectors][dim]
  std::int64_t vectors = 0;
  int dim = 1;
  int clusters = 0;
  Metric metric = Metric::kSquared;
  double tau = 1;
  const T* centroids = nullptr;     // [clusters][dim]: what the attention is taken against
  const T* multiplicity = nullptr;  // [vectors]: how often each counts in sums over weights (n_i); null: once
  double attention_floor = 0;       // attention is raised to it; 0: none
  double prune_threshold = 0;       // what the distance to centroid 0 is lowered by, >= 0
};

// mass[j] += sum_i n_i A_ij;  moment[j][c] += sum_i n_i A_ij (w_ic - c_jc).
void AccumulateTile(const Tile<float>& tile, double* mass, double* moment);
void AccumulateTile(const Tile<double>& tile, double* mass, double* moment);

// output[i][c] = sum_j A_ij values[j][c].
void AttendTile(const Tile<float>& tile, const float* values, float* output);
void AttendTile(const Tile<double>& tile, const double* values, double* output);

// adjoint[j][c] += sum_i n_i A_ij gradient[i][c].
void CollectTile(const Tile<float>& tile, const float* gradient, double* adjoint);
void CollectTile(const Tile<double>& tile, const double* gradient, double* adjoint);

// The way back through one attention: see tiled.h for u, targets and the sums.
template <typename T>
struct TileAdjoint {
  const T* targets = nullptr;   // [clusters][dim]
  const T* u = nullptr;         // [clusters][dim]
  const T* gradient = nullptr;  // [vectors][dim] of the tile; null where this attention does not reach the output
  bool collect = false;         // add sum_i n_i A_ij gradient[i] to the centroids' adjoint
  bool overwrite = false;       // weight_gradient = ..., else +=
};
// weight_gradient[vectors][dim] as above, of one weight each; centroid_adjoint[clusters][dim] +=, over all n_i of them.
// `gradient` and `weight_gradient` may be one.
void DifferentiateTile(const Tile<float>& tile, const TileAdjoint<float>& adjoint, float* weight_gradient,
                       double* centroid_adjoint);
void DifferentiateTile(const Tile<double>& tile, const TileAdjoint<double>& adjoint, double* weight_gradient,
                       double* centroid_adjoint);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_TILE_PASS_H_
