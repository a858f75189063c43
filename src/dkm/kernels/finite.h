// Looks for values that are not finite.
#ifndef TIERLIB_SRC_DKM_KERNELS_FINITE_H_
#define TIERLIB_SRC_DKM_KERNELS_FINITE_H_

#include <atomic>
#include <cstdint>
#include <limits>

#include "allocator/device_backend.h"
#include "tierlib/dtype.h"

namespace tierlib::dkm::host {

// Where kernels on a stream leave word for the host: the first position of a NaN or an infinity that any of them saw.
// The host looks without waiting for the stream.
using FirstNonFinite = std::atomic<std::int64_t>;
inline constexpr std::int64_t kAllFinite = std::numeric_limits<std::int64_t>::max();

// Lowers `first` to `position` where that comes before it.
void LowerTo(std::int64_t position, FirstNonFinite& first);

// Lowers `first` to the position of the first NaN or infinity among `count` values of a float dtype, where there is
// one.
void FindNonFinite(KernelContext& context, DType dtype, const void* values, std::int64_t count, FirstNonFinite& first);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_FINITE_H_
