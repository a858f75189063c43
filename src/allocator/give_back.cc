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

PoolFreeBytes CountFree(const BlockList& blocks, const StreamClocks& clocks, const MemorySource& source) {
  PoolFreeBytes free;
  std::size_t largest = 0;
  const bool has_absent = source.absent() > 0;
  const auto count = [&](std::size_t offset, std::size_t bytes, const StreamClocks::Stamp& stamp) {
    if (has_absent) bytes -= source.AbsentIn(offset, bytes);
    (clocks.Reached(stamp) ? free.cached : free.pending) += bytes;
    largest = std::max(largest, bytes);
  };
  count(blocks.extent(), source.grown() - blocks.extent(), blocks.unused_stamp());
  blocks.holes().ForEach([&](const Block& hole) { count(hole.offset, hole.bytes, hole.stamp); });
  free.scattered = free.cached + free.pending - largest;
  return free;
}

}  // namespace tierlib
