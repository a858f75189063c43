// CrossEntropy: saves the logits, the targets, and one float per row. No map of probabilities is kept.
#include "autograd/kernels/cross_entropy.h"

#include <utility>

#include "autograd/op.h"
#include "autograd/shape.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

struct Slots {
  int logits = -1;
  int targets = -1;
  int log_sum_exp = -1;
};

Status CheckArguments(const Value& logits, const Tensor& targets) {
  TIERLIB_RETURN_IF_ERROR(RequireFloat({&logits}));
  if (logits.sizes().rank() != 2 || logits.sizes()[0] == 0) {
    return InvalidArgumentError("logits " + SizesText(logits.sizes()) + ": they must be [rows, classes]");
  }
  if (!targets.defined() || targets.dtype() != DType::kI32 || targets.sizes() != Dims({logits.sizes()[0]})) {
    return InvalidArgumentError("targets " + (targets.defined() ? targets.layout().ToString() : "undefined") +
                                " for logits " + SizesText(logits.sizes()) + ": they must be i32[" +
                                std::to_string(logits.sizes()[0]) + "]");
  }
  return OkStatus();
}

Status CrossEntropyBackward(BackwardPass& pass, const Slots& slots) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor saved_logits, pass.Unpack(slots.logits));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor logits, pass.RowMajor(saved_logits));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor saved_targets, pass.Unpack(slots.targets));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor targets, pass.RowMajor(saved_targets));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor log_sum_exp, pass.Unpack(slots.log_sum_exp));
  TIERLIB_ASSIGN_OR_RETURN(Tensor dlogits, pass.NewRowMajorGradient(0));
  const Tensor& dloss = pass.gradient();
  TIERLIB_RETURN_IF_ERROR(
      pass.Launch("cross entropy gradient", {.reads = {&logits, &targets, &log_sum_exp, &dloss}, .writes = {&dlogits}},
                  host::CrossEntropyBackward,
                  host::CrossEntropyBackwardArguments{.dtype = logits.dtype(),
                                                      .rows = logits.sizes()[0],
                                                      .classes = logits.sizes()[1],
                                                      .logits = logits.data(),
                                                      .targets = static_cast<const std::int32_t*>(targets.data()),
                                                      .log_sum_exp = log_sum_exp.data(),
                                                      .loss_dtype = dloss.dtype(),
                                                      .dloss = dloss.data(),
                                                      .dlogits = dlogits.data()}));
  return pass.Give(0, std::move(dlogits));
}

}  // namespace

Value CrossEntropy(const Value& logits, const Tensor& targets) {
  return RunOp("cross_entropy", {&logits}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(CheckArguments(logits, targets));
    const std::int64_t rows = logits.sizes()[0];
    const DType loss_dtype = host::ComputeType(logits.dtype());
    TIERLIB_ASSIGN_OR_RETURN(Tensor loss, op.New(loss_dtype, Dims()));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor log_sum_exp, op.New(loss_dtype, {rows}));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, op.Workspace(host::CrossEntropyForwardWorkspaceBytes(rows)));
    Slots slots;
    slots.logits = op.Save(logits.tensor(), "logits");
    slots.targets = op.Save(targets, "targets");
    TIERLIB_ASSIGN_OR_RETURN(const Tensor row_major, op.RowMajor(logits.tensor()));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor classes, op.RowMajor(targets));
    Operands operands{.reads = {&row_major, &classes}, .writes = {&loss, &log_sum_exp}};
    if (workspace.defined()) operands.writes.push_back(&workspace);
    TIERLIB_RETURN_IF_ERROR(
        op.Launch("cross entropy", operands, host::CrossEntropyForward,
                  host::CrossEntropyForwardArguments{.dtype = logits.dtype(),
                                                     .rows = rows,
                                                     .classes = logits.sizes()[1],
                                                     .logits = row_major.data(),
                                                     .targets = static_cast<const std::int32_t*>(classes.data()),
                                                     .log_sum_exp = log_sum_exp.data(),
                                                     .loss_dtype = loss_dtype,
                                                     .loss = loss.data(),
                                                     .workspace = AddressOrNull(workspace)}));
    slots.log_sum_exp = op.Save(log_sum_exp, "log_sum_exp");
    return op.Record(std::move(loss), [slots](BackwardPass& pass) { return CrossEntropyBackward(pass, slots); });
  });
}

}  // namespace tierlib::autograd
