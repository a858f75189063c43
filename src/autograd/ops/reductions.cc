// Sum, SumDim, Mean. They save nothing: the gradient is the result's, repeated by strides of 0.
#include <utility>

#include "autograd/kernels/elementwise.h"
#include "autograd/op.h"
#include "autograd/shape.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

StatusOr<Value> SumOfAll(Op& op, const Value& x, double scale) {
  TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
  TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), Dims()));
  TIERLIB_RETURN_IF_ERROR(op.SumInto(x.tensor(), y, scale));
  return op.Record(std::move(y), [scale](BackwardPass& pass) -> Status {
    Tensor one = pass.gradient();
    if (scale != 1) {
      TIERLIB_ASSIGN_OR_RETURN(one, pass.New(one.dtype(), Dims()));
      TIERLIB_RETURN_IF_ERROR(pass.Launch(
          "scale", {.reads = {&pass.gradient()}, .writes = {&one}}, host::Unary,
          host::UnaryArguments{.op = host::UnaryOp::kMulScalar, .c0 = scale, .x = In(pass.gradient()), .y = Out(one)}));
    }
    return pass.Give(0, one.WithLayout(ExpandLayout(one.layout(), pass.input_sizes(0))));
  });
}

}  // namespace

Value Sum(const Value& x) {
  return RunOp("sum", {&x}, [&](Op& op) { return SumOfAll(op, x, 1); });
}

Value Mean(const Value& x) {
  return RunOp("mean", {&x}, [&](Op& op) -> StatusOr<Value> {
    if (x.tensor().elements() == 0) return InvalidArgumentError("the mean of no elements: " + SizesText(x.sizes()));
    return SumOfAll(op, x, 1.0 / static_cast<double>(x.tensor().elements()));
  });
}

Value SumDim(const Value& x, int dim, bool keep) {
  return RunOp("sum_dim", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
    TIERLIB_ASSIGN_OR_RETURN(const int d, CheckDim(dim, x.sizes()));
    Dims kept = x.sizes();
    kept[d] = 1;
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), kept));
    TIERLIB_RETURN_IF_ERROR(op.SumInto(x.tensor(), y));
    if (!keep) y = y.WithLayout(RemoveDim(y.layout(), d));
    return op.Record(std::move(y), [d, keep](BackwardPass& pass) {
      const Tensor& dy = pass.gradient();
      const Layout layout = keep ? dy.layout() : InsertDim(dy.layout(), d);
      return pass.Give(0, dy.WithLayout(ExpandLayout(layout, pass.input_sizes(0))));
    });
  });
}

}  // namespace tierlib::autograd
