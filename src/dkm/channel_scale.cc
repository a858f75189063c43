#include "dkm/channel_scale.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include "autograd/kernels/elementwise.h"
#include "autograd/op.h"
#include "autograd/replay.h"
#include "dkm/groups.h"

namespace tierlib::dkm {
namespace {

using autograd::Launcher;
using autograd::Tensor;
using autograd::Value;

// y = x over (or times) the scales, both row-major, as matrices of a row for each scale.
autograd::host::BinaryArguments Scaling(const autograd::host::Source& x, const Tensor& scales, ScaleBy by,
                                        const autograd::host::Target& y) {
  const std::int64_t rows = scales.elements();
  const Dims matrix = {rows, x.layout.elements() / rows};
  autograd::host::BinaryArguments a;
  a.op = by == ScaleBy::kQuotient ? autograd::host::BinaryOp::kDiv : autograd::host::BinaryOp::kMul;
  a.a = {x.data, Layout::Contiguous(x.layout.dtype, matrix)};
  a.b = {scales.data(), Layout::Contiguous(DType::kF32, {rows, 1})};
  a.y = {y.data, Layout::Contiguous(y.layout.dtype, matrix)};
  return a;
}

Status Launch(const Launcher& launcher, const Tensor& row_major, const Tensor& scales, ScaleBy by, const Tensor& to) {
  return launcher.Launch("dkm scale", {.reads = {&row_major, &scales}, .writes = {&to}}, autograd::host::Binary,
                         Scaling(autograd::In(row_major), scales, by, autograd::Out(to)));
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
      TIERLIB_RETURN_IF_ERROR(
          op.Derive(y, x.tensor(),
                    autograd::KernelReplay<autograd::host::BinaryArguments>(
                        op.context(), "dkm scale", autograd::host::Binary,
                        [scales, by](const autograd::host::Source& from, const autograd::host::Target& to) {
                          return Scaling(from, scales, by, to);
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
