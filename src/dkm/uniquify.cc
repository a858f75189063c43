#include "dkm/uniquify.h"

#include <atomic>
#include <optional>
#include <string>
#include <utility>

#include "autograd/context.h"

namespace tierlib::dkm {

using autograd::Context;
using autograd::EncodedValue;
using autograd::Launcher;
using autograd::Tensor;

namespace {

host::KeyedWeights KeyedBy(const Tensor& w) { return {w.elements(), ElementBytes(w.dtype()), w.data()}; }

// [N, k] or its transpose, as the storage has it.
std::optional<host::MapShape> ShapeOver(std::int64_t weights, const Layout& layout) {
  if (layout.rank() != 2) return std::nullopt;
  const int rows = layout.sizes[0] == weights ? 0 : 1;
  if (layout.sizes[rows] != weights) return std::nullopt;
  const std::size_t element = ElementBytes(layout.dtype);
  if (element < 2) return std::nullopt;
  return host::MapShape{weights, layout.sizes[1 - rows], layout.strides[rows], layout.strides[1 - rows], element};
}

struct Table : EncodedValue {
  host::MapShape shape;
  Layout layout;  // of the map's storage
  std::int64_t distinct = 0;
  StoredTensor rows;    // [distinct, columns]
  StoredTensor keys;    // u16 [distinct]
  StoredTensor weight;  // [N, 1]

  StatusOr<Tensor> Decode(const Launcher& backward) const override {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor w, weight.Load(backward));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor key_values, keys.Load(backward));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor table, rows.Load(backward));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, backward.Workspace(host::kKeys * sizeof(std::uint16_t)));
    TIERLIB_ASSIGN_OR_RETURN(Tensor map,
                             autograd::AllocateTensor(backward.context(), layout.dtype, layout.sizes, Holds::kTransient,
                                                      backward.label() + ".map", trace::Tag::kReload));
    const host::TableArguments table_of{shape, KeyedBy(w), distinct,
                                        static_cast<const std::uint16_t*>(key_values.data()), workspace.data()};
    TIERLIB_RETURN_IF_ERROR(
        backward.Launch("place rows", {.reads = {&w, &key_values, &table}, .writes = {&workspace, &map}},
                        host::PlaceRows, host::PlaceRowsArguments{table_of, table.data(), map.data()}));
    return map;
  }
};

}  // namespace

Uniquifier::Uniquifier(Tensor w, const Sharding& sharding, bool weight_is_free)
    : w_(std::move(w)), sharding_(sharding), weight_is_free_(weight_is_free) {}

host::KeyedWeights Uniquifier::weights() const { return KeyedBy(w_); }

Status Uniquifier::Examine(const Launcher& op) {
  if (examined_) return OkStatus();
  examined_ = true;
  const std::size_t element = ElementBytes(w_.dtype());
  if ((element != 2 && element != 4) || w_.elements() == 0) return OkStatus();
  TIERLIB_ASSIGN_OR_RETURN(const Tensor keys, op.New(DType::kU16, {host::kKeys}));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor first, op.New(DType::kI64, {host::kKeys}));
  const auto found = std::make_shared<host::DistinctFound>();
  const host::FindDistinctArguments arguments{weights(), static_cast<std::uint16_t*>(keys.data()),
                                              static_cast<std::int64_t*>(first.data()), found.get()};
  TIERLIB_RETURN_IF_ERROR(op.Launch("find distinct", {.reads = {&w_}, .writes = {&keys, &first}},
                                    [found, arguments](KernelContext& kernel) { FindDistinct(kernel, arguments); }));
  const Context::State& state = op.context().state();
  TIERLIB_RETURN_IF_ERROR(state.runtime->Synchronize(state.stream));
  distinct_ = found->count;
  if (distinct_ == 0) return OkStatus();
  // The values go to the host as a tensor of their own size; the first positions are needed here alone.
  TIERLIB_ASSIGN_OR_RETURN(keys_, op.New(DType::kU16, {distinct_}));
  TIERLIB_RETURN_IF_ERROR(op.Launch("copy keys", {.reads = {&keys}, .writes = {&keys_}},
                                    [from = static_cast<const std::uint16_t*>(keys.data()), count = distinct_,
                                     to = static_cast<std::uint16_t*>(keys_.data())](KernelContext&) {
                                      for (std::int64_t u = 0; u < count; ++u) to[u] = from[u];
                                    }));
  first_ = first;
  return OkStatus();
}

StatusOr<std::shared_ptr<const EncodedValue>> Uniquifier::Encode(const Launcher& op, const Tensor& tensor,
                                                                 std::string_view label) {
  const std::shared_ptr<const EncodedValue> none;
  const std::optional<host::MapShape> shape = ShapeOver(w_.elements(), tensor.layout());
  if (!shape || tensor.storage() == w_.storage()) return none;
  TIERLIB_RETURN_IF_ERROR(Examine(op));
  const auto element = static_cast<std::int64_t>(shape->element_bytes);
  const std::int64_t list_bytes = weight_is_free_ ? 0 : w_.layout().logical_bytes();
  const std::int64_t table_bytes = distinct_ * (shape->columns * element + 2);
  if (distinct_ == 0 || table_bytes + list_bytes >= tensor.layout().logical_bytes()) return none;

  TIERLIB_ASSIGN_OR_RETURN(const Tensor rows, op.New(tensor.dtype(), {distinct_, shape->columns}));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, op.Workspace(host::kKeys * sizeof(std::uint16_t)));
  const auto differs = std::make_shared<std::atomic<bool>>(false);
  host::TakeRowsArguments take;
  take.table_of = {*shape, weights(), distinct_, static_cast<const std::uint16_t*>(keys_.data()), workspace.data()};
  take.first = static_cast<const std::int64_t*>(first_.data());
  take.map = tensor.data();
  take.table = rows.data();
  take.differs = differs.get();
  TIERLIB_RETURN_IF_ERROR(op.Launch("take rows",
                                    {.reads = {&w_, &keys_, &first_, &tensor}, .writes = {&rows, &workspace}},
                                    [take, differs](KernelContext& kernel) { TakeRows(kernel, take); }));
  const Context::State& state = op.context().state();
  TIERLIB_RETURN_IF_ERROR(state.runtime->Synchronize(state.stream));
  if (differs->load(std::memory_order_relaxed)) return none;

  auto table = std::make_shared<Table>();
  table->shape = *shape;
  table->layout = Layout::Contiguous(tensor.dtype(), {tensor.elements()});
  table->distinct = distinct_;
  const std::string name(label);
  TIERLIB_ASSIGN_OR_RETURN(table->rows, StoredTensor::Store(op, rows, sharding_, name + ".table"));
  TIERLIB_ASSIGN_OR_RETURN(table->keys, StoredTensor::Store(op, keys_, sharding_, name + ".keys"));
  // A parameter stays on the device, whole: there is nothing to share.
  const bool stays = weight_is_free_ && w_.handle()->holds == Holds::kPersistent;
  TIERLIB_ASSIGN_OR_RETURN(table->weight,
                           StoredTensor::Store(op, w_, stays ? Sharding() : sharding_, name + ".weight"));
  return std::shared_ptr<const EncodedValue>(std::move(table));
}

}  // namespace tierlib::dkm
