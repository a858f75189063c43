#include "storage/host_shortage.h"

#include <algorithm>

#include "allocator/pool_shortfall.h"
#include "allocator/shared_limit.h"
#include "storage/device_tier.h"
#include "storage/shortage_figures.h"

namespace tierlib {
namespace {

// The limit may leave less than the pool's own figures say, which are those of all of it. Sets what that changes, and
// `other_devices`; returns whether it is what stood in the way.
bool NarrowToLimit(const DeviceTier& device, Tier tier, const TierStatistics& own, PoolShortfall& pool,
                   Shortage& shortage) {
  const SharedLimit* const limit = device.shared_limits[static_cast<std::size_t>(tier)].get();
  if (limit == nullptr) return false;
  for (const DeviceTier* const other : device.others) {
    shortage.other_devices += other->PoolOf(tier)->statistics().reserved;
  }
  const std::uint64_t left = limit->left();
  const std::uint64_t free = own.reserved - pool.live + left;
  pool.largest_hole = static_cast<std::size_t>(std::min<std::uint64_t>(pool.largest_hole, free));
  if (!pool.fits || pool.rounded <= left) return false;
  pool.fits = false;
  pool.more_capacity = pool.rounded - static_cast<std::size_t>(left);
  pool.least = pool.least_reserved;
  return true;
}

}  // namespace

Shortage ExplainHostShortage(const DeviceTier& device, const HostRequest& request) {
  BlockPool& host = *device.PoolOf(request.tier);
  PoolShortfall pool = ExplainShortfall(host, request.bytes, request.tag, request.alignment);
  const TierStatistics figures = host.statistics();
  Shortage shortage;
  shortage.tier = request.tier;
  shortage.device_name = device.backend->info().name;
  shortage.device = device.options.device;
  shortage.tag = trace::TagName(request.tag);
  shortage.asked = request.bytes;
  if (request.alignment > device.backend->info().alignment) shortage.alignment = request.alignment;
  const bool narrowed = NarrowToLimit(device, request.tier, figures, pool, shortage);
  shortage.reason = ReasonOf(pool);
  if (narrowed && shortage.reason != Shortage::Reason::kTagLimit) {
    const std::uint64_t taken = std::min(pool.capacity, pool.live + static_cast<std::size_t>(shortage.other_devices));
    const bool enough = pool.rounded <= pool.capacity - taken;
    shortage.reason = enough ? Shortage::Reason::kFragmentation : Shortage::Reason::kOtherDevices;
  }
  SetPoolFigures(pool, figures, shortage);
  return shortage;
}

}  // namespace tierlib
