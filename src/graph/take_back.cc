// SavedStore: a value that was moved out, or that can be made again, whose own device memory is free and was handed out
// to nobody since: it is had back as it is, without a copy or a replay.
#include <memory>
#include <utility>

#include "graph/saved_store.h"

namespace tierlib {

// Not with checksums: they vouch for what was packed, not for what was on the device when its memory was let go.
bool SavedStore::TakesBack(int device) const {
  const DeviceOptions& options = (*FindTier(device))->options;
  return options_.mode == OffloadMode::kMarshal && !options_.checksums && options.takes_back && options.spare_bytes > 0;
}

std::shared_ptr<DeviceBuffer> SavedStore::TakeBack(Snapshot& snapshot, Stream stream) {
  if (!snapshot.may_be_taken_back()) return nullptr;
  DeviceTier& tier = **FindTier(snapshot.device);
  const std::uint64_t budget = tier.options.reload_budget;
  if (budget > 0 && reloaded_bytes_.load() + snapshot.storage_bytes > budget) return nullptr;
  std::unique_ptr<DeviceBuffer> block = snapshot.former->TakeBack(trace::Tag::kReload);
  if (block == nullptr) return nullptr;
  const std::shared_ptr<DeviceBuffer> buffer = Counted(std::move(block), stream);
  buffer->SetOwner(snapshot.key.storage);
  Hold(snapshot, buffer, ByteRanges({0, snapshot.storage_bytes}));
  snapshot.taken_back = true;
  ledger_.taken_back += snapshot.storage_bytes;
  trace::Write(recorder(), trace::Event::kTakeBack, trace::Tag::kReload, 0, snapshot.trace_label,
               snapshot.key.storage.ToInteger(), snapshot.storage_bytes);
  const Residency state = snapshot.residence.state();
  if (state == Residency::kHost || state == Residency::kReplayable) {
    snapshot.residence.MoveTo(state == Residency::kHost ? Residency::kBoth : Residency::kReplayed, snapshot.key.storage,
                              snapshot.storage_bytes, recorder());
  }
  return buffer;
}

}  // namespace tierlib
