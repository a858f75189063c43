#include "dkm/channel_scale.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include "autograd/op.h"
#include "autograd/replay.h"
#include "dkm/groups.h"
#include "dkm/kernels/channel_scale.h"

namespace tierlib::dkm {
namespace {

using autograd::Launcher;
using autograd::Tensor;
using autograd::Value;

// Without what x and y point at.
host::ScaleRowsArguments Arguments(const Tensor& x, const Tensor& scales, ScaleBy by, DType dtype) {
  host::ScaleRowsArguments a;
  a.rows = scales.elements();
  a.columns = x.elements() / scales.elements();
  a.scales = static_cast<const float*>(scales.data());
  a.divide = by == ScaleBy::kQuotient;
  a.x_dtype = x.dtype();
  a.y_dtype = dtype;
  return a;
}

Status Launch(const Launcher& launcher, const Tensor& row_major, const Tensor& scales, ScaleBy by, const Tensor& to) {
  host::ScaleRowsArguments a = Arguments(row_major, scales, by, to.dtype());
  a.x = row_major.data();
  a.y = to.data();
  return launcher.Launch("dkm scale", {.reads = {&row_major, &scales}, .writes = {&to}}, host::ScaleRows, a);
}

}  // namespace

std::vector<float> ChannelScalesOf(ChannelScale kind, const Dims& sizes, const std::vector<double>& values) {
  const auto rows = static_cast<std::size_t>(std::max<std::int64_t>(RowsOf(sizes), 1));
  const std::size_t columns = values.size() / rows;
  std::vector<float> scales;
  for (std::size_t row = 0; row < rows; ++row) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * columns);
    const auto [low, high] = std::minmax_element(begin, begin + static_cast<std::ptrdiff_t>(columns));
    double scale = 0;
    if (columns > 0) {
      scale = kind == ChannelScale::kMinMax ? 0.5 * *high - 0.5 * *low : std::max(std::fabs(*low), std::fabs(*high));
    }
    const auto narrow = static_cast<float>(std::min(scale, static_cast<double>(std::numeric_limits<float>::max())));
    scales.push_back(narrow > 0 ? narrow : 1.0f);
  }
  return scales;
}

StatusOr<Tensor> ScaleRows(const Launcher& launcher, const Tensor& x, const Tensor& scales, ScaleBy by, DType dtype) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor from, launcher.RowMajor(x));
  TIERLIB_ASSIGN_OR_RETURN(Tensor to, launcher.New(dtype, x.sizes()));
  TIERLIB_RETURN_IF_ERROR(Launch(launcher, from, scales, by, to));
  return to;
}

Value ScaleRows(const Value& x, const Tensor& scales, ScaleBy by, DType dtype) {
  return autograd::RunOp("dkm_scale", {&x}, [&](autograd::Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, ScaleRows(op, x.tensor(), scales, by, dtype));
    if (x.tensor().layout().is_contiguous()) {
      const host::ScaleRowsArguments arguments = Arguments(x.tensor(), scales, by, dtype);
      TIERLIB_RETURN_IF_ERROR(
          op.Derive(y, x.tensor(),
                    autograd::KernelReplay(op.context(), "dkm scale",
                                           [arguments](KernelContext& context, const autograd::host::Source& from,
                                                       const autograd::host::Target& to) {
                                             host::ScaleRowsArguments a = arguments;
                                             a.x = from.data;
                                             a.y = to.data;
                                             host::ScaleRows(context, a);
                                           },
                                           {scales})));
    }
    return op.Record(std::move(y), [scales, by](autograd::BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(const Tensor gradient, pass.RowMajor(pass.gradient()));
      TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewRowMajorGradient(0));
      TIERLIB_RETURN_IF_ERROR(Launch(pass, gradient, scales, by, dx));
      return pass.Give(0, std::move(dx));
    });
  });
}

}  // namespace tierlib::dkm
