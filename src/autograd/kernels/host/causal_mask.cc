#include "autograd/kernels/causal_mask.h"

namespace tierlib::autograd::host {

void CausalMask(KernelContext& /*context*/, const CausalMaskArguments& a) {
  for (std::int64_t i = 0; i < a.length; ++i) {
    for (std::int64_t j = 0; j < a.length; ++j) a.mask[i * a.length + j] = j > i;
  }
}

}  // namespace tierlib::autograd::host
