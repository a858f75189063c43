#include "storage/storage_table.h"

#include <algorithm>
#include <map>
#include <utility>

namespace tierlib {

std::string DescribeStorage(StorageId id, std::string_view label) {
  std::string text = "storage " + std::to_string(id.slot) + "." + std::to_string(id.generation);
  if (!label.empty()) text += " '" + std::string(label) + "'";
  return text;
}

Status NameStorage(Status status, StorageId id, std::string_view label) {
  if (status.code() != StatusCode::kUnavailable) return status;
  const std::string name = DescribeStorage(id, label);
  if (status.message().substr(0, name.size()) == name) return status;
  return UnavailableError(name + ": " + std::string(status.message()));
}

StorageId StorageTable::Register(Storage storage) {
  std::uint32_t slot;
  if (idle_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    if (idle_.capacity() <= slots_.size()) idle_.reserve(2 * slots_.size() + 8);
    slots_.emplace_back();
  } else {
    slot = idle_.back();
    idle_.pop_back();
  }
  Slot& place = slots_[slot];
  if (++place.generation == 0) ++place.generation;  // 0 means no storage
  place.live = true;
  place.storage = std::move(storage);
  place.storage.id = {first_slot_ + slot, place.generation};
  ++live_;
  return place.storage.id;
}

StatusOr<Storage*> StorageTable::Find(StorageId id) {
  const std::uint32_t slot = id.slot - first_slot_;
  if (!id.valid() || slot >= slots_.size() || !slots_[slot].live || slots_[slot].generation != id.generation) {
    return FailedPreconditionError(DescribeStorage(id, "") + " is not registered: retired, or of another runtime");
  }
  return &slots_[slot].storage;
}

StatusOr<Storage> StorageTable::Retire(StorageId id) {
  TIERLIB_RETURN_IF_ERROR(Find(id).status());
  Slot& place = slots_[id.slot - first_slot_];
  place.live = false;
  Storage storage = std::move(place.storage);
  place.storage = Storage();
  idle_.push_back(id.slot - first_slot_);
  --live_;
  return storage;
}

std::vector<StorageTable::LabelBytes> StorageTable::LargestLabels(std::size_t count) const {
  std::map<std::string, std::uint64_t> by_label;
  for (const Slot& slot : slots_) {
    if (slot.live) by_label[slot.storage.label] += slot.storage.bytes;
  }
  std::vector<LabelBytes> labels;
  for (const auto& [label, bytes] : by_label) labels.push_back({label, bytes});
  std::stable_sort(labels.begin(), labels.end(),
                   [](const LabelBytes& a, const LabelBytes& b) { return a.bytes > b.bytes; });
  if (labels.size() > count) labels.resize(count);
  return labels;
}

}  // namespace tierlib
