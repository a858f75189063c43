// CausalAttention. Composed: the ops it is made of save what they save. Fused: saves q, k, v, its output and one float
// per row, and writes the gradients of q, k and v where their producer wants them (Split: side by side).
#include "autograd/kernels/attention.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "autograd/context.h"
#include "autograd/kernels/causal_mask.h"
#include "autograd/op.h"
#include "autograd/shape.h"
#include "autograd/tape_state.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

Status CheckArguments(const Value& q, const Value& k, const Value& v, double dropout) {
  TIERLIB_RETURN_IF_ERROR(RequireFloat({&q}));
  const bool equal =
      k.sizes() == q.sizes() && v.sizes() == q.sizes() && k.dtype() == q.dtype() && v.dtype() == q.dtype();
  if (q.sizes().rank() != 4 || !equal) {
    return InvalidArgumentError("q " + SizesText(q.sizes()) + ", k " + SizesText(k.sizes()) + ", v " +
                                SizesText(v.sizes()) + ": they must be [B, H, T, D] of one dtype, all the same");
  }
  if (!(dropout >= 0 && dropout < 1)) {
    return InvalidArgumentError("dropout " + std::to_string(dropout) + " is not in [0, 1)");
  }
  return OkStatus();
}

// bool [1, 1, T, T], true above the diagonal. Made once per tape and length. The tape has it until Clear, so moving it
// would free nothing.
StatusOr<Tensor> CausalMask(Op& op, std::int64_t length) {
  Tensor& mask = op.tape().state().causal_masks[length];
  if (mask.defined()) return mask;
  TIERLIB_ASSIGN_OR_RETURN(Tensor fresh, AllocateTensor(op.tape().context(), DType::kBool, {1, 1, length, length},
                                                        Holds::kPersistent, "causal mask", trace::Tag::kActivation));
  TIERLIB_RETURN_IF_ERROR(
      op.Launch("causal mask", {.writes = {&fresh}}, host::CausalMask,
                host::CausalMaskArguments{.length = length, .mask = static_cast<bool*>(fresh.data())}));
  mask = fresh;
  return fresh;
}

StatusOr<Value> Composed(Op& op, const Value& q, const Value& k, const Value& v, double dropout, std::uint64_t seed,
                         std::uint64_t counter) {
  const Scope scope(op.tape(), "attention");
  TIERLIB_ASSIGN_OR_RETURN(const Tensor mask, CausalMask(op, q.sizes()[2]));
  const double scale = 1 / std::sqrt(static_cast<double>(q.sizes()[3]));
  const Value scores = MulScalar(MatMul(q, Transpose(k)), scale);
  const Value probabilities = Softmax(MaskedFill(scores, mask, -std::numeric_limits<double>::infinity()), -1);
  return MatMul(Dropout(probabilities, dropout, seed, counter), v);
}

bool HasUnitLastStride(const Tensor& x) { return x.sizes()[3] <= 1 || x.layout().strides[3] == 1; }

// The kernel needs the elements of a row side by side.
StatusOr<Tensor> Readable(const Launcher& launcher, const Tensor& x) {
  if (HasUnitLastStride(x)) return x;
  return launcher.RowMajor(x);
}

host::AttentionSource Read(const Tensor& x) {
  return {x.data(), x.layout().strides[0], x.layout().strides[1], x.layout().strides[2]};
}
host::AttentionTarget Write(const Tensor& x) {
  return {x.data(), x.layout().strides[0], x.layout().strides[1], x.layout().strides[2]};
}

struct Slots {
  int q = -1;
  int k = -1;
  int v = -1;
  int output = -1;
  int log_sum_exp = -1;
};

Status FusedBackward(BackwardPass& pass, const host::AttentionShape& shape, const Slots& slots) {
  const int inputs[3] = {slots.q, slots.k, slots.v};
  Tensor x[3];
  Tensor dx[3];
  for (int i = 0; i < 3; ++i) {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor saved, pass.Unpack(inputs[i]));
    TIERLIB_ASSIGN_OR_RETURN(x[i], Readable(pass, saved));
  }
  TIERLIB_ASSIGN_OR_RETURN(const Tensor output, pass.Unpack(slots.output));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor log_sum_exp, pass.Unpack(slots.log_sum_exp));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor dy, Readable(pass, pass.gradient()));
  for (int i = 0; i < 3; ++i) {
    // The kernel writes all three; what nobody wants goes to memory of its own.
    if (pass.wants(i)) {
      TIERLIB_ASSIGN_OR_RETURN(dx[i], pass.NewGradient(i));
    }
    if (!dx[i].defined() || !HasUnitLastStride(dx[i])) {
      TIERLIB_ASSIGN_OR_RETURN(dx[i], pass.New(x[i].dtype(), x[i].sizes()));
    }
  }
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, pass.Workspace(host::AttentionBackwardWorkspaceBytes(shape)));
  Operands operands{.reads = {&x[0], &x[1], &x[2], &output, &log_sum_exp, &dy}, .writes = {&dx[0], &dx[1], &dx[2]}};
  if (workspace.defined()) operands.writes.push_back(&workspace);
  TIERLIB_RETURN_IF_ERROR(pass.Launch("attention gradient", operands, host::AttentionBackward,
                                      host::AttentionBackwardArguments{.shape = shape,
                                                                       .q = Read(x[0]),
                                                                       .k = Read(x[1]),
                                                                       .v = Read(x[2]),
                                                                       .out = Read(output),
                                                                       .log_sum_exp = log_sum_exp.data(),
                                                                       .dout = Read(dy),
                                                                       .dq = Write(dx[0]),
                                                                       .dk = Write(dx[1]),
                                                                       .dv = Write(dx[2]),
                                                                       .workspace = AddressOrNull(workspace)}));
  for (int i = 0; i < 3; ++i) TIERLIB_RETURN_IF_ERROR(pass.Give(i, std::move(dx[i])));
  return OkStatus();
}

StatusOr<Value> Fused(Op& op, const Value& q, const Value& k, const Value& v, double dropout, std::uint64_t seed,
                      std::uint64_t counter) {
  const Dims& sizes = q.sizes();
  if (sizes[3] > host::kMaxAttentionHeadSize) {
    return InvalidArgumentError("head size " + std::to_string(sizes[3]) + ": the fused form takes at most " +
                                std::to_string(host::kMaxAttentionHeadSize) + ", the composed form any");
  }
  host::AttentionShape shape;
  shape.dtype = q.dtype();
  shape.batch = sizes[0];
  shape.heads = sizes[1];
  shape.length = sizes[2];
  shape.head_size = sizes[3];
  shape.scale = 1 / std::sqrt(static_cast<double>(sizes[3]));
  shape.dropout = dropout;
  shape.seed = seed;
  shape.counter = counter;
  // Stored as [B, T, H, D]: what follows, Reshape(Transpose(y, 1, 2), [B, T, H D]), is then a view.
  TIERLIB_ASSIGN_OR_RETURN(const Tensor stored, op.New(q.dtype(), {sizes[0], sizes[2], sizes[1], sizes[3]}));
  Tensor y = stored.WithLayout(TransposeLayout(stored.layout(), 1, 2));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor log_sum_exp,
                           op.New(host::ComputeType(q.dtype()), {sizes[0], sizes[1], sizes[2]}));
  Slots slots;
  slots.q = op.Save(q.tensor(), "q");
  slots.k = op.Save(k.tensor(), "k");
  slots.v = op.Save(v.tensor(), "v");
  TIERLIB_ASSIGN_OR_RETURN(const Tensor rows_q, Readable(op, q.tensor()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor rows_k, Readable(op, k.tensor()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor rows_v, Readable(op, v.tensor()));
  TIERLIB_RETURN_IF_ERROR(op.Launch("attention", {.reads = {&rows_q, &rows_k, &rows_v}, .writes = {&y, &log_sum_exp}},
                                    host::AttentionForward,
                                    host::AttentionForwardArguments{.shape = shape,
                                                                    .q = Read(rows_q),
                                                                    .k = Read(rows_k),
                                                                    .v = Read(rows_v),
                                                                    .out = Write(y),
                                                                    .log_sum_exp = log_sum_exp.data()}));
  slots.output = op.Save(y, "output");
  slots.log_sum_exp = op.Save(log_sum_exp, "log_sum_exp");
  return op.Record(std::move(y), [shape, slots](BackwardPass& pass) { return FusedBackward(pass, shape, slots); });
}

}  // namespace

Value CausalAttention(const Value& q, const Value& k, const Value& v, AttentionForm form, double dropout,
                      std::uint64_t seed, std::uint64_t counter) {
  return RunOp("attention", {&q, &k, &v}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(CheckArguments(q, k, v, dropout));
    if (form == AttentionForm::kComposed) return Composed(op, q, k, v, dropout, seed, counter);
    return Fused(op, q, k, v, dropout, seed, counter);
  });
}

}  // namespace tierlib::autograd
