// StartTable: blocks by the offset at which they start. Handing a block out and taking it back each look here once, so
// it is as small as it can be: one array, at most half full, in which a block stands at the place that its offset
// hashes to or behind it, without a free place between. An Insert that was prepared for needs no memory, whatever was
// taken out before: that is what absl's tables do not promise.
//
//   I1  from where an offset hashes to, up to where its block stands, no place is free
//
// Thread-safety: none; the pool locks.
#ifndef TIERLIB_SRC_ALLOCATOR_START_TABLE_H_
#define TIERLIB_SRC_ALLOCATOR_START_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "allocator/block.h"

namespace tierlib {

class StartTable {
 public:
  // Makes room for one Insert. False where memory for that is missing.
  bool Prepare() { return 2 * size_ < places_.size() || Grow(); }
  // REQUIRES: prepared; no block of the table starts at `offset`.
  void Insert(std::size_t offset, Block* block) {
    std::size_t at = Home(offset);
    while (places_[at].block != nullptr) at = Next(at);
    places_[at] = {offset, block};
    ++size_;
  }
  // Takes the block that starts at `offset` out. Null where none does.
  Block* Remove(std::size_t offset);
  // The block that starts at `offset`; null where none does, whatever the offset.
  Block* Find(std::size_t offset) const {
    const std::size_t at = PlaceOf(offset);
    return at == places_.size() ? nullptr : places_[at].block;
  }
  std::size_t size() const { return size_; }
  // Calls visit(offset, block) for each, in no order.
  template <typename Visit>
  void ForEach(Visit&& visit) const {
    for (const Place& place : places_) {
      if (place.block != nullptr) visit(place.offset, place.block);
    }
  }

 private:
  struct Place {
    std::size_t offset = 0;
    Block* block = nullptr;  // null: free
  };

  bool Grow();
  // The upper bits of the product, which all bits of the offset have a part in.
  std::size_t Home(std::size_t offset) const {
    return static_cast<std::size_t>(offset * std::uint64_t{0x9E3779B97F4A7C15} >> shift_);
  }
  std::size_t Next(std::size_t at) const { return (at + 1) & (places_.size() - 1); }
  // places_.size() where there is none.
  std::size_t PlaceOf(std::size_t offset) const {
    if (size_ == 0) return places_.size();
    for (std::size_t at = Home(offset); places_[at].block != nullptr; at = Next(at)) {
      if (places_[at].offset == offset) return at;
    }
    return places_.size();
  }

  std::vector<Place> places_;  // a power of two of them, or none
  int shift_ = 0;              // so that Home is one of them
  std::size_t size_ = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_START_TABLE_H_
