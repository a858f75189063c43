// PreTouch: brings fresh pages into memory before anyone gets them, several threads at once where that pays.
#ifndef TIERLIB_SRC_ALLOCATOR_PRE_TOUCH_H_
#define TIERLIB_SRC_ALLOCATOR_PRE_TOUCH_H_

#include <cstddef>

#include "absl/types/span.h"
#include "allocator/numa_topology.h"
#include "tierlib/bytes.h"
#include "tierlib/status.h"

namespace tierlib {

inline constexpr std::size_t kTouchedInParallel = MiB(32);  // and what is larger
inline constexpr std::size_t kMostTouchingThreads = 8;

// Touches [begin, begin + bytes): from threads on `cpus` where it is large, from the calling thread otherwise. The
// first error; the pages that are in memory by then stay there.
Status PreTouch(NumaTopology& topology, std::byte* begin, std::size_t bytes, absl::Span<const int> cpus);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_PRE_TOUCH_H_
