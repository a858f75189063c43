// AddScalar, MulScalar, Square, Sqrt, Exp, Log, Clamp. AddScalar and MulScalar save nothing; Square, Log and Clamp save
// their input; Sqrt and Exp save their output. Clamp can be replayed from its input.
#include <utility>

#include "autograd/kernels/elementwise.h"
#include "autograd/op.h"
#include "autograd/replay.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

StatusOr<Tensor> NewResult(const Op& op, const Value& x) {
  TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
  return op.New(x.dtype(), x.sizes());
}

Status Compute(const Launcher& launcher, host::UnaryOp kind, const Tensor& x, const Tensor& y, double c0 = 0,
               double c1 = 0) {
  return launcher.Launch("unary", {.reads = {&x}, .writes = {&y}}, host::Unary,
                         host::UnaryArguments{.op = kind, .c0 = c0, .c1 = c1, .x = In(x), .y = Out(y)});
}

// dx = kind(dy, saved).
BackwardFunction FromSaved(host::BinaryOp kind, int slot, double c0 = 0, double c1 = 0) {
  return [=](BackwardPass& pass) -> Status {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor saved, pass.Unpack(slot));
    TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewGradient(0));
    const Tensor& dy = pass.gradient();
    TIERLIB_RETURN_IF_ERROR(
        pass.Launch("unary gradient", {.reads = {&dy, &saved}, .writes = {&dx}}, host::Binary,
                    host::BinaryArguments{.op = kind, .c0 = c0, .c1 = c1, .a = In(dy), .b = In(saved), .y = Out(dx)}));
    return pass.Give(0, std::move(dx));
  };
}

// An op whose gradient needs its input, or (`saves_output`) its output.
Value UnaryFromSaved(const char* name, const Value& x, host::UnaryOp kind, host::BinaryOp gradient, bool saves_output) {
  return RunOp(name, {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, NewResult(op, x));
    int slot = saves_output ? -1 : op.Save(x.tensor(), "input");
    TIERLIB_RETURN_IF_ERROR(Compute(op, kind, x.tensor(), y));
    if (saves_output) slot = op.Save(y, "output");
    return op.Record(std::move(y), FromSaved(gradient, slot));
  });
}

}  // namespace

Value AddScalar(const Value& x, double c) {
  return RunOp("add_scalar", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, NewResult(op, x));
    TIERLIB_RETURN_IF_ERROR(Compute(op, host::UnaryOp::kAddScalar, x.tensor(), y, c));
    return op.Record(std::move(y), [](BackwardPass& pass) { return pass.Give(0, pass.gradient()); });
  });
}

Value MulScalar(const Value& x, double c) {
  return RunOp("mul_scalar", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, NewResult(op, x));
    TIERLIB_RETURN_IF_ERROR(Compute(op, host::UnaryOp::kMulScalar, x.tensor(), y, c));
    return op.Record(std::move(y), [c](BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewGradient(0));
      TIERLIB_RETURN_IF_ERROR(Compute(pass, host::UnaryOp::kMulScalar, pass.gradient(), dx, c));
      return pass.Give(0, std::move(dx));
    });
  });
}

Value Square(const Value& x) {
  return UnaryFromSaved("square", x, host::UnaryOp::kSquare, host::BinaryOp::kSquareGradient, /*saves_output=*/false);
}

Value Sqrt(const Value& x) {
  return UnaryFromSaved("sqrt", x, host::UnaryOp::kSqrt, host::BinaryOp::kSqrtGradient, /*saves_output=*/true);
}

Value Exp(const Value& x) {
  return UnaryFromSaved("exp", x, host::UnaryOp::kExp, host::BinaryOp::kMul, /*saves_output=*/true);
}

Value Log(const Value& x) {
  return UnaryFromSaved("log", x, host::UnaryOp::kLog, host::BinaryOp::kDiv, /*saves_output=*/false);
}

Value Clamp(const Value& x, double low, double high) {
  return RunOp("clamp", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, NewResult(op, x));
    const int slot = op.Save(x.tensor(), "input");
    TIERLIB_RETURN_IF_ERROR(Compute(op, host::UnaryOp::kClamp, x.tensor(), y, low, high));
    TIERLIB_RETURN_IF_ERROR(op.Derive(
        y, x.tensor(),
        KernelReplay<host::UnaryArguments>(
            op.context(), "clamp", host::Unary, [low, high](const host::Source& from, const host::Target& to) {
              return host::UnaryArguments{.op = host::UnaryOp::kClamp, .c0 = low, .c1 = high, .x = from, .y = to};
            })));
    return op.Record(std::move(y), FromSaved(host::BinaryOp::kClampGradient, slot, low, high));
  });
}

}  // namespace tierlib::autograd
