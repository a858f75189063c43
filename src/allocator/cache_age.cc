#include "allocator/cache_age.h"

#include <algorithm>
#include <new>

namespace tierlib {

bool CacheAge::MakeRoom(std::size_t end) {
  try {
    used_.reserve(std::max((end - 1) / kChunk + 1, 2 * used_.capacity()));
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

std::size_t CacheAge::GiveBack(std::int64_t now_ns, const BlockList& blocks, const StreamClocks& clocks,
                               MemorySource& source) {
  const std::size_t before = source.grown() - source.absent();
  if (looked_) {
    if (!clocks.Reached(freed_)) return 0;
    GiveBackRange(blocks.extent(), source.grown(), source);
    for (const Block* block = blocks.last(); block != nullptr; block = block->previous) {
      if (!block->live) GiveBackRange(block->offset, block->offset + block->bytes, source);
    }
  }
  Look(now_ns, blocks);
  return before - (source.grown() - source.absent());
}

void CacheAge::GiveBackRange(std::size_t begin, std::size_t end, MemorySource& source) const {
  const auto is_old = [this](std::size_t chunk) { return chunk >= used_.size() || used_[chunk] == 0; };
  for (std::size_t high = end; high > begin;) {
    std::size_t low = high;
    while (low > begin && is_old((low - 1) / kChunk)) low = std::max(begin, (low - 1) / kChunk * kChunk);
    if (low == high) {
      high = std::max(begin, (high - 1) / kChunk * kChunk);
      continue;
    }
    // What fails stays, and is tried again when it is looked at next.
    if (high == source.grown()) (void)source.Shrink(high - low);
    if (low < source.grown()) (void)source.Discard(low, std::min(high, source.grown()) - low);
    high = low;
  }
}

void CacheAge::Look(std::int64_t now_ns, const BlockList& blocks) {
  looked_ = false;  // a stamp may need memory: where there is none, this look never was
  freed_ = blocks.unused_stamp();
  std::fill(used_.begin(), used_.end(), false);
  for (const Block* block = blocks.last(); block != nullptr; block = block->previous) {
    if (block->live) {
      NoteUse(block->offset, block->bytes);
    } else {
      StreamClocks::Join(freed_, block->stamp);
    }
  }
  looked_ = true;
  looked_ns_ = now_ns;
}

}  // namespace tierlib
