// GiveBack: returns free memory of a pool to its source, from the highest address down: first the unused end, then what
// lies between live blocks. Memory goes by whole pieces, as the source grew.
//
// Thread-safety: none; the pool locks.
#ifndef TIERLIB_SRC_ALLOCATOR_GIVE_BACK_H_
#define TIERLIB_SRC_ALLOCATOR_GIVE_BACK_H_

#include <cstddef>
#include <limits>

#include "allocator/block_list.h"
#include "allocator/block_pool.h"
#include "allocator/memory_source.h"
#include "allocator/stream_clocks.h"

namespace tierlib {

struct GiveBackLimits {
  std::size_t bytes = std::numeric_limits<std::size_t>::max();  // no more once this much went
  bool waits = false;  // for work that may still use the memory; otherwise such memory stays
};

// Returns the bytes that went: where a piece is larger than what was missing, more than `limits.bytes`.
std::size_t GiveBack(const BlockList& blocks, const GiveBackLimits& limits, StreamClocks& clocks, MemorySource& source);

// What a pool holds and has not handed out, in bytes: free ranges that have memory behind them.
struct PoolFreeBytes {
  std::size_t cached = 0;     // whose work has ended: any stream may have them at once
  std::size_t pending = 0;    // that work enqueued before they were freed may still use
  std::size_t scattered = 0;  // of both, what lies outside the largest free range
};

// `live`: bytes of the live blocks. Work counts as ended as far as StreamClocks::Poll has noticed. Looks at those holes
// alone that were free with work pending, or were made, since the last call; where memory was given back from between
// live blocks, also at those larger than the largest range that was found so far.
PoolFreeBytes CountFree(BlockList& blocks, std::size_t live, const StreamClocks& clocks, const MemorySource& source);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_GIVE_BACK_H_
