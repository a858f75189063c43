// SavedStore: the store that a captured step has of its own, and what it shares with that of its runtime.
//
// Nothing of a capture is known to the runtime's store: its events are none that anybody may wait for outside, its
// memory is the graph's, and its decisions are made once. So a captured step has a store to itself. It borrows storages
// of the runtime, which stay on the device as long as the graph is there: moving them frees nothing.
#include <utility>

#include "base/fork_mark.h"
#include "graph/ledger_sum.h"
#include "graph/saved_store.h"

namespace tierlib {

StatusOr<std::shared_ptr<SavedStore>> SavedStore::CreateForCapture(const Options& options,
                                                                   std::unique_ptr<DeviceBackend> device,
                                                                   DeviceTier::GivenMemory memory,
                                                                   std::uint32_t first_slot) {
  const auto destroy = [](SavedStore* gone) { gone->fork_.in_child() ? LeaveBehind(std::move(gone)) : delete gone; };
  std::shared_ptr<SavedStore> store(new SavedStore(options, nullptr, /*is_captured=*/true), destroy);
  {
    Locked lock(*store);
    store->table_ = StorageTable(first_slot);
  }
  TIERLIB_RETURN_IF_ERROR(
      store->AddTier(options.devices.front(), std::move(device), DeviceTier::PoolSettings(), std::move(memory)));
  return store;
}

StatusOr<SavedStore::Lent> SavedStore::Lend(StorageId id) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  Locked lock(*this);
  TIERLIB_ASSIGN_OR_RETURN(const Storage* storage, table_.Find(id));
  return Lent{storage->buffer->data(), storage->bytes, storage->device, storage->label, storage->buffer};
}

bool SavedStore::Has(StorageId id) {
  Locked lock(*this);
  return table_.Find(id).ok();
}

void SavedStore::NoteLaunch(const Ledger& booked, absl::Span<const StorageId> uses, Stream stream) {
  Locked lock(*this);
  launched_ = Sum(launched_, booked);
  const StatusOr<DeviceTier*> tier = FindTier(stream.device);
  const MarkRef launched = tier.ok() && !uses.empty() ? (*tier)->events->MarkOrWait(stream) : nullptr;
  for (const StorageId id : uses) {
    const StatusOr<Storage*> storage = table_.Find(id);
    if (!storage.ok()) continue;
    (*storage)->buffer->UsedOn(stream);
    if (launched != nullptr) (*storage)->NoteReader(launched);
  }
}

}  // namespace tierlib
