// Add, Sub, Mul, Div with broadcasting. Add and Sub save nothing; Mul saves each operand where the other's gradient is
// wanted; Div saves the divisor, and the dividend where the divisor's gradient is wanted.
#include <utility>

#include "autograd/kernels/elementwise.h"
#include "autograd/op.h"
#include "autograd/shape.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

StatusOr<Tensor> NewResult(const Op& op, const Value& a, const Value& b) {
  TIERLIB_RETURN_IF_ERROR(RequireFloat({&a, &b}));
  TIERLIB_ASSIGN_OR_RETURN(const Dims sizes, BroadcastSizes(a.sizes(), b.sizes()));
  return op.New(a.dtype(), sizes);
}

Status Compute(const Op& op, host::BinaryOp kind, const Value& a, const Value& b, const Tensor& y) {
  return op.Launch("binary", {.reads = {&a.tensor(), &b.tensor()}, .writes = {&y}}, host::Binary,
                   host::BinaryArguments{.op = kind, .a = In(a.tensor()), .b = In(b.tensor()), .y = Out(y)});
}

// Memory for dL/d(input) at the sizes of the result: the gradient itself where the input was not broadcast.
StatusOr<Tensor> NewBeforeSum(BackwardPass& pass, int input) {
  if (pass.input_sizes(input) == pass.gradient().sizes()) return pass.NewGradient(input);
  return pass.New(pass.input_dtype(input), pass.gradient().sizes());
}

// Gives kind(dy, other) to an input.
Status GiveProduct(BackwardPass& pass, int input, host::BinaryOp kind, const Tensor& other) {
  TIERLIB_ASSIGN_OR_RETURN(Tensor product, NewBeforeSum(pass, input));
  TIERLIB_RETURN_IF_ERROR(
      pass.Launch("binary gradient", {.reads = {&pass.gradient(), &other}, .writes = {&product}}, host::Binary,
                  host::BinaryArguments{.op = kind, .a = In(pass.gradient()), .b = In(other), .y = Out(product)}));
  return pass.GiveSummed(input, std::move(product));
}

Status GiveNegative(BackwardPass& pass, int input) {
  // The sum over broadcast dimensions first: then there is less to negate.
  const Tensor& dy = pass.gradient();
  if (pass.input_sizes(input) != dy.sizes()) {
    TIERLIB_ASSIGN_OR_RETURN(Tensor sum, pass.NewGradient(input));
    TIERLIB_RETURN_IF_ERROR(pass.SumInto(dy, sum, -1));
    return pass.Give(input, std::move(sum));
  }
  TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewGradient(input));
  TIERLIB_RETURN_IF_ERROR(
      pass.Launch("negate", {.reads = {&dy}, .writes = {&dx}}, host::Unary,
                  host::UnaryArguments{.op = host::UnaryOp::kMulScalar, .c0 = -1, .x = In(dy), .y = Out(dx)}));
  return pass.Give(input, std::move(dx));
}

Status DivBackward(BackwardPass& pass, int dividend_slot, int divisor_slot) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor divisor, pass.Unpack(divisor_slot));
  if (pass.wants(0)) TIERLIB_RETURN_IF_ERROR(GiveProduct(pass, 0, host::BinaryOp::kDiv, divisor));
  if (!pass.wants(1)) return OkStatus();
  TIERLIB_ASSIGN_OR_RETURN(const Tensor dividend, pass.Unpack(dividend_slot));
  TIERLIB_ASSIGN_OR_RETURN(Tensor product, NewBeforeSum(pass, 1));
  TIERLIB_RETURN_IF_ERROR(pass.Launch(
      "divisor gradient", {.reads = {&pass.gradient(), &dividend, &divisor}, .writes = {&product}},
      host::DivisorGradient,
      host::DivisorGradientArguments{
          .gradient = In(pass.gradient()), .numerator = In(dividend), .denominator = In(divisor), .y = Out(product)}));
  return pass.GiveSummed(1, std::move(product));
}

}  // namespace

Value Add(const Value& a, const Value& b) {
  return RunOp("add", {&a, &b}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, NewResult(op, a, b));
    TIERLIB_RETURN_IF_ERROR(Compute(op, host::BinaryOp::kAdd, a, b, y));
    return op.Record(std::move(y), [](BackwardPass& pass) -> Status {
      TIERLIB_RETURN_IF_ERROR(pass.GiveSummed(0, pass.gradient()));
      return pass.GiveSummed(1, pass.gradient());
    });
  });
}

Value Sub(const Value& a, const Value& b) {
  return RunOp("sub", {&a, &b}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, NewResult(op, a, b));
    TIERLIB_RETURN_IF_ERROR(Compute(op, host::BinaryOp::kSub, a, b, y));
    return op.Record(std::move(y), [](BackwardPass& pass) -> Status {
      TIERLIB_RETURN_IF_ERROR(pass.GiveSummed(0, pass.gradient()));
      return pass.wants(1) ? GiveNegative(pass, 1) : OkStatus();
    });
  });
}

Value Mul(const Value& a, const Value& b) {
  return RunOp("mul", {&a, &b}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, NewResult(op, a, b));
    const int saved_a = op.wants(1) ? op.Save(a.tensor(), "a") : -1;
    const int saved_b = op.wants(0) ? op.Save(b.tensor(), "b") : -1;
    TIERLIB_RETURN_IF_ERROR(Compute(op, host::BinaryOp::kMul, a, b, y));
    return op.Record(std::move(y), [saved_a, saved_b](BackwardPass& pass) -> Status {
      if (pass.wants(0)) {
        TIERLIB_ASSIGN_OR_RETURN(const Tensor other, pass.Unpack(saved_b));
        TIERLIB_RETURN_IF_ERROR(GiveProduct(pass, 0, host::BinaryOp::kMul, other));
      }
      if (!pass.wants(1)) return OkStatus();
      TIERLIB_ASSIGN_OR_RETURN(const Tensor other, pass.Unpack(saved_a));
      return GiveProduct(pass, 1, host::BinaryOp::kMul, other);
    });
  });
}

Value Div(const Value& a, const Value& b) {
  return RunOp("div", {&a, &b}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, NewResult(op, a, b));
    const int dividend = op.wants(1) ? op.Save(a.tensor(), "dividend") : -1;
    const int divisor = op.Save(b.tensor(), "divisor");
    TIERLIB_RETURN_IF_ERROR(Compute(op, host::BinaryOp::kDiv, a, b, y));
    return op.Record(std::move(y),
                     [dividend, divisor](BackwardPass& pass) { return DivBackward(pass, dividend, divisor); });
  });
}

}  // namespace tierlib::autograd
