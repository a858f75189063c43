// The table domain of DKM: all iterations on the U distinct values of N weights (d = 1), rather than on the weights.
//
// At fixed centroids w~_i is a function of w_i alone. With n_u weights of value v_u and S_u the sum of their G_i, the
// sums of tiled.h over weights are sums over values: those without G are weighted by n_u, and those with G, in which G
// stands linearly, by S_u. What is left for each weight is
//   w~_i = table[u(i)],    dL/dw_i = G_i slope[u(i)] + offset[u(i)]
// where slope = dw~/dw at fixed centroids, and offset is what reaches w through the centroids.
//
// Masses and sums as in tiled.h, with the same passes: float64 across tiles, whose borders depend on U alone. Results
// do not depend on the number of threads. Thread-safety: pure functions of their arguments; they allocate nothing.
#ifndef TIERLIB_SRC_DKM_KERNELS_TABLE_H_
#define TIERLIB_SRC_DKM_KERNELS_TABLE_H_

#include "allocator/device_backend.h"
#include "dkm/kernels/tiled.h"

namespace tierlib::dkm::host {

// shape.vectors is U and shape.dim is 1; workspace: TiledWorkspaceBytes of it. trajectory as in tiled.h: C_0 given, and
// the rest written. values, counts [U]; table [U] (w~ of each value, written), null where only the centroids are
// wanted.
void TableForward(KernelContext& context, const TiledShape& shape, const float* values, const float* counts,
                  float* trajectory, float* table, void* workspace);
void TableForward(KernelContext& context, const TiledShape& shape, const double* values, const double* counts,
                  double* trajectory, double* table, void* workspace);

// trajectory from TableForward, gradient_sums [U] (S_u); written: slope and offset [U] and, unless null, start_gradient
// [k] (dL/dC_0).
void TableBackward(KernelContext& context, const TiledShape& shape, const float* values, const float* counts,
                   const float* gradient_sums, const float* trajectory, float* slope, float* offset,
                   double* start_gradient, void* workspace);
void TableBackward(KernelContext& context, const TiledShape& shape, const double* values, const double* counts,
                   const double* gradient_sums, const double* trajectory, double* slope, double* offset,
                   double* start_gradient, void* workspace);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_TABLE_H_
