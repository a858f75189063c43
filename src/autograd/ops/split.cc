// Split: equal parts along a dimension, as views. Saves nothing. Backward puts the parts' gradients side by side in one
// buffer; a consumer that can write through strides writes its part there itself.
#include <utility>

#include "autograd/kernels/elementwise.h"
#include "autograd/op.h"
#include "autograd/shape.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

struct Parts {
  int dim = 0;
  std::int64_t size = 0;  // of each part

  Layout Of(const Layout& whole, int part) const { return SliceLayout(whole, dim, part * size, (part + 1) * size, 1); }
};

Status SplitBackward(BackwardPass& pass, const Parts& parts, int count) {
  Tensor dx = pass.shared_buffer();
  if (!dx.defined()) {
    TIERLIB_ASSIGN_OR_RETURN(dx, pass.NewGradient(0));
  }
  pass.shared_buffer() = Tensor();
  for (int i = 0; i < count; ++i) {
    const Tensor place = dx.WithLayout(parts.Of(dx.layout(), i));
    const Tensor& gradient = pass.gradient(i);
    if (!gradient.defined()) {
      TIERLIB_RETURN_IF_ERROR(
          pass.Launch("fill", {.writes = {&place}}, host::Fill, host::FillArguments{.value = 0, .y = Out(place)}));
    } else if (gradient.handle() != place.handle() || !SameElements(gradient.layout(), place.layout())) {
      TIERLIB_RETURN_IF_ERROR(pass.Copy(gradient, place));
    }
  }
  return pass.Give(0, std::move(dx));
}

}  // namespace

std::vector<Value> Split(const Value& x, int count, int dim) {
  return RunOpAll("split", {&x}, [&](Op& op) -> StatusOr<std::vector<Value>> {
    TIERLIB_ASSIGN_OR_RETURN(const int d, CheckDim(dim, x.sizes()));
    if (count <= 0 || x.sizes()[d] % count != 0) {
      return InvalidArgumentError("dimension " + std::to_string(d) + " of " + SizesText(x.sizes()) + " into " +
                                  std::to_string(count) + " equal parts");
    }
    const Parts parts{d, x.sizes()[d] / count};
    std::vector<Tensor> outputs;
    for (int i = 0; i < count; ++i) outputs.push_back(x.tensor().WithLayout(parts.Of(x.tensor().layout(), i)));
    return op.RecordAll(
        std::move(outputs), [parts, count](BackwardPass& pass) { return SplitBackward(pass, parts, count); },
        [parts](BackwardPass& pass, int part) -> StatusOr<Tensor> {
          if (!pass.shared_buffer().defined()) {
            TIERLIB_ASSIGN_OR_RETURN(pass.shared_buffer(), pass.NewGradient(0));
          }
          const Tensor& whole = pass.shared_buffer();
          return whole.WithLayout(parts.Of(whole.layout(), part));
        });
  });
}

}  // namespace tierlib::autograd
