// Sums over dimensions, accumulated in float64 in an order that depends on sizes and strides only.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_REDUCE_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_REDUCE_H_

#include <cstddef>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// y = scale * (sum of x over every dimension in which y has size 1 or which y does not have); y's sizes broadcast to
// x's (right-aligned). One kernel for all: the gradient of a broadcast, SumDim (give y's layout with the dimension kept
// as 1), Sum (rank 0) and Mean (scale = 1 / elements). A sum of no element is 0.
struct SumToArguments {
  Source x;
  Target y;
  double scale = 1;
  void* workspace = nullptr;  // SumToWorkspaceBytes; may be null where that is 0
};
void SumTo(KernelContext& context, const SumToArguments& a);
std::size_t SumToWorkspaceBytes(const Dims& x_sizes, const Dims& y_sizes);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_REDUCE_H_
