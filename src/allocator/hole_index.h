// HoleIndex: the holes of a pool in order of address, and the lowest one that holds a size.
//
// Holes lie in leaves of up to kLeafHoles, in order of address, as arrays that one look passes over. Above them stands
// a tree of the largest hole of each leaf, laid out as an array: going down it by "does the left half hold the size?"
// ends at the first leaf that does. So finding, adding and removing cost a few cache lines and log2(leaves) steps,
// however many holes there are.
//
//   I1  offsets ascend over all leaves; no leaf is empty but the only one
//   I2  every node of the tree is the larger of its two children; a leaf's node is its largest hole, 0 beyond the
//   leaves
//
// Thread-safety: none; the pool locks.
#ifndef TIERLIB_SRC_ALLOCATOR_HOLE_INDEX_H_
#define TIERLIB_SRC_ALLOCATOR_HOLE_INDEX_H_

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace tierlib {

struct Block;

class HoleIndex {
 public:
  HoleIndex();

  // Adds the hole [offset, offset + bytes). REQUIRES: bytes > 0; no hole of the index overlaps it.
  void Add(std::size_t offset, std::size_t bytes, Block* block);
  // REQUIRES: a hole starts at `offset`.
  void Remove(std::size_t offset);
  // The hole that starts at `offset` is now [new_offset, new_offset + bytes), of the same block or another. REQUIRES:
  // no other hole lies between the two places.
  void Move(std::size_t offset, std::size_t new_offset, std::size_t bytes, Block* block);

  // The block of the hole with the lowest address among those of at least `bytes`; null where there is none.
  Block* FindLowest(std::size_t bytes) const;
  // Bytes of the largest hole; 0 where there is none.
  std::size_t largest() const { return tree_[1]; }
  std::size_t size() const { return size_; }
  // The block of the hole that starts at `offset`, or null. For checks.
  Block* At(std::size_t offset) const;
  // Aborts naming the invariant that does not hold. For tests.
  void CheckInvariants() const;

 private:
  static constexpr std::size_t kLeafHoles = 32;

  struct Leaf {
    std::size_t count = 0;
    std::array<std::size_t, kLeafHoles> offsets{};
    std::array<std::size_t, kLeafHoles> bytes{};  // 0 behind `count`
    std::array<Block*, kLeafHoles> blocks{};
  };

  // The leaf in which a hole at `offset` lies or would lie.
  std::size_t LeafFor(std::size_t offset) const;
  // The position of the first hole of a leaf at or behind `offset`.
  static std::size_t Position(const Leaf& leaf, std::size_t offset);
  static void InsertAt(Leaf& leaf, std::size_t position, std::size_t offset, std::size_t bytes, Block* block);
  static void RemoveAt(Leaf& leaf, std::size_t position);
  // After a change of the leaf's holes: its first offset, and the largest holes from its node up.
  void Refresh(std::size_t leaf);
  void Split(std::size_t leaf);
  void RemoveLeaf(std::size_t leaf);
  // From the largest hole of each leaf.
  void RebuildTree(std::vector<std::size_t> largest);
  std::vector<std::size_t> LargestOfLeaves() const;
  static std::size_t Largest(const Leaf& leaf);

  std::vector<std::unique_ptr<Leaf>> leaves_;
  std::vector<std::size_t> first_;  // offset of each leaf's first hole
  std::vector<std::size_t> tree_;   // node 1 is the root, 2i and 2i + 1 are the children of i
  std::size_t tree_leaves_ = 0;     // a power of two: the node of leaf i is tree_leaves_ + i
  std::size_t size_ = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_HOLE_INDEX_H_
