// The one clock of tierlib: CLOCK_MONOTONIC in nanoseconds.
#ifndef TIERLIB_SRC_BASE_CLOCK_H_
#define TIERLIB_SRC_BASE_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace tierlib {

inline std::int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_CLOCK_H_
