// SavedStore: the program's own versions of its storages, and writes that only they tell of.
//
// Such a write came at an unknown time after the program last vouched for the content, so a copy that had not ended by
// then may be torn. Values of the content itself are unreadable, as they would be without offload. What others are made
// from is held to more: bytes on the host serve for that only where they are vouched for, and what was made again from
// the storage's own bytes is made once more.
#include <algorithm>
#include <string>
#include <vector>

#include "graph/saved_store.h"

namespace tierlib {
namespace {

// The program says that nobody has written yet.
void Vouch(Snapshot& snapshot) {
  for (HostPiece& piece : snapshot.host) {
    if (piece.arrival->ended && piece.arrival->status.ok()) piece.vouched = true;
  }
}

// What was saved is there, or can be made again, whatever became of the storage's own bytes.
bool IsWholeWithoutDevice(const Snapshot& snapshot) {
  if (!snapshot.recipe.empty()) return true;
  return snapshot.host_bytes.Contains(snapshot.needed) &&
         std::all_of(snapshot.host.begin(), snapshot.host.end(), [](const HostPiece& piece) { return piece.vouched; });
}

}  // namespace

Status SavedStore::SeeVersion(Storage& storage, std::optional<std::uint64_t> version) {
  if (!version) return OkStatus();
  if (storage.program_version && *version < *storage.program_version) {
    return FailedPreconditionError(DescribeStorage(storage.id, storage.label) + " is at version " +
                                   std::to_string(*version) + ", it was said, and it was at version " +
                                   std::to_string(*storage.program_version) + " before: versions only rise");
  }
  const bool moved = storage.program_version && *version > *storage.program_version;
  if (moved && !storage.announced) NoteUnannouncedWrite({storage.id, storage.version}, *version);
  storage.program_version = version;
  storage.announced = false;
  if (const std::shared_ptr<Snapshot> snapshot = FindSnapshot({storage.id, storage.version})) {
    snapshot->program_version = version;
    Vouch(*snapshot);
  }
  return OkStatus();
}

Status SavedStore::CheckVersion(const internal::SavedValue& value, std::uint64_t version) {
  Snapshot& snapshot = *value.snapshot;
  const std::string name = DescribeStorage(snapshot.key.storage, snapshot.label);
  if (!value.version) {
    return InvalidArgumentError(name + " was saved without a version: there is none to compare version " +
                                std::to_string(version) + " with");
  }
  if (version == *value.version) {
    if (snapshot.written_version == 0) Vouch(snapshot);
    return OkStatus();
  }
  if (version < *value.version) {
    return FailedPreconditionError(name + " was saved at version " + std::to_string(*value.version) +
                                   " and is at version " + std::to_string(version) +
                                   ", it was said: versions only rise");
  }
  if (snapshot.written_version == 0) NoteUnannouncedWrite(snapshot.key, version);
  return FailedPreconditionError(name + " was saved at version " + std::to_string(*value.version) +
                                 " and then written in place (version " + std::to_string(version) +
                                 "): what backward needs is gone");
}

void SavedStore::NoteUnannouncedWrite(const ContentKey& content, std::uint64_t version) {
  const std::vector<std::shared_ptr<Snapshot>> snapshots = SnapshotsOf(content);
  lineage_.Forget(content);
  for (const std::shared_ptr<Snapshot>& snapshot : snapshots) {
    MarkWritten(*snapshot);
    snapshot->written_program_version = version;
    if (!IsWholeWithoutDevice(*snapshot)) snapshot->unreadable = CheckReadable(*snapshot);
  }
  for (const std::shared_ptr<Snapshot>& snapshot : snapshots) DropReplays(*snapshot, !snapshot->unreadable.ok());
  const StatusOr<Storage*> storage = table_.Find(content.storage);
  if (!storage.ok() || (*storage)->version != content.version) return;  // retired, or written again since
  (*storage)->version = content.version + 1;
  (*storage)->program_version = version;
  trace::Write(recorder(), trace::Event::kStorageWrite, trace::Tag::kNone, 0, (*storage)->trace_label,
               content.storage.ToInteger(), (*storage)->version);
}

void SavedStore::DropReplays(const Snapshot& snapshot, bool lost) {
  const auto dependents = snapshot.dependents;
  for (const std::weak_ptr<Snapshot>& one : dependents) {
    const std::shared_ptr<Snapshot> dependent = one.lock();
    if (dependent == nullptr || dependent->source.get() != &snapshot || dependent->written_version != 0) continue;
    if (dependent->residence.state() == Residency::kLost) continue;
    std::shared_ptr<DeviceBuffer> own = dependent->replayed == nullptr ? dependent->buffer : nullptr;
    if (own == nullptr) own = dependent->original.lock();
    if (own != nullptr && own->adopted() && own != dependent->buffer) own = nullptr;  // nobody keeps it
    if (dependent->replayed != nullptr) {
      LetGo(*dependent);
      dependent->residence.MoveTo(Residency::kReplayable, dependent->key.storage, dependent->storage_bytes, recorder());
    }
    if (own == nullptr) {
      DropReplays(*dependent, lost);
    } else if (lost) {
      Keep(*dependent, own);
      own.reset();
      StandAlone(*dependent);
    }
  }
}

}  // namespace tierlib
