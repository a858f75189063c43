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

// Rounding is a function of the source's bits, so a cast to either side gives the same bits again. One that keeps all
// of them can be taken back too, by the host's kernels.
Replay ReplayOfCast(Context& context, const Tensor& from, DType to) {
  if (host::IsUndoable(from.dtype(), to) && from.layout().is_contiguous() && context.state().kernels == nullptr) {
    const auto by = [](void (*kernel)(KernelContext&, const host::CastArguments&)) -> ReplayKernel {
      return [kernel](KernelContext& at, const host::Source& x, const host::Target& y) { kernel(at, {x, y}); };
    };
    return KernelReplayBothWays(context, "cast", by(host::Cast), by(host::UndoCast));
  }
  return KernelReplay<host::CastArguments>(
      context, "cast", host::Cast,
      [](const host::Source& x, const host::Target& y) { return host::CastArguments{.x = x, .y = y}; });
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
    TIERLIB_RETURN_IF_ERROR(op.Derive(y, x.tensor(), ReplayOfCast(op.context(), x.tensor(), dtype)));
    return op.Record(std::move(y), [](BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewGradient(0));
      TIERLIB_RETURN_IF_ERROR(pass.Copy(pass.gradient(), dx));
      return pass.Give(0, std::move(dx));
    });
  });
}

}  // namespace tierlib::autograd
