// The exact form of DKM (d = 1, 16-bit values): all iterations run on the distinct values of the weights (table.h), and
// only four passes over the weights are left, whatever T and k.
//
// A weight's pattern is its 16 bits, or those of the value that it rounds to. Both zeros are one value. With u(i) the
// pattern of w_i, n_u how often it occurs and S_u the sum of G_i over those weights:
//   forward:   count n_u;  the table of w~ by table.h;  w~_i = table[u(i)]
//   backward:  sum S_u, and n_u again;  slope and offset by table.h;  dL/dw_i = G_i slope[u(i)] + offset[u(i)]
// Nothing of size N is needed besides the weights, whose bits are the indices, and G. Tables that are needed again are
// computed again from the centroids.
//
// Sums of G run in float64 within each of at most 8 pieces of the weights, whose borders depend on N alone, and then in
// the order of the pieces; counts are integers. The results do not depend on the number of threads.
//
// Weights that are NaN or infinite, also once rounded, make results NaN.
//
// Thread-safety: pure functions of their arguments; they allocate nothing.
#ifndef TIERLIB_SRC_DKM_KERNELS_EXACT_H_
#define TIERLIB_SRC_DKM_KERNELS_EXACT_H_

#include <cstddef>
#include <cstdint>

#include "allocator/device_backend.h"
#include "dkm/kernels/finite.h"
#include "dkm/kernels/tiled.h"
#include "tierlib/dtype.h"

namespace tierlib::dkm::host {

// Elements of `trajectory`: as in tiled.h, then the smallest and the largest pattern but zero that a weight has,
// without signs (1 and 0 where there is none).
std::size_t ExactTrajectoryElements(const ExactShape& shape);

// Bytes of workspace, aligned to 64. T is float or double, in which tables are computed.
template <typename T>
std::size_t ExactForwardWorkspaceBytes(const ExactShape& shape);
template <typename T>
std::size_t ExactBackwardWorkspaceBytes(const ExactShape& shape);

template <typename T>
struct ExactForwardArguments {
  ExactShape shape;
  const void* weights = nullptr;         // [N]
  T* trajectory = nullptr;               // C_0 given, the rest written
  void* output = nullptr;                // [N] of shape.stored: W~, rounded to it, or what `nearest` says
  bool nearest = false;                  // instead of W~: the nearest of C_T, ties: the lowest index; then C_T is
  DType table = DType::kF32;             // rounded to this before (palettize.h: RoundTable)
  FirstNonFinite* non_finite = nullptr;  // lowered to the first position of a weight that is not finite
  void* workspace = nullptr;
};
void ExactForward(KernelContext& context, const ExactForwardArguments<float>& a);
void ExactForward(KernelContext& context, const ExactForwardArguments<double>& a);

// W~ again, to the bit, from the weights and the trajectory of ExactForward. Stack: at most 512 KiB.
template <typename T>
struct ExactReplayArguments {
  ExactShape shape;
  const void* weights = nullptr;
  const T* trajectory = nullptr;
  void* output = nullptr;
};
void ExactReplay(KernelContext& context, const ExactReplayArguments<float>& a);
void ExactReplay(KernelContext& context, const ExactReplayArguments<double>& a);

template <typename T>
struct ExactBackwardArguments {
  ExactShape shape;
  const void* weights = nullptr;
  const T* trajectory = nullptr;     // of ExactForward
  const void* gradient = nullptr;    // [N]: G
  void* weight_gradient = nullptr;   // [N]: dL/dW, rounded to shape.stored; may be `gradient`
  double* start_gradient = nullptr;  // [k]: dL/dC_0; null: not wanted
  void* workspace = nullptr;
};
void ExactBackward(KernelContext& context, const ExactBackwardArguments<float>& a);
void ExactBackward(KernelContext& context, const ExactBackwardArguments<double>& a);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_EXACT_H_
