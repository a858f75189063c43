// Euclidean distances of N vectors to k others: the dense map that the paper's chain begins with.
#ifndef TIERLIB_SRC_DKM_KERNELS_DISTANCE_H_
#define TIERLIB_SRC_DKM_KERNELS_DISTANCE_H_

#include <cstddef>
#include <cstdint>

#include "allocator/device_backend.h"
#include "tierlib/dtype.h"

namespace tierlib::dkm::host {

// All tensors row-major and of one float dtype. REQUIRES: dim <= 256, clusters <= 256.
struct DistanceShape {
  DType dtype = DType::kF32;
  std::int64_t vectors = 0;
  int dim = 1;
  int clusters = 0;
};
// Of both kernels; aligned to 8. DistanceForward alone touches the first 8 * clusters * dim of them.
std::size_t DistanceWorkspaceBytes(const DistanceShape& shape);

// distance[i][j] = ||w_i - c_j||.
struct DistanceForwardArguments {
  DistanceShape shape;
  const void* weights = nullptr;    // [vectors][dim]
  const void* centroids = nullptr;  // [clusters][dim]
  void* distance = nullptr;         // [vectors][clusters]
  void* workspace = nullptr;
};
void DistanceForward(KernelContext& context, const DistanceForwardArguments& a);

// With p_ij = d_distance[i][j] / distance[i][j], or 0 where the distance is 0:
//   d_weights[i] = sum_j p_ij (w_i - c_j),   d_centroids[j] = -sum_i p_ij (w_i - c_j).
// The second is summed in float64, per tile and then in the order of the tiles.
struct DistanceBackwardArguments {
  DistanceShape shape;
  const void* weights = nullptr;
  const void* centroids = nullptr;
  const void* distance = nullptr;
  const void* d_distance = nullptr;
  void* d_weights = nullptr;    // null: not wanted
  void* d_centroids = nullptr;  // null: not wanted
  void* workspace = nullptr;
};
void DistanceBackward(KernelContext& context, const DistanceBackwardArguments& a);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_DISTANCE_H_
