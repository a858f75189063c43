// Contiguous, Clone, Cast: the elements in other memory. They save nothing; the runtime is told how to make the copy
// again.
#include <utility>

#include "autograd/kernels/cast.h"
#include "autograd/op.h"
#include "autograd/replay.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

StatusOr<Value> RowMajorCopy(Op& op, const Value& x) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), x.sizes()));
  TIERLIB_RETURN_IF_ERROR(op.Copy(x.tensor(), y));
  TIERLIB_RETURN_IF_ERROR(op.Derive(y, x.tensor(), Replay::Copy()));
  return op.Record(std::move(y), [](BackwardPass& pass) { return pass.Give(0, pass.gradient()); });
}

}  // namespace

Value Contiguous(const Value& x) {
  if (x.defined() && x.tensor().layout().is_contiguous()) return x;
  return RunOp("contiguous", {&x}, [&](Op& op) { return RowMajorCopy(op, x); });
}

Value Clone(const Value& x) {
  return RunOp("clone", {&x}, [&](Op& op) { return RowMajorCopy(op, x); });
}

Value Cast(const Value& x, DType dtype) {
  if (x.defined() && x.dtype() == dtype) return x;
  return RunOp("cast", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
    if (!IsFloat(dtype))
      return InvalidArgumentError(std::string("to ") + DTypeName(dtype) + ", which is not a float type");
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(dtype, x.sizes()));
    TIERLIB_RETURN_IF_ERROR(op.Copy(x.tensor(), y));
    // Rounding is a function of the source's bits, so either direction gives the same bits again.
    TIERLIB_RETURN_IF_ERROR(
        op.Derive(y, x.tensor(),
                  KernelReplay(op.context(), "cast",
                               [](KernelContext& context, const host::Source& source, const host::Target& target) {
                                 host::Cast(context, host::CastArguments{.x = source, .y = target});
                               })));
    return op.Record(std::move(y), [](BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewGradient(0));
      TIERLIB_RETURN_IF_ERROR(pass.Copy(pass.gradient(), dx));
      return pass.Give(0, std::move(dx));
    });
  });
}

}  // namespace tierlib::autograd
