// Block: a live block or a hole of a pool's address range.
#ifndef TIERLIB_SRC_ALLOCATOR_BLOCK_H_
#define TIERLIB_SRC_ALLOCATOR_BLOCK_H_

#include <cstddef>
#include <cstdint>

#include "allocator/stream_clocks.h"
#include "trace/event.h"

namespace tierlib {

struct HoleLeaf;

// On two cache lines: what a search and a neighbour look at, and the stamp.
struct alignas(64) Block {
  std::size_t offset = 0;
  std::size_t bytes = 0;  // whole units
  std::size_t asked = 0;  // of these, what was asked for; of live blocks
  Block* previous = nullptr;
  Block* next = nullptr;
  HoleLeaf* leaf = nullptr;  // of a hole: where the index of holes has it
  std::uint32_t slot = 0;
  bool live = false;
  trace::Tag tag = trace::Tag::kNone;
  bool unsettled = false;   // BlockList will look whether it is a hole whose work has not ended
  std::uint64_t owner = 0;  // of a live block: who has it, 0 for nobody
  // When it may be touched; while live, what it was ordered after when it was handed out. A free only raises it: the
  // streams that it names need not have waited for any of that.
  StreamClocks::Stamp stamp;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_BLOCK_H_
