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
namespace {

// It cannot be made again any more, and nobody will read it.
bool IsGone(const Snapshot& snapshot) {
  if (!snapshot.unreadable.ok()) return true;
  return snapshot.buffer == nullptr && snapshot.source != nullptr && IsGone(*snapshot.source);
}

}  // namespace

Status SavedStore::CheckNoCopyOut(const Snapshot& snapshot, const Storage& storage) const {
  for (const HostPiece& piece : snapshot.host) {
    if (piece.arrival->ended) continue;
    return FailedPreconditionError("write to " + DescribeStorage(storage.id, storage.label) + " while version " +
                                   std::to_string(storage.version) + " of it, saved as '" + snapshot.label +
                                   "', is being copied to the host: wait for it (write_waits) or write elsewhere");
  }
  return OkStatus();
}

// Values that were dropped count: what copies and replays of them read may not change under them. A replay's result may
// still be leased.
Status SavedStore::FenceWrite(const Storage& storage, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(storage.device));
  const auto wait = [&](auto&& insert) -> Status {
    const MarkRef before = tier->stalls->Before(stream);
    TIERLIB_ASSIGN_OR_RETURN(const bool waits, insert());
    if (waits) ++ledger_.stalls;
    tier->stalls->After(before, {storage.id, storage.label, storage.trace_label}, trace::StallCause::kWriteFence);
    return OkStatus();
  };
  for (const MarkRef& reader : storage.readers) {
    if (reader->stream == stream) continue;
    TIERLIB_RETURN_IF_ERROR(wait([&]() -> StatusOr<bool> {
      Status waits = tier->events->WaitOn(stream, *reader);
      if (!waits.ok()) return waits;
      return true;
    }));
  }
  const TransferRef copy = tier->transfers->LastCopyOut(storage.id);
  return copy == nullptr ? OkStatus() : wait([&] { return tier->transfers->WaitOn(stream, copy); });
}

Status SavedStore::RescueDependents(Snapshot& snapshot, Stream stream) {
  const auto dependents = snapshot.dependents;
  for (const std::weak_ptr<Snapshot>& one : dependents) {
    const std::shared_ptr<Snapshot> dependent = one.lock();
    if (dependent == nullptr || dependent->source.get() != &snapshot || dependent->written_version != 0) continue;
    if (dependent->residence.state() == Residency::kLost) continue;
    if (snapshot.host_bytes.Contains(dependent->recipe.front().from_bytes())) continue;
    std::shared_ptr<DeviceBuffer> made = dependent->buffer;  // held, so that it is not given up meanwhile
    if (made == nullptr) {
      made = dependent->original.lock();
      if (made != nullptr && !made->adopted()) {  // its own bytes are there
        Keep(*dependent, made);
      } else {
        TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(snapshot.device));
        const auto attempt = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return RunRecipe(dependent, stream); };
        StatusOr<std::shared_ptr<DeviceBuffer>> again = WhileRoomIsMade(*tier, attempt);
        if (!again.ok() && IsGone(*dependent)) continue;
        TIERLIB_ASSIGN_OR_RETURN(made, std::move(again));
      }
    }
    if (dependent->source.get() != &snapshot) continue;  // another thread did the same while a callback ran
    made.reset();
    StandAlone(*dependent);
  }
  return OkStatus();
}

void SavedStore::StandAlone(Snapshot& snapshot) {
  snapshot.recipe.clear();
  snapshot.source.reset();
  snapshot.residence.MoveTo(Residency::kDevice, snapshot.key.storage, snapshot.buffer->bytes(), recorder());
  if (options_.policy == OffloadPolicy::kAll) (void)Evict(snapshot);  // where the host is full it stays
}

void SavedStore::MarkWritten(Snapshot& snapshot) {
  snapshot.written_version = snapshot.key.version + 1;
  snapshot.original.reset();
  snapshot.former.reset();
  NoteGoneForPeak(snapshot);
  const bool on_own_bytes = snapshot.buffer != nullptr && snapshot.reload == nullptr && snapshot.replayed == nullptr;
  if (!on_own_bytes) return;
  LetGo(snapshot);
  const Residency state = snapshot.residence.state();
  if (state == Residency::kBoth || state == Residency::kReplayed) {
    snapshot.residence.MoveTo(state == Residency::kBoth ? Residency::kHost : Residency::kReplayable,
                              snapshot.key.storage, snapshot.storage_bytes, recorder());
  }
}

Status SavedStore::BeginWrite(StorageId id, Stream stream) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  Locked lock(*this);
  Poll();
  TIERLIB_ASSIGN_OR_RETURN(Storage * storage, table_.Find(id));
  TIERLIB_RETURN_IF_ERROR(CheckStream(stream, storage->device));
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tier, FindTier(storage->device));
  TIERLIB_RETURN_IF_ERROR(tier->transfers->FlushBatchOf(id));  // what is refused now is not for ever
  const ContentKey content = {id, storage->version};
  const std::vector<std::shared_ptr<Snapshot>> snapshots = SnapshotsOf(content);
  if (!options_.write_waits) {
    for (const auto& snapshot : snapshots) TIERLIB_RETURN_IF_ERROR(CheckNoCopyOut(*snapshot, *storage));
  }
  lineage_.ForgetEdges(content);  // first: from now on nothing more is to be made from it
  for (const auto& snapshot : snapshots) TIERLIB_RETURN_IF_ERROR(RescueDependents(*snapshot, stream));
  TIERLIB_ASSIGN_OR_RETURN(storage, table_.Find(id));  // a replay may have called us
  TIERLIB_RETURN_IF_ERROR(FenceWrite(*storage, stream));
  // While a callback ran, another thread may have saved more of it, or have written it.
  for (const auto& snapshot : SnapshotsOf({id, storage->version})) MarkWritten(*snapshot);
  lineage_.ForgetRecomputation({id, storage->version});
  ++storage->version;
  storage->announced = true;
  storage->buffer->UsedOn(stream);
  trace::Write(recorder(), trace::Event::kStorageWrite, trace::Tag::kNone, 0, storage->trace_label, id.ToInteger(),
               storage->version);
  return OkStatus();
}

}  // namespace tierlib
