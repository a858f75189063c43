// CopyPlan: how the runs of one copy operation are given to a copy engine.
//
// Runs that continue each other at both ends are joined. Runs of equal size at equal distances (the rows of a slice)
// become one pitched copy, which a GPU's copy engine walks by itself; anything else stays a list of plain copies. No
// copy crosses the border of a registered range of host memory: blocks of a pool of pinned memory may, as it grows
// piece by piece and each piece is registered by itself.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_COPY_PLAN_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_COPY_PLAN_H_

#include <cstddef>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "allocator/cuda/registered_ranges.h"
#include "allocator/device_backend.h"

namespace tierlib {

// `rows` rows of `row_bytes` bytes; row i starts at i * pitch. One row is a plain copy, whose pitches are row_bytes.
struct PitchedCopy {
  void* destination = nullptr;
  const void* source = nullptr;
  std::size_t destination_pitch = 0;
  std::size_t source_pitch = 0;
  std::size_t row_bytes = 0;
  std::size_t rows = 0;
};

// The same bytes as `runs`, in the same order, in as few copies as one pass finds. Empty runs are left out. No pitch is
// larger than `max_pitch`, and none smaller than its row. No border of `registered` lies inside what a copy spans at
// either end, from its first row's first byte to its last row's last.
absl::InlinedVector<PitchedCopy, 4> PlanCopy(absl::Span<const CopyRun> runs, std::size_t max_pitch,
                                             const RegisteredRanges& registered = RegisteredRanges());

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_COPY_PLAN_H_
