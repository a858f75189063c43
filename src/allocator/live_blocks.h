// LiveBlocks: the live blocks of a pool by where they start, and, once somebody asks, by any address in them.
//
// A table of starts is all that handing blocks out and taking them back needs. What covers an address is asked for
// seldom, and keeping an AddressMap for it costs every pair of calls cold cache lines: so it is made when it is first
// asked for, and kept from then on.
//
//   I1  the map, where there is one, has exactly the blocks of the table
//
// Thread-safety: Find may run beside everything once Map has returned true, and takes no lock; the callers of the other
// functions lock (a BlockPool does).
#ifndef TIERLIB_SRC_ALLOCATOR_LIVE_BLOCKS_H_
#define TIERLIB_SRC_ALLOCATOR_LIVE_BLOCKS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "allocator/address_map.h"
#include "allocator/block.h"
#include "allocator/start_table.h"

namespace tierlib {

class LiveBlocks {
 public:
  // As for AddressMap.
  LiveBlocks(std::size_t capacity, std::size_t unit) : capacity_(capacity), unit_(unit) {}
  LiveBlocks(const LiveBlocks&) = delete;
  LiveBlocks& operator=(const LiveBlocks&) = delete;

  // Makes room for one Add of a block that ends at or before `end`. False where memory for that is missing.
  bool Prepare(std::size_t end);
  // The block, with its tag, became live; nobody owns it. REQUIRES: prepared; it overlaps no other.
  void Add(Block* block);
  // The block that starts at `offset` is no longer live. Null where none starts there.
  Block* Remove(std::size_t offset);
  // The block that starts at `offset`; null where none does, whatever the offset.
  Block* At(std::size_t offset) const { return starts_.Find(offset); }
  // Names who has a live block; 0, nobody, since Add.
  void SetOwner(Block* block, std::uint64_t owner);
  // The live block is held for something else now. Without memory for that it stays under the tag that it has.
  void SetTag(Block* block, trace::Tag tag);

  bool is_mapped() const { return map_.load(std::memory_order_acquire) != nullptr; }
  // Makes the map. False where memory for it is missing.
  bool Map();
  // The block that covers `offset`; false where none does. REQUIRES: is_mapped(), an offset below the capacity.
  bool Find(std::size_t offset, AddressMap::Found* found) const {
    return map_.load(std::memory_order_acquire)->Find(offset, found);
  }

  std::size_t size() const { return starts_.size(); }
  // Aborts naming the invariant that does not hold. For tests.
  void CheckInvariants() const;

 private:
  bool AddAll(AddressMap& map) const;

  const std::size_t capacity_;
  const std::size_t unit_;
  StartTable starts_;
  std::unique_ptr<AddressMap> made_;
  std::atomic<AddressMap*> map_{nullptr};  // made_, once it is complete
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_LIVE_BLOCKS_H_
