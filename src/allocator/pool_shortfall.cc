#include "allocator/pool_shortfall.h"

#include <algorithm>
#include <limits>

#include "allocator/shared_tag_limits.h"
#include "allocator/stream_clocks.h"

namespace tierlib {
namespace {

std::size_t Rounded(const BlockPool::Contents& pool, std::size_t bytes) {
  const std::size_t unit = pool.options.alignment;
  if (bytes == 0) return unit;
  return std::min(bytes, std::numeric_limits<std::size_t>::max() - unit) / unit * unit + (bytes % unit == 0 ? 0 : unit);
}

std::size_t RoomOfTag(const BlockPool::Contents& pool, trace::Tag tag) {
  const SharedTagLimits* const shared = pool.options.shared_tag_limits.get();
  return shared != nullptr ? shared->left(tag)
                           : pool.options.tag_limits[static_cast<std::size_t>(tag)] - pool.accounts.held(tag);
}

std::size_t LimitOfTag(const BlockPool::Contents& pool, trace::Tag tag) {
  const SharedTagLimits* const shared = pool.options.shared_tag_limits.get();
  return shared != nullptr ? shared->limit(tag) : pool.options.tag_limits[static_cast<std::size_t>(tag)];
}

void AddPin(std::vector<PoolShortfall::Pin>& pins, Stream stream, std::size_t bytes) {
  for (PoolShortfall::Pin& pin : pins) {
    if (pin.stream == stream) return void(pin.bytes += bytes);
  }
  pins.push_back({stream, bytes});
}

void CountPending(const BlockPool::Contents& pool, std::size_t bytes, const StreamClocks::Stamp& stamp,
                  PoolShortfall& shortfall) {
  if (bytes == 0 || pool.clocks.Reached(stamp)) return;
  shortfall.pending += bytes;
  pool.clocks.ForEachPending(stamp, [&](Stream stream) { AddPin(shortfall.pins, stream, bytes); });
}

}  // namespace

LeastRange FindLeastRange(const BlockList& blocks, std::size_t unused, std::size_t bytes) {
  // A window of whole blocks moves down the tier. For each lowest block it ends as low as its size allows: with more
  // blocks, no fewer bytes would be live.
  LeastRange least, window;
  std::size_t size = unused;
  const Block* high = nullptr;  // the highest block of the window; null: the unused end
  const auto add = [&window](const Block& block) {
    window.live += block.bytes;
    window.tags[static_cast<std::size_t>(block.tag)] += block.bytes;
  };
  const auto remove = [&window](const Block& block) {
    window.live -= block.bytes;
    window.tags[static_cast<std::size_t>(block.tag)] -= block.bytes;
  };
  for (const Block* low = blocks.last(); low != nullptr; low = low->previous) {
    size += low->bytes;
    if (low->live) add(*low);
    for (;;) {
      const std::size_t top = high == nullptr ? unused : high->bytes;
      if (size - top < bytes) break;
      size -= top;
      if (high != nullptr && high->live) remove(*high);
      high = high == nullptr ? blocks.last() : high->previous;
    }
    if (size < bytes || (least.found && window.live >= least.live)) continue;
    least = window;
    least.found = true;
  }
  return least;
}

PoolShortfall ExplainShortfall(BlockPool& pool, std::size_t bytes, trace::Tag tag, std::size_t alignment) {
  PoolShortfall shortfall;
  pool.Inspect([&](const BlockPool::Contents& contents) {
    const BlockList& blocks = contents.blocks;
    const std::size_t unused = contents.capacity - blocks.extent();
    shortfall.rounded = Rounded(contents, bytes);
    shortfall.capacity = contents.capacity;
    shortfall.live = contents.accounts.total().rounded;
    shortfall.largest_hole = std::max(blocks.largest_hole(), unused);
    shortfall.tag_limit = LimitOfTag(contents, tag);
    shortfall.tag_room = RoomOfTag(contents, tag);
    const std::size_t unit = contents.options.alignment;
    const std::size_t aligned = std::max(alignment, unit);
    // Behind the last block, with what alignment skips there.
    const std::size_t rounded = std::min(shortfall.rounded, std::numeric_limits<std::size_t>::max() - aligned);
    const std::size_t needed = blocks.NextOffset(aligned) - blocks.extent() + rounded;
    shortfall.fits = needed <= unused || blocks.FindHole(rounded, aligned) != nullptr;
    if (!shortfall.fits) shortfall.more_capacity = needed - unused;
    const std::size_t cached_end = contents.options.source->grown() - blocks.extent();
    const std::size_t range = rounded + (aligned - unit);
    shortfall.least = FindLeastRange(blocks, unused, range);
    shortfall.least_reserved = FindLeastRange(blocks, cached_end, range);
    contents.clocks.Poll();
    CountPending(contents, cached_end, blocks.unused_stamp(), shortfall);
    for (const Block* block = blocks.last(); block != nullptr; block = block->previous) {
      if (!block->live) CountPending(contents, block->bytes, block->stamp, shortfall);
    }
  });
  return shortfall;
}

bool IsBeyondTagLimit(BlockPool& pool, std::size_t bytes, trace::Tag tag) {
  bool beyond = false;
  pool.Inspect(
      [&](const BlockPool::Contents& contents) { beyond = Rounded(contents, bytes) > RoomOfTag(contents, tag); });
  return beyond;
}

}  // namespace tierlib
