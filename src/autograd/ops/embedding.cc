// Embedding: saves the indices.
#include "autograd/kernels/embedding.h"

#include <utility>

#include "autograd/op.h"
#include "autograd/shape.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

struct TableShape {
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;
  std::int64_t count = 0;
};

Status EmbeddingBackward(BackwardPass& pass, const TableShape& shape, int slot) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor saved, pass.Unpack(slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor indices, pass.RowMajor(saved));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor dy, pass.RowMajor(pass.gradient()));
  TIERLIB_ASSIGN_OR_RETURN(Tensor dtable, pass.NewRowMajorGradient(0));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace,
                           pass.Workspace(host::EmbeddingBackwardWorkspaceBytes(shape.vocabulary, shape.count)));
  Operands operands{.reads = {&indices, &dy}, .writes = {&dtable}};
  if (workspace.defined()) operands.writes.push_back(&workspace);
  TIERLIB_RETURN_IF_ERROR(
      pass.Launch("embedding gradient", operands, host::EmbeddingBackward,
                  host::EmbeddingBackwardArguments{.dtype = dy.dtype(),
                                                   .vocabulary = shape.vocabulary,
                                                   .width = shape.width,
                                                   .count = shape.count,
                                                   .indices = static_cast<const std::int32_t*>(indices.data()),
                                                   .dy = dy.data(),
                                                   .dtable = dtable.data(),
                                                   .workspace = AddressOrNull(workspace)}));
  return pass.Give(0, std::move(dtable));
}

}  // namespace

Value Embedding(const Value& table, const Tensor& indices) {
  return RunOp("embedding", {&table}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(RequireFloat({&table}));
    if (table.sizes().rank() != 2) {
      return InvalidArgumentError("table " + SizesText(table.sizes()) + ": it must be [vocabulary, width]");
    }
    if (!indices.defined() || indices.dtype() != DType::kI32 || indices.sizes().rank() == Dims::kMaxRank) {
      return InvalidArgumentError("indices " + (indices.defined() ? indices.layout().ToString() : "undefined") +
                                  ": they must be i32 of rank 7 at most");
    }
    const TableShape shape{table.sizes()[0], table.sizes()[1], indices.elements()};
    Dims sizes = indices.sizes();
    sizes.push_back(shape.width);
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(table.dtype(), sizes));
    const int slot = op.Save(indices, "indices");
    TIERLIB_ASSIGN_OR_RETURN(const Tensor rows, op.RowMajor(table.tensor()));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor numbers, op.RowMajor(indices));
    TIERLIB_RETURN_IF_ERROR(
        op.Launch("embedding", {.reads = {&rows, &numbers}, .writes = {&y}}, host::EmbeddingForward,
                  host::EmbeddingForwardArguments{.dtype = table.dtype(),
                                                  .vocabulary = shape.vocabulary,
                                                  .width = shape.width,
                                                  .count = shape.count,
                                                  .table = rows.data(),
                                                  .indices = static_cast<const std::int32_t*>(numbers.data()),
                                                  .y = y.data()}));
    return op.Record(std::move(y), [shape, slot](BackwardPass& pass) { return EmbeddingBackward(pass, shape, slot); });
  });
}

}  // namespace tierlib::autograd
