// Intervals of time on one clock, and the lengths of their unions and differences.
#ifndef TIERLIB_SRC_BASE_INTERVALS_H_
#define TIERLIB_SRC_BASE_INTERVALS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace tierlib {

// From begin to before end, in nanoseconds; empty where end is not after begin.
struct Interval {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  bool empty() const { return end <= begin; }
  std::uint64_t length() const {
    return empty() ? 0 : static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(begin);
  }
};
inline bool operator==(const Interval& a, const Interval& b) { return a.begin == b.begin && a.end == b.end; }

// The part of `one` within `window`.
Interval Clip(Interval one, Interval window);

// Ascending and apart: what at least one of `any` covers.
std::vector<Interval> UnionOf(std::vector<Interval> any);

// REQUIRES, for the lists below: as UnionOf gives them.
std::uint64_t TotalLength(absl::Span<const Interval> united);
// Of what `united` covers, how much `others` do not.
std::uint64_t LengthOutside(absl::Span<const Interval> united, absl::Span<const Interval> others);

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_INTERVALS_H_
