// SavedStore: what its tiers hold, where their time went, and giving back what they do not use.
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "graph/saved_store.h"

namespace tierlib {
namespace {

void AccumulateTag(std::vector<TagStatistics>& sums, const TagStatistics& part) {
  auto sum =
      std::find_if(sums.begin(), sums.end(), [&](const auto& each) { return std::string_view(each.tag) == part.tag; });
  if (sum == sums.end()) sum = sums.insert(sum, TagStatistics{part.tag, 0, 0, 0, 0});
  sum->blocks += part.blocks;
  sum->live += part.live;
  sum->waste += part.waste;
  sum->at_peak += part.at_peak;
}

// But for the capacity.
void Accumulate(TierStatistics& sum, const TierStatistics& part) {
  sum.reserved += part.reserved;
  sum.locked += part.locked;
  sum.live += part.live;
  sum.waste += part.waste;
  sum.cached += part.cached;
  sum.pending += part.pending;
  sum.scattered += part.scattered;
  sum.live_peak += part.live_peak;
  sum.live_peak_ns = std::max(sum.live_peak_ns, part.live_peak_ns);
  sum.extent_peak += part.extent_peak;
  for (const TagStatistics& tag : part.tags) AccumulateTag(sum.tags, tag);
}

void Accumulate(HostFallbacks& sum, const HostFallbacks& part) {
  sum.to_pageable += part.to_pageable;
  sum.to_pageable_bytes += part.to_pageable_bytes;
  sum.to_file += part.to_file;
  sum.to_file_bytes += part.to_file_bytes;
  sum.to_recompute += part.to_recompute;
  sum.to_recompute_bytes += part.to_recompute_bytes;
  sum.refused += part.refused;
  sum.refused_bytes += part.refused_bytes;
}

// Has pools give back what they cache beyond `bytes` in all; those that cache the most first.
void TrimTogether(std::vector<BlockPool*> pools, std::uint64_t bytes, std::int64_t now_ns) {
  std::uint64_t unused = 0;
  for (const BlockPool* pool : pools) {
    const TierStatistics now = pool->statistics();
    unused += now.reserved - now.live - now.waste;
  }
  if (unused <= bytes) return;
  std::vector<std::pair<std::uint64_t, BlockPool*>> cached;
  std::uint64_t sum = 0;
  for (BlockPool* pool : pools) {
    cached.emplace_back(pool->Snapshot().cached, pool);
    sum += cached.back().first;
  }
  std::stable_sort(cached.begin(), cached.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [own, pool] : cached) {
    if (sum <= bytes) return;
    sum -= std::min<std::uint64_t>(sum, pool->TrimToBounds(now_ns, own - std::min(own, sum - bytes)));
  }
}

}  // namespace

void SavedStore::TrimToBounds() {
  const std::int64_t now_ns = NowNs();
  for (const auto& tier : tiers_) {
    tier->pool->TrimToBounds(now_ns);
    for (BlockPool* pool : tier->HostPools()) pool->TrimToBounds(now_ns);
  }
  if (tiers_.size() == 1) return;
  for (const Tier tier : {Tier::kPinned, Tier::kPageable, Tier::kFile}) {
    std::vector<BlockPool*> pools;
    for (const auto& device : tiers_) {
      if (BlockPool* const pool = device->PoolOf(tier)) pools.push_back(pool);
    }
    TrimTogether(std::move(pools), options_.cached_limit, now_ns);
  }
}

std::uint64_t SavedStore::Trim(Tier tier, std::uint64_t bytes) {
  {
    Locked lock(*this);
    Poll();
  }
  std::uint64_t returned = 0;
  for (const auto& device : tiers_) {
    BlockPool* const pool = device->PoolOf(tier);
    if (pool != nullptr && returned < bytes) returned += pool->Trim(bytes - returned);
  }
  return returned;
}

void SavedStore::Follow(Stream stream) {
  Locked lock(*this);
  const StatusOr<DeviceTier*> tier = FindTier(stream.device);
  if (tier.ok()) (*tier)->time->Follow(stream);
}

void SavedStore::BeginStep(std::uint64_t number) {
  Locked lock(*this);
  reload_order_.BeginStep(next_pack_);
  for (const auto& watch : watches_) {
    if (watch != nullptr) watch->BeginStep();
  }
  for (const auto& tier : tiers_) tier->time->BeginStep(number);
}

void SavedStore::EndStep() {
  Locked lock(*this);
  for (const auto& watch : watches_) {
    if (watch != nullptr) watch->EndStep();
  }
  for (const auto& tier : tiers_) {
    (void)tier->transfers->FlushBatch();  // where that fails, whoever needs it tries again
    tier->time->EndStep();
  }
}

std::vector<DeviceTimes> SavedStore::times() {
  Locked lock(*this);
  Poll();
  std::vector<DeviceTimes> times;
  for (const auto& tier : tiers_) times.push_back(tier->time->times());
  return times;
}

std::vector<StorageStalls> SavedStore::StallsByStorage(int device) {
  if (fork_.in_child()) return {};
  Locked lock(*this);
  const StatusOr<DeviceTier*> tier = FindTier(device);
  if (!tier.ok()) return {};
  Poll();
  return (*tier)->time->StallsByStorage();
}

void SavedStore::FillTierStatistics(Statistics& statistics) const {
  for (const auto& tier : tiers_) {
    DeviceStatistics one;
    one.device = tier->options.device;
    one.memory = tier->direct != nullptr ? tier->direct->statistics() : tier->pool->Snapshot();
    one.pinned = tier->pinned->Snapshot();
    one.pageable = tier->pageable->Snapshot();
    if (tier->file != nullptr) one.file = tier->file->Snapshot();
    statistics.device.capacity += one.memory.capacity;
    statistics.pinned.capacity = one.pinned.capacity;  // over all devices, as those that follow
    statistics.pageable.capacity = one.pageable.capacity;
    statistics.file.capacity = one.file.capacity;
    Accumulate(statistics.device, one.memory);
    Accumulate(statistics.pinned, one.pinned);
    Accumulate(statistics.pageable, one.pageable);
    Accumulate(statistics.file, one.file);
    Accumulate(statistics.fallbacks, tier->fallbacks());
    statistics.devices.push_back(std::move(one));
  }
}

}  // namespace tierlib
