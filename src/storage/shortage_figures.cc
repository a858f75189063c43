#include "storage/shortage_figures.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "tierlib/bytes.h"
#include "trace/event.h"

namespace tierlib {

void SortByBytes(std::vector<Shortage::Holder>& holders) {
  std::stable_sort(holders.begin(), holders.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
}

namespace {

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
    case Shortage::Reason::kOtherDevices:
      shortage.more_capacity = pool.more_capacity;
      SetLessLive(pool.least, shortage);
      break;
    case Shortage::Reason::kDeviceMemory: SetLessLive(pool.least_reserved, shortage); break;
    case Shortage::Reason::kTagLimit: {
      if (!pool.fits) break;  // the tier has no room for it either
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

Shortage::Reason ReasonOf(const PoolShortfall& pool) {
  if (pool.rounded > pool.tag_room) return Shortage::Reason::kTagLimit;
  if (pool.fits) return Shortage::Reason::kDeviceMemory;
  if (pool.rounded <= pool.capacity - pool.live) return Shortage::Reason::kFragmentation;
  return Shortage::Reason::kCapacity;
}

void SetPoolFigures(const PoolShortfall& pool, const TierStatistics& figures, Shortage& shortage) {
  shortage.capacity = pool.capacity;
  shortage.live = pool.live;
  const std::uint64_t taken = pool.live + shortage.other_devices;
  shortage.free = pool.capacity - std::min<std::uint64_t>(pool.capacity, taken);
  shortage.largest_hole = pool.largest_hole;
  shortage.pending = pool.pending;
  for (const PoolShortfall::Pin& pin : pool.pins) shortage.streams.push_back({pin.stream, pin.bytes});
  for (const TagStatistics& tag : figures.tags) {
    if (tag.live + tag.waste > 0) shortage.tags.push_back({tag.tag, tag.live + tag.waste});
  }
  SortByBytes(shortage.tags);
  shortage.reserved = figures.reserved;
  if (shortage.reason == Shortage::Reason::kTagLimit) shortage.tag_limit = pool.tag_limit;
  SetLeastChange(pool, shortage);
  shortage.advice = Advice(shortage);
}

}  // namespace tierlib
