// Elementwise kernels with broadcasting. Sources are right-aligned with the target's sizes and repeat where a size is 1
// or missing. Operands may differ in dtype (float types); the arithmetic is done in ComputeType of the target's. A
// source may be the same memory as the target where layout and dtype are the same.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_ELEMENTWISE_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_ELEMENTWISE_H_

#include "allocator/kernel_context.h"
#include "autograd/kernels/operand.h"

namespace tierlib::autograd::host {

enum class UnaryOp {
  kAddScalar,  // x + c0
  kMulScalar,  // x * c0
  kSquare,
  kSqrt,
  kExp,
  kLog,
  kClamp,  // min(max(x, c0), c1); NaN stays NaN
};

struct UnaryArguments {
  UnaryOp op = UnaryOp::kAddScalar;
  double c0 = 0;
  double c1 = 0;
  Source x;
  Target y;
};
void Unary(KernelContext& context, const UnaryArguments& a);

enum class BinaryOp {
  kAdd,
  kSub,
  kMul,
  kDiv,
  // Gradients: a is the gradient of the result, b is what forward saved.
  kSquareGradient,  // b = x: 2 a x
  kSqrtGradient,    // b = y = sqrt(x): a / (2 y), 0 where y is 0
  kClampGradient,   // b = x: a where c0 <= x <= c1, otherwise 0
  // The gradients of exp (b = y: a y) and log (b = x: a / x) are kMul and kDiv.
};

struct BinaryArguments {
  BinaryOp op = BinaryOp::kAdd;
  double c0 = 0;
  double c1 = 0;
  Source a;
  Source b;
  Target y;
};
void Binary(KernelContext& context, const BinaryArguments& a);

// Gradient of numerator / denominator for the denominator: -gradient * (numerator / denominator) / denominator.
struct DivisorGradientArguments {
  Source gradient;
  Source numerator;
  Source denominator;
  Target y;
};
void DivisorGradient(KernelContext& context, const DivisorGradientArguments& a);

// y = mask ? fill : x, with a mask of dtype bool. The gradient is the same with fill 0.
struct MaskedFillArguments {
  Source x;
  Source mask;
  double fill = 0;
  Target y;
};
void MaskedFill(KernelContext& context, const MaskedFillArguments& a);

// y = value everywhere. Any float dtype.
struct FillArguments {
  double value = 0;
  Target y;
};
void Fill(KernelContext& context, const FillArguments& a);

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_ELEMENTWISE_H_
