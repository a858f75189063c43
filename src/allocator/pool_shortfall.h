// PoolShortfall: why a pool has no room for a block, and the least that would have had to be different.
//
// Thread-safety: as BlockPool. Each function looks at every block of the pool, so it is for pools that are full.
#ifndef TIERLIB_SRC_ALLOCATOR_POOL_SHORTFALL_H_
#define TIERLIB_SRC_ALLOCATOR_POOL_SHORTFALL_H_

#include <array>
#include <cstddef>
#include <vector>

#include "allocator/block_list.h"
#include "allocator/block_pool.h"
#include "tierlib/stream.h"
#include "trace/event.h"

namespace tierlib {

// The range of at least a given size in which the fewest bytes are live: what would have to be freed for a block of
// that size to fit, were nothing else to change.
struct LeastRange {
  bool found = false;  // false where not even the whole tier is that large
  std::size_t live = 0;
  std::array<std::size_t, trace::kTagCount> tags{};  // of them
};
// `unused` bytes lie behind the last block.
LeastRange FindLeastRange(const BlockList& blocks, std::size_t unused, std::size_t bytes);

struct PoolShortfall {
  std::size_t rounded = 0;  // what a block of the size asked for takes
  std::size_t capacity = 0;
  std::size_t live = 0;  // rounded
  std::size_t largest_hole = 0;
  bool fits = false;  // at its alignment, into what is free within the capacity
  std::size_t tag_limit = 0;
  std::size_t tag_room = 0;       // what that leaves
  std::size_t more_capacity = 0;  // that would have made room for it; 0: there is room
  LeastRange least;
  LeastRange least_reserved;  // the same within what has been reserved already
  std::size_t pending = 0;    // free bytes that work enqueued before they were freed may still use
  struct Pin {
    Stream stream;
    std::size_t bytes = 0;
  };
  std::vector<Pin> pins;  // by whose work; bytes that several streams hold count for each
};
// `alignment`: as BlockPool::Allocate has it. For one beyond the pool's own, `least` is that of a range which holds the
// block wherever it begins.
PoolShortfall ExplainShortfall(BlockPool& pool, std::size_t bytes, trace::Tag tag, std::size_t alignment = 1);

// True where a block of `bytes` is beyond the limit of its tag.
bool IsBeyondTagLimit(BlockPool& pool, std::size_t bytes, trace::Tag tag);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_POOL_SHORTFALL_H_
