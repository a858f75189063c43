// SavedStore: what there is to say about a request for device memory that failed.
#include "absl/container/flat_hash_set.h"
#include "allocator/pool_shortfall.h"
#include "graph/saved_store.h"
#include "storage/shortage_figures.h"

namespace tierlib {
namespace {

constexpr std::size_t kLabels = 8;

// The device's own allocator tells of no holes: what is free counts as one.
PoolShortfall ShortfallOf(const DirectPool& direct, const RoomRequest& request) {
  const TierStatistics figures = direct.statistics();
  PoolShortfall shortfall;
  shortfall.rounded = direct.Rounded(request.bytes);
  shortfall.capacity = figures.capacity;
  shortfall.live = figures.live + figures.waste;
  shortfall.largest_hole = figures.capacity - shortfall.live;
  shortfall.tag_room = direct.RoomOfTag(request.tag);
  shortfall.tag_limit = direct.LimitOfTag(request.tag);
  shortfall.fits = shortfall.rounded <= shortfall.largest_hole;
  if (!shortfall.fits) {
    shortfall.more_capacity = shortfall.rounded - shortfall.largest_hole;
    shortfall.least.found = shortfall.rounded <= shortfall.capacity;
    shortfall.least.live = shortfall.more_capacity;
  }
  return shortfall;
}

}  // namespace

Shortage SavedStore::Explain(const RoomRequest& request) const {
  const DeviceTier& tier = request.tier;
  const bool direct = tier.direct != nullptr;
  const PoolShortfall pool = direct ? ShortfallOf(*tier.direct, request)
                                    : ExplainShortfall(*tier.pool, request.bytes, request.tag, request.alignment);
  const TierStatistics figures = direct ? tier.direct->statistics() : tier.pool->statistics();
  Shortage shortage;
  shortage.reason = request.from_program ? Shortage::Reason::kProgramAllocator : ReasonOf(pool);
  shortage.device_name = tier.backend->info().name;
  shortage.device = tier.options.device;
  shortage.tag = trace::TagName(request.tag);
  shortage.asked = request.bytes;
  if (request.alignment > tier.backend->info().alignment) shortage.alignment = request.alignment;
  for (const auto& label : table_.LargestLabels(kLabels)) shortage.labels.push_back({label.label, label.bytes});
  absl::flat_hash_set<const void*> counted;  // several values may lie on the bytes of one storage
  for (const auto& [order, snapshot] : holding_) {
    const std::shared_ptr<DeviceBuffer>& buffer = snapshot->buffer;
    if (snapshot->device != shortage.device || !counted.insert(buffer->data()).second) continue;
    shortage.saved += buffer->bytes();
    if (buffer.use_count() != 1) shortage.leased += buffer->bytes();
  }
  SetPoolFigures(pool, figures, shortage);
  return shortage;
}

std::optional<Shortage> SavedStore::LastShortage(int device, Tier tier) const {
  const StatusOr<DeviceTier*> found = FindTier(device);
  if (!found.ok()) return std::nullopt;
  if (tier != Tier::kDevice) return (*found)->last_host_shortage(tier);
  Locked lock(*this);
  return (*found)->last_shortage;
}

Shortages SavedStore::shortages() const {
  Locked lock(*this);
  Shortages sum;
  for (const auto& tier : tiers_) {
    sum.polls += tier->shortages.polls;
    sum.evictions += tier->shortages.evictions;
    sum.evicted_bytes += tier->shortages.evicted_bytes;
    sum.waits += tier->shortages.waits;
    sum.wait_ns += tier->shortages.wait_ns;
    sum.failures += tier->shortages.failures;
  }
  return sum;
}

}  // namespace tierlib
