// How much of a node's free memory the kernel keeps for itself: a program that takes it is ended, not refused.
#ifndef TIERLIB_SRC_ALLOCATOR_ZONE_RESERVE_H_
#define TIERLIB_SRC_ALLOCATOR_ZONE_RESERVE_H_

#include <cstdint>
#include <istream>

namespace tierlib {

// Pages of `node` that are kept, by /proc/zoneinfo, which `zoneinfo` reads: of each zone the high watermark and what is
// kept from programs for uses that need that zone, at most all of it. The kernel leaves the same out of MemAvailable. 0
// where nothing is said of the node.
std::uint64_t ZoneReservePages(std::istream& zoneinfo, int node);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_ZONE_RESERVE_H_
