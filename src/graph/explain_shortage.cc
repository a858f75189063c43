// SavedStore: what there is to say about a request for device memory that failed.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "allocator/pool_shortfall.h"
#include "graph/saved_store.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr std::size_t kLabels = 8;

Shortage::Reason ReasonOf(const RoomRequest& request, const PoolShortfall& pool) {
  if (request.from_program) return Shortage::Reason::kProgramAllocator;
  if (pool.rounded > pool.tag_room) return Shortage::Reason::kTagLimit;
  if (pool.rounded <= pool.largest_hole) return Shortage::Reason::kDeviceMemory;
  if (pool.rounded <= pool.capacity - pool.live) return Shortage::Reason::kFragmentation;
  return Shortage::Reason::kCapacity;
}

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
  if (shortfall.rounded > shortfall.largest_hole) {
    shortfall.more_capacity = shortfall.rounded - shortfall.largest_hole;
    shortfall.least.found = shortfall.rounded <= shortfall.capacity;
    shortfall.least.live = shortfall.more_capacity;
  }
  return shortfall;
}

void SortByBytes(std::vector<Shortage::Holder>& holders) {
  std::stable_sort(holders.begin(), holders.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
}

// Of the range in which the fewest bytes are live.
void SetLessLive(const LeastRange& least, Shortage& shortage) {
  if (!least.found) return;
  shortage.less_live = least.live;
  for (std::size_t i = 0; i < trace::kTagCount; ++i) {
    if (least.tags[i] > 0)
      shortage.less_live_tags.push_back({trace::TagName(static_cast<trace::Tag>(i)), least.tags[i]});
  }
  SortByBytes(shortage.less_live_tags);
}

void SetLeastChange(const PoolShortfall& pool, Shortage& shortage) {
  switch (shortage.reason) {
    case Shortage::Reason::kCapacity:
    case Shortage::Reason::kFragmentation:
      shortage.more_capacity = pool.more_capacity;
      SetLessLive(pool.least, shortage);
      break;
    case Shortage::Reason::kDeviceMemory: SetLessLive(pool.least_reserved, shortage); break;
    case Shortage::Reason::kTagLimit: {
      if (pool.rounded > pool.largest_hole) break;  // the tier has no room for it either
      shortage.more_capacity = pool.rounded - pool.tag_room;
      if (pool.rounded > shortage.tag_limit) break;
      shortage.less_live = shortage.more_capacity;
      shortage.less_live_tags = {{shortage.tag, shortage.less_live}};
      break;
    }
    case Shortage::Reason::kProgramAllocator: break;
  }
  shortage.least_change = std::max(shortage.more_capacity, shortage.less_live);
  for (const std::uint64_t change : {shortage.more_capacity, shortage.less_live}) {
    if (change > 0) shortage.least_change = std::min(shortage.least_change, change);
  }
}

std::string Advice(const Shortage& s) {
  std::vector<std::string> ways;
  if (s.more_capacity > 0) {
    ways.push_back(FormatBytes(s.more_capacity) +
                   (s.reason == Shortage::Reason::kTagLimit ? " more for its tag" : " more capacity"));
  }
  if (s.less_live > 0) {
    std::string way = FormatBytes(s.less_live) + (s.less_live_tags.empty() ? "" : " of ");
    for (std::size_t i = 0; i < s.less_live_tags.size(); ++i) way += (i == 0 ? "" : ", ") + s.less_live_tags[i].name;
    ways.push_back(way + " given up");
  }
  if (ways.empty()) return "";
  return "it would have fitted with " + ways.front() + (ways.size() > 1 ? ", or with " + ways.back() : "");
}

}  // namespace

Shortage SavedStore::Explain(const RoomRequest& request) const {
  const DeviceTier& tier = request.tier;
  const bool direct = tier.direct != nullptr;
  const PoolShortfall pool =
      direct ? ShortfallOf(*tier.direct, request) : ExplainShortfall(*tier.pool, request.bytes, request.tag);
  const TierStatistics figures = direct ? tier.direct->statistics() : tier.pool->statistics();
  Shortage shortage;
  shortage.reason = ReasonOf(request, pool);
  shortage.device_name = tier.backend->info().name;
  shortage.device = tier.options.device;
  shortage.tag = trace::TagName(request.tag);
  shortage.asked = request.bytes;
  shortage.capacity = pool.capacity;
  shortage.live = pool.live;
  shortage.free = pool.capacity - pool.live;
  shortage.largest_hole = pool.largest_hole;
  shortage.pending = pool.pending;
  for (const PoolShortfall::Pin& pin : pool.pins) shortage.streams.push_back({pin.stream, pin.bytes});
  for (const TagStatistics& tag : figures.tags) {
    if (tag.live + tag.waste > 0) shortage.tags.push_back({tag.tag, tag.live + tag.waste});
  }
  SortByBytes(shortage.tags);
  for (const auto& label : table_.LargestLabels(kLabels)) shortage.labels.push_back({label.label, label.bytes});
  absl::flat_hash_set<const void*> counted;  // several values may lie on the bytes of one storage
  for (const auto& [order, snapshot] : holding_) {
    const std::shared_ptr<DeviceBuffer>& buffer = snapshot->buffer;
    if (snapshot->device != shortage.device || !counted.insert(buffer->data()).second) continue;
    shortage.saved += buffer->bytes();
    if (buffer.use_count() != 1) shortage.leased += buffer->bytes();
  }
  shortage.reserved = figures.reserved;
  if (shortage.reason == Shortage::Reason::kTagLimit) shortage.tag_limit = pool.tag_limit;
  SetLeastChange(pool, shortage);
  shortage.advice = Advice(shortage);
  return shortage;
}

std::optional<Shortage> SavedStore::LastShortage(int device) const {
  Locked lock(*this);
  const StatusOr<DeviceTier*> tier = FindTier(device);
  return tier.ok() ? (*tier)->last_shortage : std::nullopt;
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
