// Per-channel scale: each output channel (row) of a weight is clustered as what it is over a constant of its own, and
// what comes out is multiplied by that again.
#ifndef TIERLIB_SRC_DKM_CHANNEL_SCALE_H_
#define TIERLIB_SRC_DKM_CHANNEL_SCALE_H_

#include <vector>

#include "autograd/launch.h"
#include "tierlib/autograd/tape.h"
#include "tierlib/dkm/clustering.h"

namespace tierlib::dkm {

// The scale of each row of `values`, row-major of these sizes: see ChannelScale. 1 where it would be 0; within float32.
std::vector<float> ChannelScalesOf(ChannelScale kind, const Dims& sizes, const std::vector<double>& values);

enum class ScaleBy : std::uint8_t { kQuotient, kProduct };

// The rows of x over (or times) scales f32 [rows], in `dtype`. The scales are constants: the gradient of x is that of
// the result, over or times them too. Saves nothing; where x is row-major, the runtime is told how the result is made
// from it. REQUIRES: scales are as many as x has rows and are not written while the result may be made again.
autograd::Value ScaleRows(const autograd::Value& x, const autograd::Tensor& scales, ScaleBy by, DType dtype);

// The same without a tape; row-major.
StatusOr<autograd::Tensor> ScaleRows(const autograd::Launcher& launcher, const autograd::Tensor& x,
                                     const autograd::Tensor& scales, ScaleBy by, DType dtype);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_CHANNEL_SCALE_H_
