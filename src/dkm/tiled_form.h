// The tiled form of DKM as an op: saves the weight's own view, and T + 1 sets of centroids with their masses.
#ifndef TIERLIB_SRC_DKM_TILED_FORM_H_
#define TIERLIB_SRC_DKM_TILED_FORM_H_

#include "dkm/kernels/tiled.h"
#include "tierlib/autograd/tape.h"

namespace tierlib::dkm {

// W~ with the sizes and dtype of `weight`; f32, bf16 and f16 are computed in float32, f64 in float64. `start` are the
// centroids f32 [k, d], constants; `newest`, f32 [k, d], is written with C_T. REQUIRES: shape holds (kernels/tiled.h)
// and shape.vectors * shape.dim is the number of elements of `weight`.
autograd::Value TiledForm(const autograd::Value& weight, const autograd::Tensor& start, const host::TiledShape& shape,
                          const autograd::Tensor& newest);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_TILED_FORM_H_
