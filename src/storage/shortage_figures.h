// What a Shortage says that comes from the figures of a pool, whichever tier it is of.
//
// Thread-safety: none of its own.
#ifndef TIERLIB_SRC_STORAGE_SHORTAGE_FIGURES_H_
#define TIERLIB_SRC_STORAGE_SHORTAGE_FIGURES_H_

#include <vector>

#include "allocator/pool_shortfall.h"
#include "tierlib/shortage.h"
#include "tierlib/statistics.h"

namespace tierlib {

// Why the pool had no room: the limit of the tag, the capacity, pieces that are too small, or (where there is room) the
// memory behind it.
Shortage::Reason ReasonOf(const PoolShortfall& pool);

// Sets the figures of the tier, who holds it by tag, whose work pins free bytes, the least change and the advice.
// REQUIRES: `reason`, `tag` and `asked` are set.
void SetPoolFigures(const PoolShortfall& pool, const TierStatistics& figures, Shortage& shortage);

// The most first.
void SortByBytes(std::vector<Shortage::Holder>& holders);

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_SHORTAGE_FIGURES_H_
