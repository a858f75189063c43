// Tier: the kinds of places for bytes.
#ifndef TIERLIB_TIER_H_
#define TIERLIB_TIER_H_

#include <cstddef>
#include <cstdint>

namespace tierlib {

enum class Tier : std::uint8_t {
  kDevice,    // memory of a device
  kPinned,    // host memory that is page-locked for a device's copies
  kPageable,  // host memory
  kFile,      // a file, mapped into memory
};
inline constexpr std::size_t kTierCount = 4;

// "device", "pinned", "pageable", "file".
constexpr const char* TierName(Tier tier) {
  switch (tier) {
    case Tier::kDevice: return "device";
    case Tier::kPinned: return "pinned";
    case Tier::kPageable: return "pageable";
    case Tier::kFile: return "file";
  }
  return "?";
}

}  // namespace tierlib

#endif  // TIERLIB_TIER_H_
