// BlockList: the live blocks and the holes that tile a tier's address range up to its extent. Bookkeeping alone: it
// asks no device and no source, and knows addresses as offsets.
//
//   I1  blocks tile [0, extent) without gap or overlap, in whole units
//   I2  no two neighbours are both free, and the last block is live: what is free behind it belongs to the unused end
//   I3  every hole is in the index of holes, and nothing else is
//   I4  what is not in use has room for every node, and so has the list of unsettled ones, and the index of holes for
//       every hole that they can make: giving a block back needs no memory
//   I5  a block is in the list of unsettled ones once where it says so, and not at all otherwise; so is every hole but
//       those that ForEachPending was told have ended
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

  // The hole with the lowest address that holds `bytes` at a multiple of `alignment`; null where there is none.
  // REQUIRES: both are whole units, the alignment a power of two; offsets are aligned as addresses are.
  Block* FindHole(std::size_t bytes, std::size_t alignment) const {
    return alignment == unit_ ? holes_.FindLowest(bytes) : holes_.FindLowestAligned(bytes, alignment);
  }
  // The hole that covers `offset`; null where none does.
  Block* HoleAt(std::size_t offset) const { return holes_.FindCovering(offset); }
  // Makes room for one of Carve, CarveAt, Append and AppendAt, which need no other memory but that of a stamp with many
  // clocks, and throw before they change anything where that is missing. False where memory is missing.
  bool Prepare() { return spare_.size() >= kNodesForOne || MakeNodes(); }
  // A part of a hole becomes a live block, at the first multiple of `alignment`; the rest on both sides stays holes.
  Block* Carve(Block* hole, std::size_t bytes, std::size_t alignment) {
    return CarveAt(hole, RoundUpTo(hole->offset, alignment), bytes);
  }
  // The same at `offset`. REQUIRES: prepared; the hole has those bytes.
  Block* CarveAt(Block* hole, std::size_t offset, std::size_t bytes);
  // Where Append would put a block, and where that would end.
  std::size_t NextOffset(std::size_t alignment) const { return RoundUpTo(extent_, alignment); }
  // A live block behind the extent; what alignment leaves between becomes a hole.
  Block* Append(std::size_t bytes, std::size_t alignment) { return AppendAt(NextOffset(alignment), bytes); }
  // The same at `offset`. REQUIRES: prepared; it is not below the extent.
  Block* AppendAt(std::size_t offset, std::size_t bytes);
  // Puts a live block back: joined with its free neighbours, as a hole or as a part of the unused end.
  void GiveBack(Block* block);

  // Calls pending(const Block&) for each hole of which ended(const Block&) is false. REQUIRES: what has ended has for
  // good, as far as the hole's stamp stays what it is. Looks at no hole twice that has: the price is that of the blocks
  // given back since the last call, and of the holes that were pending then.
  template <typename Ended, typename Pending>
  void ForEachPending(Ended&& ended, Pending&& pending) {
    std::size_t kept = 0;
    for (Block* const block : unsettled_) {
      const Block& hole = *block;
      block->unsettled = block->leaf != nullptr && !ended(hole);
      if (!block->unsettled) continue;
      pending(hole);
      unsettled_[kept++] = block;
    }
    unsettled_.resize(kept);
  }

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
  static constexpr std::size_t kNodesForOne = 2;  // a hole on one side, and a hole on the other or the block

  bool MakeNodes();
  // In the nodes that the next calls of TakeNode return.
  void MakeRoomForStamps(const StreamClocks::Stamp& stamp);
  Block* TakeNode() {
    Block* const node = spare_.back();
    spare_.pop_back();
    node->next = nullptr;
    node->live = false;
    return node;
  }
  void NoteUnsettled(Block* block) {
    if (block->unsettled) return;
    block->unsettled = true;
    unsettled_.push_back(block);
  }
  // A block behind `block` takes what is beyond its first `bytes` bytes. The index of holes is the caller's.
  Block* CutBehind(Block* block, std::size_t bytes);
  // Joins a block with the one behind it. The index of holes is the caller's.
  void JoinNext(Block* block);

  const std::size_t unit_;
  std::deque<Block> nodes_;    // never shrinks
  std::size_t room_ = 0;       // nodes that there is room for
  std::vector<Block*> spare_;  // nodes not in use
  std::vector<Block*> unsettled_;
  HoleIndex holes_;
  Block* last_ = nullptr;
  std::size_t extent_ = 0;
  StreamClocks::Stamp unused_stamp_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_BLOCK_LIST_H_
