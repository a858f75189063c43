#include "allocator/start_table.h"

#include <algorithm>
#include <bit>
#include <new>

namespace tierlib {

Block* StartTable::Remove(std::size_t offset) {
  std::size_t free = PlaceOf(offset);
  if (free == places_.size()) return nullptr;
  Block* const removed = places_[free].block;
  // Those behind it move up where their way from home leads over the free place.
  for (std::size_t at = Next(free); places_[at].block != nullptr; at = Next(at)) {
    const std::size_t mask = places_.size() - 1;
    const std::size_t way = (at - Home(places_[at].offset)) & mask;
    if (way < ((at - free) & mask)) continue;
    places_[free] = places_[at];
    free = at;
  }
  places_[free] = {};
  --size_;
  return removed;
}

bool StartTable::Grow() {
  constexpr std::size_t kFewest = 128;
  std::vector<Place> places;
  try {
    places.resize(std::max(kFewest, 2 * places_.size()));
  } catch (const std::bad_alloc&) {
    return false;
  }
  places_.swap(places);
  shift_ = 65 - static_cast<int>(std::bit_width(places_.size()));
  size_ = 0;
  for (const Place& place : places) {
    if (place.block != nullptr) Insert(place.offset, place.block);
  }
  return true;
}

}  // namespace tierlib
