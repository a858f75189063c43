// Copies between layouts and dtypes, and rounding.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CAST_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CAST_H_

#include "allocator/kernel_context.h"
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

// y = x as `narrow` (bf16 or f16) has it: Cast there, and from there to y's dtype, a float one.
struct RoundArguments {
  DType narrow = DType::kBF16;
  Source x;
  Target y;
};
void Round(KernelContext& context, const RoundArguments& a);

// Whether a cast keeps every bit, NaNs included, so that UndoCast can take it back: bf16 or f16 to f32. (f64 makes NaNs
// quiet.)
constexpr bool IsUndoable(DType from, DType to) {
  return (from == DType::kBF16 || from == DType::kF16) && to == DType::kF32;
}
// y = the bits that Cast made x of. REQUIRES: IsUndoable(y's dtype, x's), equal sizes, no element of y twice, and that
// x holds what such a cast gave.
void UndoCast(KernelContext& context, const CastArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CAST_H_
