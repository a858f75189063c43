// Every byte of a tier is booked once: what statistics() promises, at any moment, whatever other threads do.
#ifndef TIERLIB_TESTS_RUNTIME_TIER_SUMS_H_
#define TIERLIB_TESTS_RUNTIME_TIER_SUMS_H_

#include <cstdint>

#include "gtest/gtest.h"
#include "tierlib/statistics.h"
#include "tierlib/tier.h"

namespace tierlib {

inline const TierStatistics& Of(const Statistics& statistics, Tier tier) {
  switch (tier) {
    case Tier::kDevice: return statistics.device;
    case Tier::kPinned: return statistics.pinned;
    case Tier::kPageable: return statistics.pageable;
    case Tier::kFile: break;
  }
  return statistics.file;
}

inline const TierStatistics& Of(const DeviceStatistics& statistics, Tier tier) {
  switch (tier) {
    case Tier::kDevice: return statistics.memory;
    case Tier::kPinned: return statistics.pinned;
    case Tier::kPageable: return statistics.pageable;
    case Tier::kFile: break;
  }
  return statistics.file;
}

inline void ExpectAddsUp(const TierStatistics& tier) {
  EXPECT_EQ(tier.live + tier.waste + tier.cached + tier.pending, tier.reserved);
  EXPECT_LE(tier.scattered, tier.cached + tier.pending);
  std::uint64_t live = 0;
  std::uint64_t waste = 0;
  for (const TagStatistics& tag : tier.tags) {
    live += tag.live;
    waste += tag.waste;
  }
  EXPECT_EQ(live, tier.live);
  EXPECT_EQ(waste, tier.waste);
}

// The sums hold of each device, and those of the devices are those of the whole.
inline void ExpectAddsUp(const Statistics& statistics) {
  for (const Tier tier : {Tier::kDevice, Tier::kPinned, Tier::kPageable, Tier::kFile}) {
    SCOPED_TRACE(TierName(tier));
    const TierStatistics& whole = Of(statistics, tier);
    ExpectAddsUp(whole);
    TierStatistics sum;
    for (const DeviceStatistics& device : statistics.devices) {
      const TierStatistics& part = Of(device, tier);
      ExpectAddsUp(part);
      sum.reserved += part.reserved;
      sum.locked += part.locked;
      sum.live += part.live;
      sum.waste += part.waste;
      sum.cached += part.cached;
      sum.pending += part.pending;
      sum.live_peak += part.live_peak;
    }
    EXPECT_EQ(sum.reserved, whole.reserved);
    EXPECT_EQ(sum.locked, whole.locked);
    EXPECT_EQ(sum.live, whole.live);
    EXPECT_EQ(sum.waste, whole.waste);
    EXPECT_EQ(sum.cached, whole.cached);
    EXPECT_EQ(sum.pending, whole.pending);
    EXPECT_EQ(sum.live_peak, whole.live_peak);
  }
}

}  // namespace tierlib

#endif  // TIERLIB_TESTS_RUNTIME_TIER_SUMS_H_
