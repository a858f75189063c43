#include "base/intervals.h"

#include <algorithm>
#include <cstddef>

namespace tierlib {

Interval Clip(Interval one, Interval window) {
  return {std::max(one.begin, window.begin), std::min(one.end, window.end)};
}

std::vector<Interval> UnionOf(std::vector<Interval> any) {
  any.erase(std::remove_if(any.begin(), any.end(), [](const Interval& one) { return one.empty(); }), any.end());
  std::sort(any.begin(), any.end(), [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
  std::size_t last = 0;
  for (std::size_t i = 1; i < any.size(); ++i) {
    if (any[i].begin <= any[last].end) {
      any[last].end = std::max(any[last].end, any[i].end);
    } else {
      any[++last] = any[i];
    }
  }
  if (!any.empty()) any.resize(last + 1);
  return any;
}

std::uint64_t TotalLength(absl::Span<const Interval> united) {
  std::uint64_t length = 0;
  for (const Interval& one : united) length += one.length();
  return length;
}

std::uint64_t LengthOutside(absl::Span<const Interval> united, absl::Span<const Interval> others) {
  std::uint64_t length = 0;
  std::size_t first = 0;  // of the others that may still cover something
  for (const Interval& one : united) {
    while (first < others.size() && others[first].end <= one.begin) ++first;
    length += one.length();
    for (std::size_t i = first; i < others.size() && others[i].begin < one.end; ++i) {
      length -= Clip(others[i], one).length();
    }
  }
  return length;
}

}  // namespace tierlib
