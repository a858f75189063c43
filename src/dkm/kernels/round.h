// Values as a narrower type has them.
#ifndef TIERLIB_SRC_DKM_KERNELS_ROUND_H_
#define TIERLIB_SRC_DKM_KERNELS_ROUND_H_

#include <cstdint>

#include "allocator/device_backend.h"
#include "tierlib/dtype.h"

namespace tierlib::dkm::host {

// y[i] = x[i] rounded to `narrow` (bf16 or f16, to nearest even, beyond the range to infinity), both [count] of f32.
void RoundTo(KernelContext& context, DType narrow, const float* x, std::int64_t count, float* y);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_ROUND_H_
