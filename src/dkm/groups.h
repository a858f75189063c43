// Groups of output channels: which vectors of a weight share centroids, and how kernels go through the groups.
// Stateless; any thread.
#ifndef TIERLIB_SRC_DKM_GROUPS_H_
#define TIERLIB_SRC_DKM_GROUPS_H_

#include <algorithm>
#include <cstdint>

#include "allocator/device_backend.h"
#include "base/thread_pool.h"
#include "tierlib/dkm/clustering.h"
#include "tierlib/view.h"

namespace tierlib::dkm {

// Output channels of a weight: its first dimension, or one where it has fewer than two.
inline std::int64_t RowsOf(const Dims& sizes) { return sizes.rank() < 2 ? 1 : sizes[0]; }

// The vectors of a weight lie group by group.
struct Groups {
  std::int64_t count = 1;
  std::int64_t rows = 1;          // of each group but the last
  std::int64_t last_rows = 1;     // of the last
  std::int64_t vectors = 0;       // of each group but the last
  std::int64_t last_vectors = 0;  // of the last

  std::int64_t FirstVector(std::int64_t group) const { return group * vectors; }
  std::int64_t Vectors(std::int64_t group) const { return group == count - 1 ? last_vectors : vectors; }
};

// REQUIRES: options.group_rows >= 0 and cluster_dim >= 1. Vectors are rounded down where cluster_dim does not divide.
inline Groups GroupsOf(const Options& options, const Dims& sizes) {
  std::int64_t elements = 1;
  for (int i = 0; i < sizes.rank(); ++i) elements *= sizes[i];
  const std::int64_t rows = std::max<std::int64_t>(RowsOf(sizes), 1);
  const std::int64_t columns = elements / rows;
  Groups groups;
  groups.rows = options.group_rows == 0 ? rows : std::min(options.group_rows, rows);
  groups.count = (rows - 1) / groups.rows + 1;
  groups.last_rows = rows - (groups.count - 1) * groups.rows;
  groups.vectors = groups.rows * columns / options.cluster_dim;
  groups.last_vectors = groups.last_rows * columns / options.cluster_dim;
  return groups;
}

// Lanes in which kernels go through the groups: small groups side by side, each worked on by one thread, large ones one
// after the other, each by all. Depends on the groups alone, as each lane has workspace of its own.
// `enough`: vectors of a group that all threads share well; `most`: lanes.
inline std::int64_t LanesOf(const Groups& groups, std::int64_t enough, std::int64_t most) {
  return groups.vectors >= enough ? 1 : std::min(groups.count, most);
}

// Calls body(group, lane) for all groups; those of one lane one after the other. Loops over the pool within a body run
// inline where there are several lanes.
template <typename Body>
void ForEachGroup(KernelContext& context, const Groups& groups, std::int64_t lanes, const Body& body) {
  if (lanes == 1) {
    for (std::int64_t group = 0; group < groups.count; ++group) body(group, std::int64_t{0});
    return;
  }
  context.pool.ParallelFor(lanes, 1, [&](std::int64_t lane, std::int64_t) {
    for (std::int64_t group = lane; group < groups.count; group += lanes) body(group, lane);
  });
}

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_GROUPS_H_
