// The tiled form of DKM on a CUDA device: dkm/kernels/tiled.h, which has the formulas and is the reference. Results
// differ from it by the order of sums alone; they are the same on every device, and in a build for the host
// (sequential_grid.h).
//
// Launches enqueue and return: InvalidArgument for what a shape cannot be, Unavailable or Internal with CUDA's words,
// Unimplemented in a build without CUDA. They neither wait nor allocate, so a CUDA graph may capture them.
//
// Thread-safety: pure functions of their arguments.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_TILED_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_TILED_H_

#include <cstddef>
#include <cstdint>

#include "dkm/kernels/clustering_shape.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib::dkm::cuda {

using host::TiledShape;

// Bytes of workspace of forward and backward alike, aligned to 256. T is float or double.
template <typename T>
std::size_t TiledWorkspaceBytes(const TiledShape& shape);

// Pointers are to the device's memory but for iterations_run.
template <typename T>
struct TiledForwardArguments {
  TiledShape shape;
  const T* weights = nullptr;    // [N][d]
  const float* start = nullptr;  // [k][d]: C_0
  T* trajectory = nullptr;       // TiledTrajectoryElements (dkm/kernels/tiled.h), written
  float* newest = nullptr;       // [k][d], written with C_T
  T* output = nullptr;           // [N][d]: W~; null: not wanted
  bool rounds = false;           // C_T is rounded to `table` at the end, for palettizing
  DType table = DType::kF32;
  std::int32_t* iterations_run = nullptr;  // pinned memory of the host, written; null: not wanted
  bool tells_most = false;  // iterations_run is raised, not written: for groups of one weight but the first
  void* workspace = nullptr;
};
Status TiledForward(const TiledForwardArguments<float>& a, Stream stream);
Status TiledForward(const TiledForwardArguments<double>& a, Stream stream);

// W~ again, to the bit, from the weights and the trajectory of TiledForward.
template <typename T>
struct TiledReplayArguments {
  TiledShape shape;
  const T* weights = nullptr;  // [N][d]
  T* trajectory = nullptr;     // read
  T* output = nullptr;         // [N][d]
};
Status TiledReplay(const TiledReplayArguments<float>& a, Stream stream);
Status TiledReplay(const TiledReplayArguments<double>& a, Stream stream);

template <typename T>
struct TiledBackwardArguments {
  TiledShape shape;
  const T* weights = nullptr;
  T* trajectory = nullptr;           // of TiledForward, read
  const T* gradient = nullptr;       // [N][d]: G
  T* weight_gradient = nullptr;      // [N][d], written; not `gradient`
  double* start_gradient = nullptr;  // [k][d]: dL/dC_0; null: not wanted
  void* workspace = nullptr;
};
Status TiledBackward(const TiledBackwardArguments<float>& a, Stream stream);
Status TiledBackward(const TiledBackwardArguments<double>& a, Stream stream);

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_TILED_H_
