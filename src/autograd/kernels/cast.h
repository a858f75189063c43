// Copies between layouts and dtypes.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CAST_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CAST_H_

#include "allocator/device_backend.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// y = x with the source broadcast as in elementwise.h. Dtypes are equal (any dtype: bits are kept, layouts may differ:
// this is also Contiguous and Clone), or both float (to nearest even; beyond the range gives infinity;
// f64 reaches 16 bits by way of f32).
struct CastArguments {
  Source x;
  Target y;
};
void Cast(KernelContext& context, const CastArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CAST_H_
