// Dropout whose mask is a function of (seed, counter, element index): nothing is stored, backward draws it again.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_DROPOUT_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_DROPOUT_H_

#include <cstdint>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// y[i] = keep(i) ? x[i] / (1 - p) : 0 over `count` row-major elements, where keep(i) has probability 1 - p and is drawn
// from Philox4x32-10 (base/random.h). p in [0, 1]. The gradient is the same kernel on dy. y may be the same memory as
// x.
struct DropoutArguments {
  DType dtype = DType::kF32;
  std::int64_t count = 0;
  double p = 0;
  std::uint64_t seed = 0;
  std::uint64_t counter = 0;
  const void* x = nullptr;
  void* y = nullptr;
};
void Dropout(KernelContext& context, const DropoutArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_DROPOUT_H_
