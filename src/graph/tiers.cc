// SavedStore: what its tiers hold, where their time went, and giving back what they do not use.
#include <algorithm>
#include <string_view>
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

void Accumulate(TierStatistics& sum, const TierStatistics& part, const PoolFreeBytes& free) {
  sum.capacity += part.capacity;
  sum.reserved += part.reserved;
  sum.locked += part.locked;
  sum.live += part.live;
  sum.waste += part.waste;
  sum.cached += free.cached;
  sum.pending += free.pending;
  sum.scattered += free.scattered;
  sum.live_peak += part.live_peak;
  sum.live_peak_ns = std::max(sum.live_peak_ns, part.live_peak_ns);
  sum.extent_peak += part.extent_peak;
  for (const TagStatistics& tag : part.tags) AccumulateTag(sum.tags, tag);
}

void Accumulate(TierStatistics& sum, BlockPool& pool) { Accumulate(sum, pool.statistics(), pool.FreeBytes()); }

void Accumulate(TierStatistics& sum, const DirectPool& pool) {
  const TierStatistics part = pool.statistics();
  Accumulate(sum, part, {part.cached});
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

}  // namespace

void SavedStore::TrimToBounds() {
  for (const auto& tier : tiers_) {
    for (BlockPool* pool : tier->HostPools()) pool->TrimToBounds(NowNs());
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

void SavedStore::FillTierStatistics(Statistics& statistics) const {
  for (const auto& tier : tiers_) {
    if (tier->direct != nullptr) {
      Accumulate(statistics.device, *tier->direct);
    } else {
      Accumulate(statistics.device, *tier->pool);
    }
    Accumulate(statistics.pinned, *tier->pinned);
    Accumulate(statistics.pageable, *tier->pageable);
    if (tier->file != nullptr) Accumulate(statistics.file, *tier->file);
    Accumulate(statistics.fallbacks, tier->fallbacks());
  }
}

}  // namespace tierlib
