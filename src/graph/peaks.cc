// SavedStore: telling the watches what the devices hold (graph/peak_watch.h).
#include <algorithm>
#include <utility>

#include "base/round_up.h"
#include "graph/saved_store.h"

namespace tierlib {

PeakWatch* SavedStore::WatchOf(int device) const {
  for (std::size_t i = 0; i < watches_.size(); ++i) {
    if (tiers_[i]->options.device == device) return watches_[i].get();
  }
  return nullptr;
}

std::uint64_t SavedStore::RoundedDevice(const DeviceTier& tier, std::uint64_t bytes) {
  if (tier.direct != nullptr) return tier.direct->Rounded(bytes);
  return RoundUpTo(std::max<std::size_t>(bytes, 1), tier.backend->info().alignment);
}

void SavedStore::NoteLive(const DeviceTier& tier) {
  if (PeakWatch* const watch = WatchOf(tier.options.device)) watch->NoteLive(tier.LiveBytes());
}

void SavedStore::NotePackedForPeak(Snapshot& snapshot, const DeviceBuffer& buffer, bool movable) {
  PeakWatch* const watch = WatchOf(snapshot.device);
  if (watch == nullptr) return;
  const DeviceTier& tier = **FindTier(snapshot.device);
  watch->NotePacked(snapshot.peak, RoundedDevice(tier, snapshot.storage_bytes), movable, snapshot.label);
  if (buffer.adopted() && buffer.has_keepalive()) watch->NoteHeld(snapshot.peak);
  CountAway(snapshot);
}

void SavedStore::NoteHeldAlone(Snapshot& snapshot) {
  PeakWatch* const watch = WatchOf(snapshot.device);
  if (watch == nullptr) return;
  watch->NoteHeld(snapshot.peak);
  CountAway(snapshot);
}

void SavedStore::NoteAskedForPeak(Snapshot& snapshot, const DeviceTier& tier) {
  if (PeakWatch* const watch = WatchOf(snapshot.device)) watch->NoteAsked(snapshot.peak, tier.LiveBytes());
}

void SavedStore::NoteGoneForPeak(Snapshot& snapshot) {
  if (PeakWatch* const watch = WatchOf(snapshot.device)) watch->NoteGone(snapshot.peak);
}

void SavedStore::CountAway(Snapshot& snapshot) {
  PeakWatch* const watch = WatchOf(snapshot.device);
  if (watch == nullptr || !snapshot.peak.held) return;
  const DeviceTier& tier = **FindTier(snapshot.device);
  const std::uint64_t whole = RoundedDevice(tier, snapshot.storage_bytes);
  // What the program gave the memory for, or gives back itself, does not count in the pool.
  const bool in_pool = snapshot.buffer != nullptr && snapshot.buffer->stream_ordered();
  const std::uint64_t there = in_pool ? RoundedDevice(tier, snapshot.buffer->bytes()) : 0;
  watch->SetAway(snapshot.peak, whole - std::min(whole, there));
}

std::vector<PeakStatistics> SavedStore::peaks() const {
  std::vector<PeakStatistics> peaks;
  if (fork_.in_child()) return peaks;
  Locked lock(*this);
  for (const auto& watch : watches_) {
    if (watch != nullptr) peaks.push_back(watch->statistics());
  }
  return peaks;
}

}  // namespace tierlib
