// The exact form of DKM on a CUDA device: dkm/kernels/exact.h, which is the reference. Tables are computed in float64.
//
// Forward: counts, the list of distinct values, T passes over them, a table of W~ by pattern, a gather. Backward: the
// largest gradient, counts and sums of gradients, the list, T + 2 passes, a table of slopes and offsets, and the pass
// that applies it. Nothing of it waits for the host: how many distinct values there are, and how many iterations ran,
// is known on the device alone. Sums of gradients are taken in fixed point (sum_gradients.h): each G with an error of
// at most 2^-30 max |G|, the sums without any. So results do not depend on the device or on which thread came first;
// with float64 centroids they differ from the host's by rounding and by that. A gradient that is NaN or infinite makes
// all offsets NaN.
//
// Launches enqueue and return: InvalidArgument for what a shape cannot be, Unavailable or Internal with CUDA's words,
// Unimplemented in a build without CUDA. They neither wait nor allocate, so a CUDA graph may capture them.
//
// Thread-safety: pure functions of their arguments.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "dkm/kernels/clustering_shape.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib::dkm::cuda {

using host::ExactShape;

// Counts have 32 bits on the way.
inline constexpr std::int64_t kExactWeightLimit = std::int64_t{1} << 32;

// Bytes of the table that a forward pass leaves: W~ by pattern.
inline std::size_t ExactTableBytes(const ExactShape& shape) { return 65536 * ElementBytes(shape.stored); }

// Bytes of workspace, aligned to 256.
std::size_t ExactForwardWorkspaceBytes(const ExactShape& shape);
std::size_t ExactBackwardWorkspaceBytes(const ExactShape& shape);

// Pointers are to the device's memory but for those of the host, which are pinned memory that both see.
struct ExactForwardArguments {
  ExactShape shape;
  const void* weights = nullptr;  // [N] of shape.stored
  const float* start = nullptr;   // [k]: C_0
  double* trajectory = nullptr;   // ExactTrajectoryElements (dkm/kernels/exact.h), written
  float* newest = nullptr;        // [k], written with C_T
  void* table = nullptr;          // ExactTableBytes, written
  void* output = nullptr;         // [N]: W~, or what `nearest` says
  bool nearest = false;           // instead of W~: the nearest of C_T, which is rounded to table_type before
  DType table_type = DType::kF32;
  std::int64_t* first_non_finite = nullptr;  // of the host: lowered to the first weight that is not finite
  std::int32_t* iterations_run = nullptr;    // of the host: written; null: not wanted
  std::int64_t weights_before = 0;  // of other groups of one weight: positions count them, and iterations_run is raised
  void* workspace = nullptr;
};
Status ExactForward(const ExactForwardArguments& a, Stream stream);

// W~ again, to the bit, from the weights and the table of ExactForward.
struct ExactReplayArguments {
  ExactShape shape;
  const void* weights = nullptr;
  const void* table = nullptr;
  void* output = nullptr;
};
Status ExactReplay(const ExactReplayArguments& a, Stream stream);

struct ExactBackwardArguments {
  ExactShape shape;
  const void* weights = nullptr;
  double* trajectory = nullptr;      // of ExactForward, read
  const void* gradient = nullptr;    // [N]: G
  void* weight_gradient = nullptr;   // [N]: dL/dW; may be `gradient`
  double* start_gradient = nullptr;  // [k]: dL/dC_0; null: not wanted
  void* workspace = nullptr;
};
Status ExactBackward(const ExactBackwardArguments& a, Stream stream);

// Several weights, which may be of different shapes, in as many launches as one takes, with the bits of single
// launches. They run side by side, so each has memory of its own: the workspace, and the words of the host too. (Groups
// of one weight tell the same words: they go one after the other.) InvalidArgument names the place of a weight that
// cannot be, and nothing is enqueued then. An empty batch is none.
//
// `list`: the batch's bytes of device memory, aligned to 256, written by these: what they are given here, which
// need not stay, reaches it as arguments of kernels. A graph that was captured writes it again at each launch.
std::size_t ExactForwardBatchBytes(std::size_t weights);
std::size_t ExactBackwardBatchBytes(std::size_t weights);
Status ExactForwardBatch(std::span<const ExactForwardArguments> batch, void* list, Stream stream);
Status ExactBackwardBatch(std::span<const ExactBackwardArguments> batch, void* list, Stream stream);

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_H_
