// MaskedFill: saves the mask.
#include <utility>

#include "autograd/kernels/elementwise.h"
#include "autograd/op.h"
#include "autograd/shape.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

Status Compute(const Launcher& launcher, const Tensor& x, const Tensor& mask, double fill, const Tensor& y) {
  return launcher.Launch("masked fill", {.reads = {&x, &mask}, .writes = {&y}}, host::MaskedFill,
                         host::MaskedFillArguments{.x = In(x), .mask = In(mask), .fill = fill, .y = Out(y)});
}

}  // namespace

Value MaskedFill(const Value& x, const Tensor& mask, double fill) {
  return RunOp("masked_fill", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
    if (!mask.defined() || mask.dtype() != DType::kBool || !BroadcastsTo(mask.sizes(), x.sizes())) {
      return InvalidArgumentError("the mask must be bool and broadcast to " + SizesText(x.sizes()) + ", it is " +
                                  (mask.defined() ? mask.layout().ToString() : "undefined"));
    }
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), x.sizes()));
    const int slot = op.Save(mask, "mask");
    TIERLIB_RETURN_IF_ERROR(Compute(op, x.tensor(), mask, fill, y));
    return op.Record(std::move(y), [slot](BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(const Tensor saved, pass.Unpack(slot));
      TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewGradient(0));
      TIERLIB_RETURN_IF_ERROR(Compute(pass, pass.gradient(), saved, 0, dx));
      return pass.Give(0, std::move(dx));
    });
  });
}

}  // namespace tierlib::autograd
