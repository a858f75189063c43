// HoleIndex: the holes of a pool, and the lowest one that holds a size.
//
// Holes lie in leaves of up to HoleLeaf::kHoles, each leaf for a range of addresses; within a leaf they have no order.
// Above the leaves stands a tree of the largest hole of each, laid out as an array: going down it by "which is the
// first child that holds the size?" ends at the first leaf that does, and one look over that leaf finds its lowest
// hole. A hole knows its place, so that changing or removing one touches its leaf alone, and the tree only where the
// leaf's largest changes.
//
//   I1  leaf i has the holes of [first_[i], first_[i + 1]); none is empty but the only one
//   I2  every node of the tree is the largest of its children; a leaf's node is its largest hole, 0 beyond the leaves
//   I3  a hole's leaf and slot lead to it
//   I4  there are leaves enough for the holes that Reserve was told of, as long as two neighbours that fit into one are
//       joined where none is to spare
//
// Thread-safety: none; the pool locks.
#ifndef TIERLIB_SRC_ALLOCATOR_HOLE_INDEX_H_
#define TIERLIB_SRC_ALLOCATOR_HOLE_INDEX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "allocator/block.h"

namespace tierlib {

struct HoleLeaf {
  static constexpr std::size_t kHoles = 8;

  std::size_t index = 0;  // among the leaves
  std::uint32_t count = 0;
  std::array<std::size_t, kHoles> keys{};   // offset * kHoles + slot, so that the least one tells the slot too
  std::array<std::size_t, kHoles> bytes{};  // 0 behind `count`
  std::array<Block*, kHoles> blocks{};
};

class HoleIndex {
 public:
  HoleIndex();

  // Makes room for so many holes: with no more of them nothing here needs memory. False where memory is missing.
  bool Reserve(std::size_t holes);
  // Adds a block as a hole. REQUIRES: it has bytes; no hole of the index overlaps it; there is room.
  void Add(Block* hole);
  void Remove(Block* hole);  // REQUIRES: it is in the index
  // The block's offset and bytes have changed. REQUIRES: it is in the index; no other hole lies between the two places.
  void Update(Block* hole);
  // `by` stands where `hole` stood. REQUIRES: as for Update.
  void Replace(Block* hole, Block* by);

  // The hole with the lowest address among those of at least `bytes` > 0; null where there is none.
  Block* FindLowest(std::size_t bytes) const;
  // The lowest one that holds `bytes` > 0 at a multiple of `alignment`, a power of two; null where there is none. Looks
  // at every leaf that has a hole of that size: for alignments that few ask for.
  Block* FindLowestAligned(std::size_t bytes, std::size_t alignment) const;
  // The hole that covers `offset`; null where none does.
  Block* FindCovering(std::size_t offset) const;
  // Bytes of the largest hole; 0 where there is none.
  std::size_t largest() const { return tree_[0]; }
  std::size_t size() const { return size_; }
  // Calls visit(const Block&) for every hole of more than `bound` bytes, in no order. `visit` may raise the bound, for
  // the holes that come then.
  template <typename Visit>
  void ForEachLarger(const std::size_t& bound, Visit&& visit) const {
    for (std::size_t i = 0; i < leaves_.size(); ++i) {
      if (tree_[first_leaf_ + i] <= bound) continue;
      const HoleLeaf& leaf = *leaves_[i];
      for (std::size_t slot = 0; slot < leaf.count; ++slot) {
        if (leaf.bytes[slot] > bound) visit(static_cast<const Block&>(*leaf.blocks[slot]));
      }
    }
  }
  // Aborts naming the invariant that does not hold. For tests.
  void CheckInvariants() const;

 private:
  static constexpr std::size_t kChildren = 4;  // of a node of the tree

  // The leaf in whose range an offset is.
  std::size_t LeafFor(std::size_t offset) const;
  // Puts a hole into a leaf that has room. The tree is the caller's.
  static void Append(HoleLeaf& leaf, Block* hole);
  // A hole of `leaf` had `before` bytes and has `now`: what that changes above it.
  void Raise(const HoleLeaf& leaf, std::size_t before, std::size_t now);
  void SetLargest(std::size_t leaf, std::size_t largest);
  // The upper half of a leaf's holes gets a leaf of its own. REQUIRES: one is to spare.
  void Split(std::size_t leaf);
  void RemoveLeaf(std::size_t leaf);
  // Puts the holes of two neighbours into one leaf, so that the other is to spare. REQUIRES: two fit.
  void JoinLeaves();
  // Numbers the leaves and makes the tree anew, from the largest hole of each.
  void Rebuild();
  static std::size_t Largest(const HoleLeaf& leaf);
  std::size_t LargestChild(std::size_t node) const;

  std::vector<std::unique_ptr<HoleLeaf>> leaves_;
  std::vector<std::unique_ptr<HoleLeaf>> spare_;
  std::vector<std::size_t> first_;  // where each leaf's range begins; of the first, 0
  std::vector<std::size_t> tree_;   // node 0 is the root, 4i + 1 to 4i + 4 are the children of i
  std::size_t first_leaf_ = 0;      // the node of leaf i is first_leaf_ + i
  std::size_t size_ = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_HOLE_INDEX_H_
