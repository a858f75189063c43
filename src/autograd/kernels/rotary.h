// Rotary position embedding: pairs of elements turned by an angle that grows with the position.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_ROTARY_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_ROTARY_H_

#include <cstddef>
#include <cstdint>

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

// x and y are [outer, positions, inner, 2 * pairs], row-major. Pair i at position t turns by
//   (first + t) * theta^(-i / pairs)
// or back by it: y_a = x_a cos - x_b sin, y_b = x_a sin + x_b cos. Angles are taken in float64, their cosines and sines
// rounded to the compute type.
struct RotaryArguments {
  DType dtype = DType::kF32;
  std::int64_t outer = 0;
  std::int64_t positions = 0;
  std::int64_t inner = 0;
  std::int64_t pairs = 0;
  std::int64_t first = 0;
  double theta = 0;
  bool halves = false;  // a and b are elements i and pairs + i of a row; otherwise 2i and 2i + 1
  bool back = false;
  const void* x = nullptr;
  void* y = nullptr;
  void* workspace = nullptr;  // RotaryWorkspaceBytes
};
void Rotary(KernelContext& context, const RotaryArguments& a);
std::size_t RotaryWorkspaceBytes(DType dtype, std::int64_t positions, std::int64_t pairs);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_ROTARY_H_
