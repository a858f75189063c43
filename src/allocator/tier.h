// Tier: the kinds of places for bytes.
#ifndef TIERLIB_SRC_ALLOCATOR_TIER_H_
#define TIERLIB_SRC_ALLOCATOR_TIER_H_

#include <cstdint>

namespace tierlib {

enum class Tier : std::uint8_t { kDevice, kPinned, kPageable };

constexpr const char* TierName(Tier tier) {
  switch (tier) {
    case Tier::kDevice: return "device";
    case Tier::kPinned: return "pinned";
    case Tier::kPageable: return "pageable";
  }
  return "?";
}

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_TIER_H_
