// LayerNorm over the last dimension: saves its input, the weight, and each row's mean and reciprocal standard
// deviation.
#include "autograd/kernels/layer_norm.h"

#include <string>
#include <utility>

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
  int mean = -1;
  int rstd = -1;
};

Status CheckArguments(const Value& x, const Value& weight, const Value& bias) {
  TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
  if (x.sizes().rank() == 0) return InvalidArgumentError("x has no dimension to normalise");
  const Dims expected = {x.sizes()[x.sizes().rank() - 1]};
  for (const Value* parameter : {&weight, &bias}) {
    if (!parameter->defined()) continue;
    if (parameter->sizes() != expected || parameter->dtype() != x.dtype()) {
      return InvalidArgumentError((parameter == &bias ? "bias " : "weight ") + parameter->tensor().layout().ToString() +
                                  " for x " + x.tensor().layout().ToString() + ": it must be " + DTypeName(x.dtype()) +
                                  SizesText(expected));
    }
  }
  return OkStatus();
}

Status LayerNormBackward(BackwardPass& pass, const Rows& shape, const Slots& slots, bool has_bias) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor saved_x, pass.Unpack(slots.x));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor x, pass.RowMajor(saved_x));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor saved_weight, pass.Unpack(slots.weight));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor weight, pass.RowMajor(saved_weight));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor mean, pass.Unpack(slots.mean));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor rstd, pass.Unpack(slots.rstd));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor dy, pass.RowMajor(pass.gradient()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace,
                           pass.Workspace(host::LayerNormBackwardWorkspaceBytes(x.dtype(), shape.rows, shape.columns)));
  Operands operands{.reads = {&dy, &x, &weight, &mean, &rstd}};
  if (workspace.defined()) operands.writes.push_back(&workspace);
  Tensor gradients[3];  // of x, weight, bias
  for (int input = 0; input < (has_bias ? 3 : 2); ++input) {
    if (!pass.wants(input)) continue;
    TIERLIB_ASSIGN_OR_RETURN(gradients[input], pass.NewRowMajorGradient(input));
    operands.writes.push_back(&gradients[input]);
  }
  TIERLIB_RETURN_IF_ERROR(pass.Launch("layer norm gradient", operands, host::LayerNormBackward,
                                      host::LayerNormBackwardArguments{.dtype = x.dtype(),
                                                                       .rows = shape.rows,
                                                                       .columns = shape.columns,
                                                                       .dy = dy.data(),
                                                                       .x = x.data(),
                                                                       .weight = weight.data(),
                                                                       .mean = mean.data(),
                                                                       .rstd = rstd.data(),
                                                                       .dx = AddressOrNull(gradients[0]),
                                                                       .dweight = AddressOrNull(gradients[1]),
                                                                       .dbias = AddressOrNull(gradients[2]),
                                                                       .workspace = AddressOrNull(workspace)}));
  for (int input = 0; input < 3; ++input) {
    if (gradients[input].defined()) TIERLIB_RETURN_IF_ERROR(pass.Give(input, std::move(gradients[input])));
  }
  return OkStatus();
}

StatusOr<Value> Normalize(Op& op, const Value& x, const Value& weight, const Value& bias, double epsilon) {
  TIERLIB_RETURN_IF_ERROR(CheckArguments(x, weight, bias));
  const std::int64_t columns = x.sizes()[x.sizes().rank() - 1];
  const Rows shape{columns == 0 ? 0 : x.tensor().elements() / columns, columns};
  const DType statistics = host::ComputeType(x.dtype());
  TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), x.sizes()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor mean, op.New(statistics, {shape.rows}));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor rstd, op.New(statistics, {shape.rows}));
  Slots slots;
  slots.x = op.Save(x.tensor(), "input");
  slots.weight = op.Save(weight.tensor(), "weight");
  TIERLIB_ASSIGN_OR_RETURN(const Tensor row_major, op.RowMajor(x.tensor()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor scale, op.RowMajor(weight.tensor()));
  Tensor shift;
  Operands operands{.reads = {&row_major, &scale}, .writes = {&y, &mean, &rstd}};
  if (bias.defined()) {
    TIERLIB_ASSIGN_OR_RETURN(shift, op.RowMajor(bias.tensor()));
    operands.reads.push_back(&shift);
  }
  TIERLIB_RETURN_IF_ERROR(op.Launch("layer norm", operands, host::LayerNormForward,
                                    host::LayerNormForwardArguments{.dtype = x.dtype(),
                                                                    .rows = shape.rows,
                                                                    .columns = shape.columns,
                                                                    .epsilon = epsilon,
                                                                    .x = row_major.data(),
                                                                    .weight = scale.data(),
                                                                    .bias = AddressOrNull(shift),
                                                                    .y = y.data(),
                                                                    .mean = mean.data(),
                                                                    .rstd = rstd.data()}));
  slots.mean = op.Save(mean, "mean");
  slots.rstd = op.Save(rstd, "rstd");
  return op.Record(std::move(y), [shape, slots, has_bias = bias.defined()](BackwardPass& pass) {
    return LayerNormBackward(pass, shape, slots, has_bias);
  });
}

}  // namespace

Value LayerNorm(const Value& x, const Value& weight, const Value& bias, double epsilon) {
  const auto run = [&](Op& op) { return Normalize(op, x, weight, bias, epsilon); };
  if (bias.defined()) return RunOp("layer_norm", {&x, &weight, &bias}, run);
  return RunOp("layer_norm", {&x, &weight}, run);
}

}  // namespace tierlib::autograd
