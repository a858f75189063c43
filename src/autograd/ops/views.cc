// Reshape, Transpose, Permute, Slice, Expand, Squeeze, Unsqueeze: other layouts over the same storage. They save
// nothing; the gradient of a view is the same view backwards. Where a consumer can write its gradient through strides,
// the view passes on the memory of its input's gradient, so that nothing is copied later.
#include <optional>
#include <utility>

#include "autograd/kernels/elementwise.h"
#include "autograd/op.h"
#include "autograd/shape.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

// A view whose gradient is again a view: `back` maps a layout of the output's sizes to one of the input's, `forth` the
// other way. Neither moves bytes.
template <typename Back, typename Forth>
StatusOr<Value> RecordView(Op& op, Tensor output, Back back, Forth forth) {
  return op.Record(
      std::move(output),
      [back](BackwardPass& pass) -> Status {
        const Tensor& dy = pass.gradient();
        return pass.Give(0, dy.WithLayout(back(dy.layout())));
      },
      [forth](BackwardPass& pass, int) -> StatusOr<Tensor> {
        TIERLIB_ASSIGN_OR_RETURN(Tensor place, pass.NewGradient(0));
        return place.WithLayout(forth(place.layout()));
      });
}

// Strides of `layout` may not allow the sizes: then through a row-major copy.
Status GiveReshaped(BackwardPass& pass, const Dims& sizes) {
  const Tensor& dy = pass.gradient();
  std::optional<Layout> layout = ReshapeLayout(dy.layout(), sizes);
  if (layout.has_value()) return pass.Give(0, dy.WithLayout(*layout));
  TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewRowMajorGradient(0));
  layout = ReshapeLayout(dx.layout(), dy.sizes());
  TIERLIB_RETURN_IF_ERROR(pass.Copy(dy, dx.WithLayout(*layout)));
  return pass.Give(0, std::move(dx));
}

}  // namespace

Value Reshape(const Value& x, Dims sizes) {
  return RunOp("reshape", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(const Dims to, InferSizes(sizes, x.tensor().elements()));
    if (to == x.sizes()) return x;
    const std::optional<Layout> layout = ReshapeLayout(x.tensor().layout(), to);
    if (!layout.has_value()) return Reshape(Contiguous(x), to);  // no strides fit: the elements move once
    return op.Record(
        x.tensor().WithLayout(*layout), [from = x.sizes()](BackwardPass& pass) { return GiveReshaped(pass, from); },
        [to](BackwardPass& pass, int) -> StatusOr<Tensor> {
          TIERLIB_ASSIGN_OR_RETURN(Tensor place, pass.NewGradient(0));
          const std::optional<Layout> reshaped = ReshapeLayout(place.layout(), to);
          return reshaped.has_value() ? place.WithLayout(*reshaped) : Tensor();
        });
  });
}

Value Transpose(const Value& x, int dim0, int dim1) {
  return RunOp("transpose", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(const int a, CheckDim(dim0, x.sizes()));
    TIERLIB_ASSIGN_OR_RETURN(const int b, CheckDim(dim1, x.sizes()));
    const auto swap = [a, b](const Layout& layout) { return TransposeLayout(layout, a, b); };
    return RecordView(op, x.tensor().WithLayout(swap(x.tensor().layout())), swap, swap);
  });
}

Value Permute(const Value& x, std::vector<int> dims) {
  return RunOp("permute", {&x}, [&](Op& op) -> StatusOr<Value> {
    const int rank = x.sizes().rank();
    Dims order = Dims::Filled(rank, -1);
    Dims inverse = Dims::Filled(rank, -1);
    bool fits = static_cast<int>(dims.size()) == rank;
    for (int i = 0; fits && i < rank; ++i) {
      TIERLIB_ASSIGN_OR_RETURN(const int from, CheckDim(dims[i], x.sizes()));
      fits = inverse[from] < 0;
      order[i] = from;
      inverse[from] = i;
    }
    if (!fits)
      return InvalidArgumentError("the dimensions are not those of " + SizesText(x.sizes()) + " in some order");
    const auto permute = [](const Layout& layout, const Dims& by) {
      Layout result = layout;
      for (int i = 0; i < by.rank(); ++i) {
        result.sizes[i] = layout.sizes[static_cast<int>(by[i])];
        result.strides[i] = layout.strides[static_cast<int>(by[i])];
      }
      return result;
    };
    return RecordView(
        op, x.tensor().WithLayout(permute(x.tensor().layout(), order)),
        [permute, inverse](const Layout& layout) { return permute(layout, inverse); },
        [permute, order](const Layout& layout) { return permute(layout, order); });
  });
}

Value Slice(const Value& x, int dim, std::int64_t begin, std::int64_t end, std::int64_t step) {
  return RunOp("slice", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(const int d, CheckDim(dim, x.sizes()));
    if (begin < 0 || end < begin || end > x.sizes()[d] || step <= 0) {
      return InvalidArgumentError("[" + std::to_string(begin) + ", " + std::to_string(end) + ") in steps of " +
                                  std::to_string(step) + " of dimension " + std::to_string(d) + " of " +
                                  SizesText(x.sizes()));
    }
    return op.Record(x.tensor().WithLayout(SliceLayout(x.tensor().layout(), d, begin, end, step)),
                     [=](BackwardPass& pass) -> Status {
                       TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewGradient(0));
                       TIERLIB_RETURN_IF_ERROR(pass.Launch("fill", {.writes = {&dx}}, host::Fill,
                                                           host::FillArguments{.value = 0, .y = Out(dx)}));
                       const Layout part = SliceLayout(dx.layout(), d, begin, end, step);
                       TIERLIB_RETURN_IF_ERROR(pass.Copy(pass.gradient(), dx.WithLayout(part)));
                       return pass.Give(0, std::move(dx));
                     });
  });
}

Value Expand(const Value& x, Dims sizes) {
  return RunOp("expand", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(const Dims to, ExpandSizes(x.sizes(), sizes));
    if (to == x.sizes()) return x;
    return op.Record(x.tensor().WithLayout(ExpandLayout(x.tensor().layout(), to)),
                     [](BackwardPass& pass) { return pass.GiveSummed(0, pass.gradient()); });
  });
}

Value Squeeze(const Value& x, int dim) {
  return RunOp("squeeze", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(const int d, CheckDim(dim, x.sizes()));
    if (x.sizes()[d] != 1) {
      return InvalidArgumentError("dimension " + std::to_string(d) + " of " + SizesText(x.sizes()) + " is not 1");
    }
    return RecordView(
        op, x.tensor().WithLayout(RemoveDim(x.tensor().layout(), d)),
        [d](const Layout& layout) { return InsertDim(layout, d); },
        [d](const Layout& layout) { return RemoveDim(layout, d); });
  });
}

Value Unsqueeze(const Value& x, int dim) {
  return RunOp("unsqueeze", {&x}, [&](Op& op) -> StatusOr<Value> {
    const int rank = x.sizes().rank();
    const int d = dim < 0 ? dim + rank + 1 : dim;
    if (d < 0 || d > rank || rank == Dims::kMaxRank) {
      return InvalidArgumentError("no dimension can be put at " + std::to_string(dim) + " of " + SizesText(x.sizes()));
    }
    return RecordView(
        op, x.tensor().WithLayout(InsertDim(x.tensor().layout(), d)),
        [d](const Layout& layout) { return RemoveDim(layout, d); },
        [d](const Layout& layout) { return InsertDim(layout, d); });
  });
}

}  // namespace tierlib::autograd
