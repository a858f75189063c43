// The mask of causal attention as a tensor, for its composed form.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CAUSAL_MASK_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CAUSAL_MASK_H_

#include <cstdint>

#include "allocator/kernel_context.h"

namespace tierlib::autograd::host {

// mask[i, j] = j > i, row-major [length, length].
struct CausalMaskArguments {
  std::int64_t length = 0;
  bool* mask = nullptr;
};
void CausalMask(KernelContext& context, const CausalMaskArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CAUSAL_MASK_H_
