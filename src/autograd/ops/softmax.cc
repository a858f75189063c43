// Softmax: saves its output.
#include "autograd/kernels/softmax.h"

#include <utility>

#include "autograd/op.h"
#include "autograd/shape.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

// A row-major tensor as [outer, size, inner] around one dimension.
struct Slices {
  std::int64_t outer = 1;
  std::int64_t size = 1;
  std::int64_t inner = 1;
};

Slices SlicesOf(const Dims& sizes, int dim) {
  Slices slices;
  for (int i = 0; i < dim; ++i) slices.outer *= sizes[i];
  slices.size = sizes[dim];
  for (int i = dim + 1; i < sizes.rank(); ++i) slices.inner *= sizes[i];
  return slices;
}

Status SoftmaxBackward(BackwardPass& pass, const Slices& slices, int slot) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor y, pass.Unpack(slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor dy, pass.RowMajor(pass.gradient()));
  TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewRowMajorGradient(0));
  TIERLIB_RETURN_IF_ERROR(pass.Launch("softmax gradient", {.reads = {&y, &dy}, .writes = {&dx}}, host::SoftmaxBackward,
                                      host::SoftmaxBackwardArguments{.dtype = y.dtype(),
                                                                     .outer = slices.outer,
                                                                     .size = slices.size,
                                                                     .inner = slices.inner,
                                                                     .y = y.data(),
                                                                     .dy = dy.data(),
                                                                     .dx = dx.data()}));
  return pass.Give(0, std::move(dx));
}

}  // namespace

Value Softmax(const Value& x, int dim) {
  return RunOp("softmax", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
    TIERLIB_ASSIGN_OR_RETURN(const int d, CheckDim(dim, x.sizes()));
    const Slices slices = SlicesOf(x.sizes(), d);
    TIERLIB_ASSIGN_OR_RETURN(const Tensor row_major, op.RowMajor(x.tensor()));
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), x.sizes()));
    TIERLIB_RETURN_IF_ERROR(op.Launch("softmax", {.reads = {&row_major}, .writes = {&y}}, host::SoftmaxForward,
                                      host::SoftmaxForwardArguments{.dtype = x.dtype(),
                                                                    .outer = slices.outer,
                                                                    .size = slices.size,
                                                                    .inner = slices.inner,
                                                                    .x = row_major.data(),
                                                                    .y = y.data()}));
    const int output = op.Save(y, "output");
    return op.Record(std::move(y),
                     [slices, output](BackwardPass& pass) { return SoftmaxBackward(pass, slices, output); });
  });
}

}  // namespace tierlib::autograd
