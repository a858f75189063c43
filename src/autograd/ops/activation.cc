// Gelu (exact) and Silu. They save their input.
#include "autograd/kernels/activation.h"

#include <utility>

#include "autograd/op.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

Value Activate(const char* name, host::Activation activation, const Value& x) {
  return RunOp(name, {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), x.sizes()));
    const int input = op.Save(x.tensor(), "input");
    TIERLIB_RETURN_IF_ERROR(
        op.Launch("activation", {.reads = {&x.tensor()}, .writes = {&y}}, host::ActivationForward,
                  host::ActivationForwardArguments{.activation = activation, .x = In(x.tensor()), .y = Out(y)}));
    return op.Record(std::move(y), [activation, input](BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(const Tensor saved, pass.Unpack(input));
      TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewGradient(0));
      const Tensor& dy = pass.gradient();
      TIERLIB_RETURN_IF_ERROR(pass.Launch(
          "activation gradient", {.reads = {&dy, &saved}, .writes = {&dx}}, host::ActivationBackward,
          host::ActivationBackwardArguments{.activation = activation, .dy = In(dy), .x = In(saved), .dx = Out(dx)}));
      return pass.Give(0, std::move(dx));
    });
  });
}

}  // namespace

Value Gelu(const Value& x) { return Activate("gelu", host::Activation::kGelu, x); }
Value Silu(const Value& x) { return Activate("silu", host::Activation::kSilu, x); }

}  // namespace tierlib::autograd
