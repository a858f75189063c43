// The arguments of DKM's CUDA kernels for each group of a weight, from those of all of them: `all` points to what the
// first group has, and its shape is that of all groups but the last. What belongs to groups lies one behind the other;
// the workspace is everybody's, as groups go one after the other. Pure functions; any thread.
#ifndef TIERLIB_SRC_DKM_CUDA_ARGUMENTS_H_
#define TIERLIB_SRC_DKM_CUDA_ARGUMENTS_H_

#include <cstddef>
#include <cstdint>

#include "dkm/groups.h"
#include "dkm/kernels/cuda/exact.h"
#include "dkm/kernels/cuda/palette.h"
#include "dkm/kernels/cuda/tiled.h"
#include "dkm/kernels/exact.h"
#include "dkm/kernels/tiled.h"

namespace tierlib::dkm {

// Null stays null: it says that something is not wanted.
template <typename T>
T* Behind(T* pointer, std::int64_t elements) {
  return pointer == nullptr ? nullptr : pointer + elements;
}
inline const void* BytesBehind(const void* pointer, std::int64_t bytes) {
  return Behind(static_cast<const std::byte*>(pointer), bytes);
}
inline void* BytesBehind(void* pointer, std::int64_t bytes) { return Behind(static_cast<std::byte*>(pointer), bytes); }

// Where a group lies: bytes of its weights, elements of its centroids and of its trajectory.
struct GroupPlace {
  GroupPlace(const Groups& groups, std::int64_t group, int dim, int clusters, std::size_t trajectory)
      : vectors(groups.Vectors(group)),
        first_vector(groups.FirstVector(group)),
        first_element(first_vector * dim),
        first_centroid(group * clusters * dim),
        first_of_trajectory(group * static_cast<std::int64_t>(trajectory)) {}
  GroupPlace(const Groups& groups, std::int64_t group, const host::ExactShape& shape)
      : GroupPlace(groups, group, 1, shape.table.clusters, host::ExactTrajectoryElements(shape)) {}
  GroupPlace(const Groups& groups, std::int64_t group, const host::TiledShape& shape)
      : GroupPlace(groups, group, shape.dim, shape.clusters, host::TiledTrajectoryElements(shape)) {}

  std::int64_t FirstByte(DType dtype) const { return first_element * static_cast<std::int64_t>(ElementBytes(dtype)); }

  std::int64_t vectors;
  std::int64_t first_vector;
  std::int64_t first_element;
  std::int64_t first_centroid;
  std::int64_t first_of_trajectory;
};

inline cuda::ExactForwardArguments OfGroup(const cuda::ExactForwardArguments& all, const Groups& groups,
                                           std::int64_t group) {
  const GroupPlace place(groups, group, all.shape);
  const std::int64_t first_byte = place.FirstByte(all.shape.stored);
  cuda::ExactForwardArguments a = all;
  a.shape.table.vectors = place.vectors;
  a.weights = BytesBehind(all.weights, first_byte);
  a.start = Behind(all.start, place.first_centroid);
  a.trajectory = Behind(all.trajectory, place.first_of_trajectory);
  a.newest = Behind(all.newest, place.first_centroid);
  a.table = BytesBehind(all.table, group * static_cast<std::int64_t>(cuda::ExactTableBytes(all.shape)));
  a.output = BytesBehind(all.output, first_byte);
  a.weights_before = place.first_vector;
  return a;
}

inline cuda::ExactReplayArguments OfGroup(const cuda::ExactReplayArguments& all, const Groups& groups,
                                          std::int64_t group) {
  const GroupPlace place(groups, group, all.shape);
  const std::int64_t first_byte = place.FirstByte(all.shape.stored);
  cuda::ExactReplayArguments a = all;
  a.shape.table.vectors = place.vectors;
  a.weights = BytesBehind(all.weights, first_byte);
  a.table = BytesBehind(all.table, group * static_cast<std::int64_t>(cuda::ExactTableBytes(all.shape)));
  a.output = BytesBehind(all.output, first_byte);
  return a;
}

inline cuda::ExactBackwardArguments OfGroup(const cuda::ExactBackwardArguments& all, const Groups& groups,
                                            std::int64_t group) {
  const GroupPlace place(groups, group, all.shape);
  const std::int64_t first_byte = place.FirstByte(all.shape.stored);
  cuda::ExactBackwardArguments a = all;
  a.shape.table.vectors = place.vectors;
  a.weights = BytesBehind(all.weights, first_byte);
  a.trajectory = Behind(all.trajectory, place.first_of_trajectory);
  a.gradient = BytesBehind(all.gradient, first_byte);
  a.weight_gradient = BytesBehind(all.weight_gradient, first_byte);
  a.start_gradient = Behind(all.start_gradient, place.first_centroid);
  return a;
}

template <typename T>
cuda::TiledForwardArguments<T> OfGroup(const cuda::TiledForwardArguments<T>& all, const Groups& groups,
                                       std::int64_t group) {
  const GroupPlace place(groups, group, all.shape);
  cuda::TiledForwardArguments<T> a = all;
  a.shape.vectors = place.vectors;
  a.weights = Behind(all.weights, place.first_element);
  a.start = Behind(all.start, place.first_centroid);
  a.trajectory = Behind(all.trajectory, place.first_of_trajectory);
  a.newest = Behind(all.newest, place.first_centroid);
  a.output = Behind(all.output, place.first_element);
  a.tells_most = group > 0;
  return a;
}

template <typename T>
cuda::TiledReplayArguments<T> OfGroup(const cuda::TiledReplayArguments<T>& all, const Groups& groups,
                                      std::int64_t group) {
  const GroupPlace place(groups, group, all.shape);
  cuda::TiledReplayArguments<T> a = all;
  a.shape.vectors = place.vectors;
  a.weights = Behind(all.weights, place.first_element);
  a.trajectory = Behind(all.trajectory, place.first_of_trajectory);
  a.output = Behind(all.output, place.first_element);
  return a;
}

template <typename T>
cuda::TiledBackwardArguments<T> OfGroup(const cuda::TiledBackwardArguments<T>& all, const Groups& groups,
                                        std::int64_t group) {
  const GroupPlace place(groups, group, all.shape);
  cuda::TiledBackwardArguments<T> a = all;
  a.shape.vectors = place.vectors;
  a.weights = Behind(all.weights, place.first_element);
  a.trajectory = Behind(all.trajectory, place.first_of_trajectory);
  a.gradient = Behind(all.gradient, place.first_element);
  a.weight_gradient = Behind(all.weight_gradient, place.first_element);
  a.start_gradient = Behind(all.start_gradient, place.first_centroid);
  return a;
}

// What palettizes with the centroids that a forward pass of `shape` left in `trajectories`. Of `all` the dtype, the
// weights, the output and the indices are taken.
template <typename T>
cuda::PalettizeArguments<T> OfGroup(const cuda::PalettizeArguments<T>& all, const host::TiledShape& shape,
                                    const T* trajectories, const Groups& groups, std::int64_t group) {
  const GroupPlace place(groups, group, shape);
  cuda::PalettizeArguments<T> a = all;
  a.vectors = place.vectors;
  a.dim = shape.dim;
  a.clusters = shape.clusters;
  a.weights = BytesBehind(all.weights, place.FirstByte(all.dtype));
  a.centroids = trajectories + place.first_of_trajectory +
                static_cast<std::int64_t>(host::TiledCentroidOffset(shape, shape.iterations));
  a.output = BytesBehind(all.output, place.FirstByte(all.dtype));
  a.indices = Behind(all.indices, place.first_vector);
  a.prune_threshold = shape.prune_threshold;
  a.metric = shape.metric;
  return a;
}

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_CUDA_ARGUMENTS_H_
