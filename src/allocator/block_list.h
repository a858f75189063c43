// BlockList: the live blocks and the holes that tile a tier's address range up to its extent. Bookkeeping alone: it
// asks no device and no source, and knows addresses as offsets.
//
//   I1  blocks tile [0, extent) without gap or overlap, in whole units
//   I2  no two neighbours are both free, and the last block is live: what is free behind it belongs to the unused end
//   I3  every hole is in the index of holes, and nothing else is
//
// Thread-safety: none; the pool locks.
#ifndef TIERLIB_SRC_ALLOCATOR_BLOCK_LIST_H_
#define TIERLIB_SRC_ALLOCATOR_BLOCK_LIST_H_

#include <cstddef>
#include <deque>
#include <vector>

#include "allocator/block.h"
#include "allocator/hole_index.h"
#include "allocator/stream_clocks.h"
#include "base/round_up.h"

namespace tierlib {

class BlockList {
 public:
  explicit BlockList(std::size_t unit) : unit_(unit) {}  // REQUIRES: a power of two

  // The hole with the lowest address that holds `bytes` at a multiple of `alignment`, whatever its address; null where
  // there is none. REQUIRES: both are whole units, the alignment a power of two; offsets are aligned as addresses are.
  Block* FindHole(std::size_t bytes, std::size_t alignment) const {
    return holes_.FindLowest(bytes + (alignment - unit_));
  }
  // The hole that covers `offset`; null where none does.
  Block* HoleAt(std::size_t offset) const { return holes_.FindCovering(offset); }
  // A part of a hole becomes a live block, at the first multiple of `alignment`; the rest on both sides stays holes.
  Block* Carve(Block* hole, std::size_t bytes, std::size_t alignment) {
    return CarveAt(hole, RoundUpTo(hole->offset, alignment), bytes);
  }
  // The same at `offset`. REQUIRES: the hole has those bytes.
  Block* CarveAt(Block* hole, std::size_t offset, std::size_t bytes);
  // Where Append would put a block, and where that would end.
  std::size_t NextOffset(std::size_t alignment) const { return RoundUpTo(extent_, alignment); }
  // A live block behind the extent; what alignment leaves between becomes a hole.
  Block* Append(std::size_t bytes, std::size_t alignment) { return AppendAt(NextOffset(alignment), bytes); }
  // The same at `offset`. REQUIRES: it is not below the extent.
  Block* AppendAt(std::size_t offset, std::size_t bytes);
  // Puts a live block back: joined with its free neighbours, as a hole or as a part of the unused end.
  void GiveBack(Block* block);

  std::size_t extent() const { return extent_; }
  std::size_t largest_hole() const { return holes_.largest(); }
  // When the unused end may be touched.
  const StreamClocks::Stamp& unused_stamp() const { return unused_stamp_; }
  // The block with the highest address; null where there is none. Its `previous` leads to the others.
  const Block* last() const { return last_; }
  const HoleIndex& holes() const { return holes_; }
  // Aborts naming the invariant that does not hold. For tests.
  void CheckInvariants() const;

 private:
  Block* TakeNode();
  // A block behind `block` takes what is beyond its first `bytes` bytes. The index of holes is the caller's.
  Block* CutBehind(Block* block, std::size_t bytes);
  // Joins a block with the one behind it. The index of holes is the caller's.
  void JoinNext(Block* block);

  const std::size_t unit_;
  std::deque<Block> nodes_;    // never shrinks
  std::vector<Block*> spare_;  // nodes not in use
  HoleIndex holes_;
  Block* last_ = nullptr;
  std::size_t extent_ = 0;
  StreamClocks::Stamp unused_stamp_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_BLOCK_LIST_H_
