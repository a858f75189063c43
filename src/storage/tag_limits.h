// TierTagLimits: Options::tag_limits as pools take them.
#ifndef TIERLIB_SRC_STORAGE_TAG_LIMITS_H_
#define TIERLIB_SRC_STORAGE_TAG_LIMITS_H_

#include <array>
#include <cstddef>

#include "allocator/tag_accounts.h"
#include "tierlib/options.h"
#include "tierlib/status.h"
#include "tierlib/tier.h"

namespace tierlib {

struct TierTagLimits {
  TierTagLimits() { tiers.fill(NoTagLimits()); }
  const TagLimits& Of(Tier tier) const { return tiers[static_cast<std::size_t>(tier)]; }

  std::array<TagLimits, kTierCount> tiers;
};

// By tier: for each device, and for a host tier over all of them. InvalidArgument for a tag that there is not,
// naming those that there are, and for one that is limited twice.
StatusOr<TierTagLimits> ReadTagLimits(const Options& options);

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_TAG_LIMITS_H_
