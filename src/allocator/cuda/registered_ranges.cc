#include "allocator/cuda/registered_ranges.h"

#include <iterator>
#include <limits>

namespace tierlib {

void RegisteredRanges::Add(const void* base, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(base);
  ends_[begin] = begin + bytes;
}

void RegisteredRanges::Remove(const void* base) { ends_.erase(reinterpret_cast<std::uintptr_t>(base)); }

bool RegisteredRanges::Contains(const void* address) const {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  auto range = ends_.upper_bound(at);
  if (range == ends_.begin()) return false;
  return at < std::prev(range)->second;
}

std::uintptr_t RegisteredRanges::NextBorder(std::uintptr_t address) const {
  const auto next = ends_.upper_bound(address);
  if (next != ends_.begin() && std::prev(next)->second > address) return std::prev(next)->second;
  return next != ends_.end() ? next->first : std::numeric_limits<std::uintptr_t>::max();
}

}  // namespace tierlib
