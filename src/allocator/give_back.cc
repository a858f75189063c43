#include "allocator/give_back.h"

#include <algorithm>

#include "absl/functional/function_ref.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

std::size_t Reserved(const MemorySource& source) { return source.grown() - source.absent(); }

// Has `give` give back the upper `length` bytes of a range of `bytes`, for growing lengths, until at least `wanted`
// went: only the source knows where its pieces begin. Returns what went.
std::size_t FromTheTop(std::size_t bytes, std::size_t wanted, MemorySource& source,
                       absl::FunctionRef<bool(std::size_t length)> give) {
  const std::size_t before = Reserved(source);
  std::size_t length = std::min(bytes, std::max<std::size_t>(wanted, MiB(2)));
  while (give(length) && before - Reserved(source) < wanted && length < bytes) {
    length = length > bytes / 2 ? bytes : 2 * length;
  }
  return before - Reserved(source);
}

}  // namespace

std::size_t GiveBack(const BlockList& blocks, const GiveBackLimits& limits, StreamClocks& clocks,
                     MemorySource& source) {
  if (limits.bytes == 0) return 0;
  const auto may_go = [&](const StreamClocks::Stamp& stamp) {
    return clocks.Reached(stamp) || (limits.waits && clocks.Synchronize(stamp).ok());
  };
  std::size_t gone = 0;
  const std::size_t unused = source.grown() - blocks.extent();
  if (unused > 0 && may_go(blocks.unused_stamp())) {
    // The segment gets shorter as it goes, so the length is counted from where its end was.
    const std::size_t end = source.grown();
    gone += FromTheTop(unused, limits.bytes, source,
                       [&](std::size_t length) { return source.Shrink(length - (end - source.grown())).ok(); });
  }
  for (const Block* hole = blocks.last(); hole != nullptr && gone < limits.bytes; hole = hole->previous) {
    if (hole->live || hole->bytes == source.AbsentIn(hole->offset, hole->bytes) || !may_go(hole->stamp)) continue;
    const std::size_t end = hole->offset + hole->bytes;
    gone += FromTheTop(hole->bytes, limits.bytes - gone, source,
                       [&](std::size_t length) { return source.Discard(end - length, length).ok(); });
  }
  return gone;
}

PoolFreeBytes CountFree(BlockList& blocks, std::size_t live, const StreamClocks& clocks, const MemorySource& source) {
  const bool has_absent = source.absent() > 0;
  const auto present = [&](std::size_t offset, std::size_t bytes) {
    return has_absent ? bytes - source.AbsentIn(offset, bytes) : bytes;
  };
  const std::size_t unused = present(blocks.extent(), source.grown() - blocks.extent());
  PoolFreeBytes free;
  if (!clocks.Reached(blocks.unused_stamp())) free.pending = unused;
  blocks.ForEachPending([&](const Block& hole) { return clocks.Reached(hole.stamp); },
                        [&](const Block& hole) { free.pending += present(hole.offset, hole.bytes); });
  // Blocks tile what has grown, and no live one lacks memory: what is not live is free.
  const std::size_t all = Reserved(source) - live;
  free.cached = all - free.pending;
  std::size_t largest = unused;
  if (!has_absent) {
    largest = std::max(largest, blocks.largest_hole());
  } else if (largest < all) {
    blocks.holes().ForEachLarger(
        largest, [&](const Block& hole) { largest = std::max(largest, present(hole.offset, hole.bytes)); });
  }
  free.scattered = all - largest;
  return free;
}

}  // namespace tierlib
