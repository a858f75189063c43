// Activation functions over any layout. Operands broadcast and alias as in elementwise.h.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_ACTIVATION_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_ACTIVATION_H_

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

enum class Activation {
  kGelu,  // x Phi(x), Phi(x) = (1 + erf(x / sqrt(2))) / 2 (Hendrycks & Gimpel, arXiv 1606.08415, the exact form)
  kSilu,  // x / (1 + exp(-x))
};

struct ActivationForwardArguments {
  Activation activation = Activation::kGelu;
  Source x;
  Target y;
};
void ActivationForward(KernelContext& context, const ActivationForwardArguments& a);

// dx = dy * f'(x).
struct ActivationBackwardArguments {
  Activation activation = Activation::kGelu;
  Source dy;
  Source x;
  Target dx;
};
void ActivationBackward(KernelContext& context, const ActivationBackwardArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_ACTIVATION_H_
