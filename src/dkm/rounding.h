// Rounding as a part of the operator: f32 weights that are clustered as bf16 or f16 by a form that cannot round itself.
#ifndef TIERLIB_SRC_DKM_ROUNDING_H_
#define TIERLIB_SRC_DKM_ROUNDING_H_

#include "autograd/launch.h"
#include "tierlib/autograd/tape.h"

namespace tierlib::dkm {

// The f32 values of `x` as `narrow` (bf16 or f16) has them, in f32. The gradient passes straight through. Saves
// nothing; where x is row-major, the runtime is told how the result is made from it. REQUIRES: x is f32.
autograd::Value RoundTo(const autograd::Value& x, DType narrow);

// The same without a tape; row-major.
StatusOr<autograd::Tensor> RoundTo(const autograd::Launcher& launcher, const autograd::Tensor& x, DType narrow);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_ROUNDING_H_
