// Rows of a weight, each by a factor of its own.
#ifndef TIERLIB_SRC_DKM_KERNELS_CHANNEL_SCALE_H_
#define TIERLIB_SRC_DKM_KERNELS_CHANNEL_SCALE_H_

#include <cstdint>

#include "allocator/device_backend.h"
#include "tierlib/dtype.h"

namespace tierlib::dkm::host {

// y[r][c] = x[r][c] / scales[r], or times it, in float32, or in float64 where x or y has that; rounded to the dtype of
// y. Both [rows][columns] of float dtypes. Allocates nothing; the same bits for any number of threads.
struct ScaleRowsArguments {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  const float* scales = nullptr;  // [rows], positive
  bool divide = false;
  DType x_dtype = DType::kF32;
  const void* x = nullptr;
  DType y_dtype = DType::kF32;
  void* y = nullptr;
};
void ScaleRows(KernelContext& context, const ScaleRowsArguments& a);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_CHANNEL_SCALE_H_
