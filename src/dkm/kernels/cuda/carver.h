// How the workspace of a CUDA kernel is cut up.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_CARVER_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_CARVER_H_

#include <cstddef>

#include "dkm/kernels/cuda/tile_pass.h"
#include "dkm/kernels/workspace_carver.h"

namespace tierlib::dkm::cuda {

using Carver = WorkspaceCarver<256>;

template <typename T>
TileWorkspace<T> TakeTileWorkspace(const TiledShape& shape, int blocks, Carver& carver) {
  const auto centroids = static_cast<std::size_t>(shape.clusters) * static_cast<std::size_t>(shape.dim);
  const std::size_t outputs = centroids + static_cast<std::size_t>(shape.clusters);
  TileWorkspace<T> work;
  work.partials = carver.Take<double>(static_cast<std::size_t>(blocks) * outputs);
  work.sums = carver.Take<double>(outputs);
  work.adjoint = carver.Take<double>(centroids);
  work.direct = carver.Take<double>(centroids);
  work.u = carver.Take<T>(centroids);
  work.state = carver.Take<PassState>(1);
  return work;
}

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_CARVER_H_
