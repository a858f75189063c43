// The tiled form of DKM: W~ and its gradient through all T iterations, never holding an N x k map. Attention is
// computed again, tile by tile, wherever it is needed; what backward needs besides the weights are the centroids C_0 ..
// C_T and the cluster masses s_1 .. s_T.
//
// Forward. Weights w_i (i = 1 .. N, vectors of d), centroids C_t = (c_tj), f the squared or the plain Euclidean
// distance:
//   A^t_ij = softmax_j(-f(w_i, c_(t-1)j) / tau)                                                      t = 1 .. T
//   s_tj   = sum_i A^t_ij
//   c_tj   = (sum_i A^t_ij w_i + phi c_(t-1)j) / (s_tj + phi) = c_(t-1)j + sum_i A^t_ij (w_i - c_(t-1)j) / (s_tj + phi)
//   w~_i   = sum_j A_ij c_Tj         with A = A^T (Attention::kLast), or A = A^(T+1) taken against C_T (kRecomputed)
// With epsilon > 0 the first iteration t that moves no centroid further, max_j ||c_tj - c_(t-1)j|| <= epsilon, is the
// last: T is then that t. Centroids are compared as they are stored. Backward takes the number that ran for given: W~
// has a step where a small change of w changes it.
// With prune_threshold > 0 the distance to centroid 0 is lowered by it, f(w_i, c_0) - prune_threshold, in every A. With
// attention_floor > 0 every A_ij above, once normalised, is raised to it; a weight's attention then adds up to more
// than 1.
// phi = 1e-30 (kMassFloor) makes an empty cluster keep its centroid without a branch; where s_tj > 1e-20 it changes no
// bit. The second form of c_tj is the one computed: it sums small numbers, so that float32 lanes suffice, and equal
// weights give exactly themselves.
//
// Backward, given G_i = dL/dw~_i; P_tj = dL/dc_tj is the adjoint of all that follows iteration t. Differentiating c_tj:
//   dL/ds, dL/dm:  u_tj = P_tj / (s_tj + phi)
//   to A^t_ij:     u_tj . (w_i - c_tj)                      (product and quotient rule; c_tj is the quotient)
//   to w_i:        A^t_ij u_tj                              (directly, through sum A w)
//   to c_(t-1)j:   phi u_tj                                 (directly, through phi c)
// The output adds G_i . c_Tj to the adjoint of the A it uses, and sum_i A_ij G_i to P_T. As sum_j A_ij = 1, a softmax
// does not see what is added alike to all j of one i: G_i . (c_Tj - w_i) serves as well, and cancels less. So the
// adjoint of A is
//   a_ij = (u_j - G_i) . (w_i - target_j)        with target = c_t; u = u_t, or 0 where A only makes the output
//   (kRecomputed);
//                                                G = 0 where A does not reach the output
// With attention_floor the sum over j is not 1: a_ij = u_j . (w_i - target_j) + G_i . target_j where A_ij was not
// raised and 0 where it was, and below, x_ij has A_ij as it was before, while what w_i and the centroids get directly
// has the raised one.
// Softmax and distance, with c = c_(t-1), the centroids that A was taken against:
//   x_ij = A_ij (a_ij - sum_l A_il a_il)                    adjoint of -f/tau
//   h_ij = x_ij 2/tau (squared), x_ij / (tau ||w_i - c_j||) (Euclidean; 0 where w_i = c_j)
//   dL/dw_i += sum_j (A_ij u_j - h_ij (w_i - c_j)),    P_(t-1)j = phi u_tj + sum_i h_ij (w_i - c_j)
// Passes over the weights: T + 1 forward and T + 1 backward (the first collects sum_i A_ij G_i, which u_T needs; with
// kRecomputed it is a pass of the above kind), each with k exponentials per weight.
//
// Sums over weights run in float64 across tiles, in the order of the tiles. The results do not depend on the number of
// threads. A weight that is NaN or infinite makes results NaN.
//
// Attention below 2^-87 of a weight's largest (e^-60) counts as zero in float32, so that no product is denormal.
//
// Thread-safety: pure functions of their arguments; they allocate nothing.
#ifndef TIERLIB_SRC_DKM_KERNELS_TILED_H_
#define TIERLIB_SRC_DKM_KERNELS_TILED_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/device_backend.h"
#include "dkm/kernels/clustering_shape.h"
#include "tierlib/dtype.h"

namespace tierlib::dkm::host {

// Bytes of workspace for TiledForward and TiledBackward alike, aligned to 64; `element_bytes` is 4 or 8.
std::size_t TiledWorkspaceBytes(const TiledShape& shape, std::size_t element_bytes);

// Elements of `trajectory`: the centroids C_0 .. C_T [T+1][k][d], the masses s_1 .. s_T [T][k], and how many iterations
// ran. T is shape.iterations here: those that did not run have the last one's centroids and masses of 0, so that C_T is
// always the result.
std::size_t TiledTrajectoryElements(const TiledShape& shape);
// Where C_t begins in it.
std::size_t TiledCentroidOffset(const TiledShape& shape, int t);

// From a trajectory that TiledForward has written: how many iterations ran, 1 to shape.iterations.
template <typename T>
int IterationsRun(const TiledShape& shape, const T* trajectory) {
  return static_cast<int>(trajectory[TiledTrajectoryElements(shape) - 1]);
}

// Where kernels on a stream leave word for the host of how many iterations ran, 0 before the first.
using IterationCount = std::atomic<int>;

// What the output's attention is taken against: the centroids before the last iteration that ran, or those after it
// where it is recomputed.
template <typename T>
const T* AttendedCentroids(const TiledShape& shape, const T* trajectory) {
  const int run = IterationsRun(shape, trajectory);
  return trajectory + TiledCentroidOffset(shape, shape.attention == Attention::kLast ? run - 1 : run);
}

// weights [N][d]; trajectory as above, C_0 given and the rest written; output [N][d] (W~, written), null where only the
// centroids are wanted.
void TiledForward(KernelContext& context, const TiledShape& shape, const float* weights, float* trajectory,
                  float* output, void* workspace);
void TiledForward(KernelContext& context, const TiledShape& shape, const double* weights, double* trajectory,
                  double* output, void* workspace);

// W~ again, to the bit, from the weights and the trajectory that TiledForward left.
template <typename T>
struct TiledReplayArguments {
  TiledShape shape;
  DType dtype = DType::kF32;      // of weights and output: T, or 16 bits, which T is computed of and rounded to
  const void* weights = nullptr;  // [N][d]
  const T* trajectory = nullptr;
  void* output = nullptr;  // [N][d]
};
void TiledReplay(KernelContext& context, const TiledReplayArguments<float>& a);
void TiledReplay(KernelContext& context, const TiledReplayArguments<double>& a);

// trajectory from TiledForward, gradient [N][d] (G); written: weight_gradient [N][d] and, unless null, start_gradient
// [k][d] (dL/dC_0: DKM takes C_0 for constant, tests do not). weight_gradient must not be gradient.
void TiledBackward(KernelContext& context, const TiledShape& shape, const float* weights, const float* trajectory,
                   const float* gradient, float* weight_gradient, double* start_gradient, void* workspace);
void TiledBackward(KernelContext& context, const TiledShape& shape, const double* weights, const double* trajectory,
                   const double* gradient, double* weight_gradient, double* start_gradient, void* workspace);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_TILED_H_
