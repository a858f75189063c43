// SavedStore: announcing a write, and what it does to the values saved before it.
//
// Values of the storage that lie on its own device bytes become unreadable, as they would be without offload. Copies on
// the host stay what they are: other storages may be made again from them. What could be made again only from the
// device bytes is made now, before they change.
#include <string>
#include <utility>
#include <vector>

#include "graph/saved_store.h"

namespace tierlib {

Status SavedStore::CheckNoCopyOut(const Snapshot& snapshot, const Storage& storage) const {
  for (const HostPiece& piece : snapshot.host) {
    if (piece.arrival->ended) continue;
    return FailedPreconditionError("write to " + DescribeStorage(storage.id, storage.label) + " while version " +
                                   std::to_string(storage.version) + " of it, saved as '" + snapshot.label +
                                   "', is being copied to the host: wait for it (write_waits) or write elsewhere");
  }
  return OkStatus();
}

Status SavedStore::FenceWrite(const Snapshot& snapshot, const Storage& storage, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(storage.device));
  for (const MarkRef& replay : snapshot.replays) {
    if (replay->stream == stream) continue;
    const MarkRef before = tier->stalls->Before(stream);
    TIERLIB_RETURN_IF_ERROR(tier->events->WaitOn(stream, *replay));
    ++ledger_.stalls;
    tier->stalls->After(before, {storage.id, storage.label, storage.trace_label}, trace::StallCause::kWriteFence);
  }
  for (const HostPiece& piece : snapshot.host) {
    if (piece.arrival->ended) continue;
    const MarkRef before = tier->stalls->Before(stream);
    TIERLIB_ASSIGN_OR_RETURN(const bool waits, tier->transfers->WaitOn(stream, piece.arrival));
    if (waits) ++ledger_.stalls;
    tier->stalls->After(before, {storage.id, storage.label, storage.trace_label}, trace::StallCause::kWriteFence);
  }
  return OkStatus();
}

Status SavedStore::RescueDependents(Snapshot& snapshot, Stream stream) {
  const auto dependents = snapshot.dependents;
  for (const std::weak_ptr<Snapshot>& one : dependents) {
    const std::shared_ptr<Snapshot> dependent = one.lock();
    if (dependent == nullptr || dependent->source.get() != &snapshot || dependent->written_version != 0) continue;
    if (snapshot.host_bytes.Contains(dependent->recipe.front().from_bytes())) continue;
    std::shared_ptr<DeviceBuffer> made = dependent->buffer;  // held, so that it is not given up meanwhile
    if (made == nullptr) {
      made = dependent->original.lock();
      if (made != nullptr && !made->adopted()) {  // its own bytes are there
        Keep(*dependent, made);
      } else {
        TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
        const auto attempt = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return RunRecipe(dependent, stream); };
        TIERLIB_ASSIGN_OR_RETURN(made, WhileRoomIsMade(*tier, attempt));
      }
    }
    if (dependent->source.get() != &snapshot) continue;  // another thread did the same while a callback ran
    dependent->recipe.clear();
    dependent->source.reset();
    dependent->residence.MoveTo(Residency::kDevice, dependent->key.storage, made->bytes(), recorder());
    made.reset();
    if (options_.policy == OffloadPolicy::kAll) (void)Evict(*dependent);  // where the host is full it stays
  }
  return OkStatus();
}

Status SavedStore::BeginWrite(StorageId id, Stream stream) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  Locked lock(*this);
  Poll();
  TIERLIB_ASSIGN_OR_RETURN(Storage * storage, table_.Find(id));
  TIERLIB_RETURN_IF_ERROR(CheckStream(stream, storage->device));
  const ContentKey content = {id, storage->version};
  const std::vector<std::shared_ptr<Snapshot>> snapshots = SnapshotsOf(content);
  if (!options_.write_waits) {
    for (const auto& snapshot : snapshots) TIERLIB_RETURN_IF_ERROR(CheckNoCopyOut(*snapshot, *storage));
  }
  lineage_.Forget(content);  // first: from now on nothing more is to be made from it
  for (const auto& snapshot : snapshots) TIERLIB_RETURN_IF_ERROR(RescueDependents(*snapshot, stream));
  TIERLIB_ASSIGN_OR_RETURN(storage, table_.Find(id));  // a replay may have called us
  for (const auto& snapshot : snapshots) TIERLIB_RETURN_IF_ERROR(FenceWrite(*snapshot, *storage, stream));
  for (const auto& snapshot : snapshots) {
    snapshot->written_version = content.version + 1;
    snapshot->original.reset();
    if (snapshot->buffer == nullptr || snapshot->buffer->data() != storage->buffer->data()) continue;
    LetGo(*snapshot);
    const Residency state = snapshot->residence.state();
    if (state == Residency::kBoth || state == Residency::kReplayed) {
      snapshot->residence.MoveTo(state == Residency::kBoth ? Residency::kHost : Residency::kReplayable, id,
                                 storage->bytes, recorder());
    }
  }
  storage->version = content.version + 1;
  storage->buffer->UsedOn(stream);
  trace::Write(recorder(), trace::Event::kStorageWrite, trace::Tag::kNone, 0, storage->trace_label, id.ToInteger(),
               storage->version);
  return OkStatus();
}

}  // namespace tierlib
