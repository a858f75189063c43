// FreedBlocks: blocks of a pool that were freed with bytes in them that somebody may want back. Their memory is free
// like all other; what is listed here is forgotten once any of it is handed out again or goes back to the source.
//
//   I1  no two of them overlap, and no live block overlaps one
//
// Thread-safety: none; the pool locks.
#ifndef TIERLIB_SRC_ALLOCATOR_FREED_BLOCKS_H_
#define TIERLIB_SRC_ALLOCATOR_FREED_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <map>

namespace tierlib {

class FreedBlocks {
 public:
  struct Freed {
    std::size_t bytes = 0;  // of the block, whole units
    std::size_t asked = 0;  // of these, what was asked for
    std::uint64_t ticket = 0;
  };
  // Returns a ticket, which tells the block from everything that is at that offset at another time; 0 where there is no
  // memory to list it.
  std::uint64_t Add(std::size_t offset, std::size_t bytes, std::size_t asked);
  // The block that was listed under `ticket` at `offset`; null where it was forgotten since.
  const Freed* Find(std::size_t offset, std::uint64_t ticket) const;
  void Remove(std::size_t offset, std::uint64_t ticket);  // nothing where it was forgotten
  // [offset, offset + bytes) is handed out.
  void ForgetOverlaps(std::size_t offset, std::size_t bytes) {
    if (!blocks_.empty()) EraseOverlaps(offset, bytes);
  }
  void Clear() { blocks_.clear(); }

  // Calls visit(offset, bytes) for each.
  template <typename Visit>
  void ForEach(Visit&& visit) const {
    for (const auto& [offset, block] : blocks_) visit(offset, block.bytes);
  }

 private:
  void EraseOverlaps(std::size_t offset, std::size_t bytes);

  std::map<std::size_t, Freed> blocks_;  // by offset
  std::uint64_t next_ticket_ = 1;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_FREED_BLOCKS_H_
