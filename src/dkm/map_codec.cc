#include "dkm/map_codec.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "autograd/context.h"

namespace tierlib::dkm {

using autograd::Context;
using autograd::EncodedValue;
using autograd::Launcher;
using autograd::Tensor;

namespace {

// True where the layout reaches every element of a storage of `bytes` bytes once: a permutation of a row-major one.
bool ShowsAllOf(std::uint64_t bytes, const Layout& layout) {
  if (layout.offset_bytes != 0 || static_cast<std::uint64_t>(layout.logical_bytes()) != bytes) return false;
  std::vector<std::pair<std::int64_t, std::int64_t>> by_stride;
  for (int i = 0; i < layout.rank(); ++i) {
    if (layout.sizes[i] != 1) by_stride.emplace_back(layout.strides[i], layout.sizes[i]);
  }
  std::sort(by_stride.begin(), by_stride.end());
  std::int64_t expected = 1;
  for (const auto& [stride, size] : by_stride) {
    if (stride != expected) return false;
    expected *= size;
  }
  return true;
}

// A value that is stored as it is, but for what the other learners have.
struct Shared : EncodedValue {
  StoredTensor stored;
  StatusOr<Tensor> Decode(const Launcher& backward) const override { return stored.Load(backward); }
};

// A value that is made again from another.
struct Derived : EncodedValue {
  std::shared_ptr<const EncodedValue> source;
  Layout source_layout;
  Layout layout;
  Replay replay;

  StatusOr<Tensor> Decode(const Launcher& backward) const override {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor from, source->Decode(backward));
    Context& context = backward.context();
    const Dims elements{layout.elements()};
    TIERLIB_ASSIGN_OR_RETURN(const Tensor to,
                             autograd::AllocateTensor(context, layout.dtype, elements, Holds::kTransient,
                                                      backward.label() + ".replayed", trace::Tag::kReload));
    if (replay.kind == Replay::Kind::kCopy) {
      TIERLIB_RETURN_IF_ERROR(backward.Copy(from.WithLayout(source_layout), to.WithLayout(layout)));
    } else {
      TIERLIB_RETURN_IF_ERROR(
          replay.function({to.handle()->base, layout, from.handle()->base, source_layout, context.state().stream}));
    }
    return to;
  }
};

}  // namespace

MapCodec::MapCodec(const Context& context, const Tensor& w, bool uniquify, const Sharding& sharding)
    : sharding_(sharding) {
  const tierlib::Options& options = context.runtime().options();
  marshal_ = options.mode == OffloadMode::kMarshal;
  hop_limit_ = options.hop_limit;
  // Rows of more than one number are hardly ever equal.
  if (uniquify && w.sizes()[1] == 1 && w.layout().is_contiguous()) uniquifier_.emplace(w, sharding, marshal_);
}

void MapCodec::NoteDerived(const Tensor& derived, const Tensor& source, const Replay& replay) {
  if (!marshal_ || !ShowsAllOf(derived.handle()->bytes, derived.layout())) return;
  edges_[derived.storage()] = {source.storage(), source.layout(), derived.layout(), replay};
}

MapCodec::Encoded MapCodec::Find(StorageId storage, int hops) {
  if (const auto known = encoded_.find(storage); known != encoded_.end()) {
    if (Encoded encoded = known->second.lock()) return encoded;
  }
  const auto edge = edges_.find(storage);
  if (hops == 0 || edge == edges_.end()) return nullptr;
  Encoded source = Find(edge->second.source, hops - 1);
  if (source == nullptr) return nullptr;
  auto derived = std::make_shared<Derived>();
  derived->source = std::move(source);
  derived->source_layout = edge->second.source_layout;
  derived->layout = edge->second.derived_layout;
  derived->replay = edge->second.replay;
  return derived;
}

StatusOr<MapCodec::Encoded> MapCodec::EncodeBytes(const Launcher& op, const Tensor& tensor, std::string_view label) {
  if (uniquifier_) {
    TIERLIB_ASSIGN_OR_RETURN(Encoded table, uniquifier_->Encode(op, tensor, label));
    if (table != nullptr) return table;
  }
  const auto bytes = static_cast<std::uint64_t>(tensor.layout().logical_bytes());
  if (sharding_.learners == nullptr || bytes < sharding_.minimum_bytes) return Encoded();
  const Tensor flat = tensor.WithLayout(Layout::Contiguous(tensor.dtype(), {tensor.elements()}));
  auto shared = std::make_shared<Shared>();
  TIERLIB_ASSIGN_OR_RETURN(shared->stored, StoredTensor::Store(op, flat, sharding_, label));
  return Encoded(std::move(shared));
}

StatusOr<MapCodec::Encoded> MapCodec::Encode(const Launcher& op, const Tensor& tensor, std::string_view label) {
  const autograd::Tensor::Handle& handle = *tensor.handle();
  if (marshal_ && handle.holds == Holds::kPersistent) return Encoded();  // it stays where it is, whole
  if (!ShowsAllOf(handle.bytes, tensor.layout())) return Encoded();
  if (marshal_) {
    if (Encoded found = Find(tensor.storage(), hop_limit_)) return found;
  }
  TIERLIB_ASSIGN_OR_RETURN(Encoded encoded, EncodeBytes(op, tensor, label));
  if (encoded != nullptr && marshal_) encoded_[tensor.storage()] = encoded;
  return encoded;
}

}  // namespace tierlib::dkm
