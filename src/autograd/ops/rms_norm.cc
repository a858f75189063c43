// RMSNorm over the last dimension: saves its input, the weight, and the reciprocal of each row's root mean square.
#include <utility>

#include "autograd/kernels/layer_norm.h"
#include "autograd/op.h"
#include "autograd/shape.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

struct Rows {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

struct Slots {
  int x = -1;
  int weight = -1;
  int rstd = -1;
};

Status CheckArguments(const Value& x, const Value& weight) {
  TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
  if (x.sizes().rank() == 0) return InvalidArgumentError("x has no dimension to normalise");
  const Dims expected = {x.sizes()[x.sizes().rank() - 1]};
  if (weight.sizes() == expected && weight.dtype() == x.dtype()) return OkStatus();
  return InvalidArgumentError("weight " + weight.tensor().layout().ToString() + " for x " +
                              x.tensor().layout().ToString() + ": it must be " + DTypeName(x.dtype()) +
                              SizesText(expected));
}

Status RmsNormBackward(BackwardPass& pass, const Rows& shape, const Slots& slots) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor saved_x, pass.Unpack(slots.x));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor x, pass.RowMajor(saved_x));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor saved_weight, pass.Unpack(slots.weight));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor weight, pass.RowMajor(saved_weight));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor rstd, pass.Unpack(slots.rstd));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor dy, pass.RowMajor(pass.gradient()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace,
                           pass.Workspace(host::LayerNormBackwardWorkspaceBytes(x.dtype(), shape.rows, shape.columns)));
  Operands operands{.reads = {&dy, &x, &weight, &rstd}};
  if (workspace.defined()) operands.writes.push_back(&workspace);
  Tensor gradients[2];  // of x, weight
  for (int input = 0; input < 2; ++input) {
    if (!pass.wants(input)) continue;
    TIERLIB_ASSIGN_OR_RETURN(gradients[input], pass.NewRowMajorGradient(input));
    operands.writes.push_back(&gradients[input]);
  }
  TIERLIB_RETURN_IF_ERROR(pass.Launch("rms norm gradient", operands, host::LayerNormBackward,
                                      host::LayerNormBackwardArguments{.dtype = x.dtype(),
                                                                       .rows = shape.rows,
                                                                       .columns = shape.columns,
                                                                       .dy = dy.data(),
                                                                       .x = x.data(),
                                                                       .weight = weight.data(),
                                                                       .mean = nullptr,
                                                                       .rstd = rstd.data(),
                                                                       .dx = AddressOrNull(gradients[0]),
                                                                       .dweight = AddressOrNull(gradients[1]),
                                                                       .workspace = AddressOrNull(workspace)}));
  for (int input = 0; input < 2; ++input) {
    if (gradients[input].defined()) TIERLIB_RETURN_IF_ERROR(pass.Give(input, std::move(gradients[input])));
  }
  return OkStatus();
}

StatusOr<Value> Normalize(Op& op, const Value& x, const Value& weight, double epsilon) {
  TIERLIB_RETURN_IF_ERROR(CheckArguments(x, weight));
  const std::int64_t columns = x.sizes()[x.sizes().rank() - 1];
  const Rows shape{columns == 0 ? 0 : x.tensor().elements() / columns, columns};
  TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), x.sizes()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor rstd, op.New(host::ComputeType(x.dtype()), {shape.rows}));
  Slots slots;
  slots.x = op.Save(x.tensor(), "input");
  slots.weight = op.Save(weight.tensor(), "weight");
  TIERLIB_ASSIGN_OR_RETURN(const Tensor row_major, op.RowMajor(x.tensor()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor scale, op.RowMajor(weight.tensor()));
  const Operands operands{.reads = {&row_major, &scale}, .writes = {&y, &rstd}};
  TIERLIB_RETURN_IF_ERROR(op.Launch("rms norm", operands, host::LayerNormForward,
                                    host::LayerNormForwardArguments{.dtype = x.dtype(),
                                                                    .rows = shape.rows,
                                                                    .columns = shape.columns,
                                                                    .epsilon = epsilon,
                                                                    .x = row_major.data(),
                                                                    .weight = scale.data(),
                                                                    .bias = nullptr,
                                                                    .y = y.data(),
                                                                    .mean = nullptr,
                                                                    .rstd = rstd.data()}));
  slots.rstd = op.Save(rstd, "rstd");
  return op.Record(std::move(y), [shape, slots](BackwardPass& pass) { return RmsNormBackward(pass, shape, slots); });
}

}  // namespace

Value RmsNorm(const Value& x, const Value& weight, double epsilon) {
  return RunOp("rms_norm", {&x, &weight}, [&](Op& op) { return Normalize(op, x, weight, epsilon); });
}

}  // namespace tierlib::autograd
