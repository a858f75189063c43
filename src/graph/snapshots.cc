// SavedStore: the snapshots that there are, what they hold on the device, and which copies of them have ended.
#include <algorithm>
#include <utility>
#include <vector>

#include "graph/saved_store.h"

namespace tierlib {

std::shared_ptr<Snapshot> SavedStore::FindSnapshot(const ContentKey& key) const {
  const auto found = snapshots_.find(key);
  return found == snapshots_.end() ? nullptr : found->second.lock();
}

std::vector<std::shared_ptr<Snapshot>> SavedStore::SnapshotsOf(const ContentKey& key) const {
  std::vector<std::shared_ptr<Snapshot>> snapshots;
  if (std::shared_ptr<Snapshot> shared = FindSnapshot(key)) snapshots.push_back(std::move(shared));
  const auto apart = apart_.find(key);
  if (apart == apart_.end()) return snapshots;
  for (Snapshot* snapshot : apart->second) {
    if (std::shared_ptr<Snapshot> alive = snapshot->weak_from_this().lock()) snapshots.push_back(std::move(alive));
  }
  return snapshots;
}

std::shared_ptr<Snapshot> SavedStore::NewSnapshot(const Storage& storage, bool shared) {
  std::shared_ptr<Snapshot> snapshot(new Snapshot, [this](Snapshot* gone) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    ForgetSnapshot(gone);
    delete gone;
  });
  snapshot->key = {storage.id, storage.version};
  if (!storage.announced) snapshot->program_version = storage.program_version;
  snapshot->device = storage.device;
  snapshot->holds = storage.holds;
  snapshot->storage_bytes = storage.bytes;
  snapshot->label = storage.label;
  snapshot->trace_label = snapshot->saved_label = storage.trace_label;
  snapshot->pack_order = next_pack_++;
  snapshot->shared = shared;
  snapshot->original = storage.buffer;
  if (TakesBack(storage.device)) snapshot->former = storage.buffer->Former();
  snapshot->recomputation = lineage_.RecomputationOf(snapshot->key);
  if (prefetches_) reload_order_.Add(snapshot->pack_order, snapshot.get());
  if (shared) {
    snapshots_[snapshot->key] = snapshot;
  } else {
    apart_[snapshot->key].push_back(snapshot.get());
  }
  return snapshot;
}

void SavedStore::NoteSavedAgain(Snapshot& snapshot) {
  const bool held = holding_.erase(snapshot.pack_order) > 0;
  if (!held && !prefetches_) return;
  if (prefetches_) reload_order_.Remove(snapshot.pack_order);
  snapshot.pack_order = next_pack_++;
  if (prefetches_) reload_order_.Add(snapshot.pack_order, &snapshot);
  if (held) holding_[snapshot.pack_order] = &snapshot;
}

void SavedStore::ForgetSnapshot(Snapshot* snapshot) {
  LetGo(*snapshot);
  BookDropped(*snapshot);
  NoteGoneForPeak(*snapshot);
  reload_order_.Remove(snapshot->pack_order);
  if (!snapshot->shared) {
    const auto apart = apart_.find(snapshot->key);
    if (apart == apart_.end()) return;  // there was no memory to list it
    std::vector<Snapshot*>& others = apart->second;
    others.erase(std::remove(others.begin(), others.end(), snapshot), others.end());
    if (others.empty()) apart_.erase(apart);
    return;
  }
  const auto found = snapshots_.find(snapshot->key);
  if (found != snapshots_.end() && found->second.expired()) snapshots_.erase(found);
}

void SavedStore::DropSaved(std::shared_ptr<Snapshot> snapshot) {
  if (fork_.in_child()) return LeaveBehind(std::move(snapshot));
  Locked lock(*this);
  trace::Write(recorder(), trace::Event::kDrop, trace::Tag::kSaved, 0, snapshot->trace_label,
               snapshot->key.storage.ToInteger(), 0);
  snapshot.reset();
}

void SavedStore::SettleArrivals(Snapshot& snapshot) {
  if (snapshot.residence.state() != Residency::kLeaving) return;
  for (HostPiece& piece : snapshot.host) {
    if (!piece.arrival->ended) return;
    if (!piece.arrival->status.ok()) {
      if (snapshot.taken_back) return StayOnDevice(snapshot);
      if (snapshot.reload != nullptr) LetGo(snapshot);  // it came back from a copy that was not there
      snapshot.residence.MoveTo(Residency::kLost, snapshot.key.storage, snapshot.needed.bytes(), recorder());
      return;
    }
    NoteArrived(snapshot, piece);
    if (snapshot.residence.state() == Residency::kLost) return;
  }
  snapshot.residence.MoveTo(snapshot.buffer != nullptr ? Residency::kBoth : Residency::kHost, snapshot.key.storage,
                            snapshot.host_bytes.bytes(), recorder());
}

void SavedStore::StayOnDevice(Snapshot& snapshot) {
  snapshot.host.clear();
  snapshot.host_bytes = ByteRanges();
  snapshot.residence.MoveTo(Residency::kDevice, snapshot.key.storage, snapshot.storage_bytes, recorder());
}

void SavedStore::Poll() {
  for (const auto& tier : tiers_) {
    tier->transfers->Poll();
    tier->keepalives->Poll();
  }
  while (!leaving_.empty()) {
    const std::shared_ptr<Snapshot> snapshot = leaving_.front().lock();
    if (snapshot != nullptr) {
      SettleArrivals(*snapshot);
      if (snapshot->residence.state() == Residency::kLeaving) break;
    }
    leaving_.pop_front();
  }
  for (const auto& tier : tiers_) {
    tier->stalls->Poll();
    tier->time->Poll();
  }
}

void SavedStore::Hold(Snapshot& snapshot, std::shared_ptr<DeviceBuffer> buffer, ByteRanges bytes) {
  snapshot.buffer = std::move(buffer);
  snapshot.buffer_bytes = std::move(bytes);
  if (snapshot.holds == Holds::kTransient) holding_[snapshot.pack_order] = &snapshot;
  CountAway(snapshot);
}

void SavedStore::LetGo(Snapshot& snapshot) {
  DropPrefetched(snapshot);
  holding_.erase(snapshot.pack_order);
  snapshot.buffer.reset();
  snapshot.reload.reset();
  snapshot.replayed.reset();
  snapshot.taken_back = false;
  CountAway(snapshot);
}

void SavedStore::LetGoWithout(Snapshot& snapshot, const ByteRanges& bytes,
                              const std::shared_ptr<DeviceBuffer>& buffer) {
  if (snapshot.buffer == nullptr || snapshot.buffer_bytes.Contains(bytes)) return;
  const bool whole = snapshot.host_bytes.Contains(snapshot.needed);
  LetGo(snapshot);
  if (!whole) {
    Hold(snapshot, buffer, ByteRanges({0, snapshot.storage_bytes}));
  } else if (snapshot.residence.state() == Residency::kBoth) {
    snapshot.residence.MoveTo(Residency::kHost, snapshot.key.storage, bytes.bytes(), recorder());
  }
}

}  // namespace tierlib
