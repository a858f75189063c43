// The one clock of tierlib: CLOCK_MONOTONIC in nanoseconds.
#ifndef TIERLIB_SRC_BASE_CLOCK_H_
#define TIERLIB_SRC_BASE_CLOCK_H_

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace tierlib {

inline std::int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The time `ns` from now, or the last one that the clock has.
inline std::int64_t DeadlineIn(std::uint64_t ns) {
  const std::int64_t now = NowNs();
  const auto left = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() - now);
  return now + static_cast<std::int64_t>(std::min(ns, left));
}

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_CLOCK_H_
