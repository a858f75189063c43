#include "storage/byte_ranges.h"

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace tierlib {
namespace {

struct Dimension {
  std::int64_t size;
  std::int64_t stride_bytes;
};

// Dimensions that move through the storage, smallest stride first.
absl::InlinedVector<Dimension, Dims::kMaxRank> MovingDimensions(const Layout& layout) {
  absl::InlinedVector<Dimension, Dims::kMaxRank> dimensions;
  const std::int64_t element = static_cast<std::int64_t>(ElementBytes(layout.dtype));
  for (int i = 0; i < layout.rank(); ++i) {
    if (layout.sizes[i] > 1 && layout.strides[i] > 0) {
      dimensions.push_back({layout.sizes[i], layout.strides[i] * element});
    }
  }
  std::sort(dimensions.begin(), dimensions.end(),
            [](const Dimension& a, const Dimension& b) { return a.stride_bytes < b.stride_bytes; });
  return dimensions;
}

}  // namespace

ByteRanges::ByteRanges(ByteRange range) {
  if (range.begin < range.end) ranges_.push_back(range);
}

void ByteRanges::Append(ByteRange range) {
  if (range.begin >= range.end) return;
  if (!ranges_.empty() && range.begin <= ranges_.back().end) {
    ranges_.back().end = std::max(ranges_.back().end, range.end);
  } else {
    ranges_.push_back(range);
  }
}

std::optional<ByteRanges> ByteRanges::Of(const Layout& layout) {
  ByteRanges result;
  if (layout.elements() == 0) return result;
  auto dimensions = MovingDimensions(layout);
  // Dimensions whose steps are no longer than the run so far extend the run without a gap.
  std::int64_t run = static_cast<std::int64_t>(ElementBytes(layout.dtype));
  std::size_t outer = 0;
  while (outer < dimensions.size() && dimensions[outer].stride_bytes <= run) {
    run += (dimensions[outer].size - 1) * dimensions[outer].stride_bytes;
    ++outer;
  }
  std::int64_t count = 1;
  for (std::size_t i = outer; i < dimensions.size(); ++i) {
    if (__builtin_mul_overflow(count, dimensions[i].size, &count) || count > kMaxRanges) return std::nullopt;
  }
  std::vector<std::int64_t> begins = {layout.offset_bytes};
  begins.reserve(static_cast<std::size_t>(count));
  for (std::size_t i = dimensions.size(); i-- > outer;) {  // the largest stride first keeps most cases sorted
    const std::size_t base = begins.size();
    std::vector<std::int64_t> next;
    next.reserve(base * static_cast<std::size_t>(dimensions[i].size));
    for (std::int64_t begin : begins) {
      for (std::int64_t step = 0; step < dimensions[i].size; ++step) {
        next.push_back(begin + step * dimensions[i].stride_bytes);
      }
    }
    begins = std::move(next);
  }
  if (!std::is_sorted(begins.begin(), begins.end())) std::sort(begins.begin(), begins.end());
  for (std::int64_t begin : begins) {
    result.Append({static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(begin + run)});
  }
  return result;
}

std::uint64_t ByteRanges::bytes() const {
  std::uint64_t total = 0;
  for (const ByteRange& range : ranges_) total += range.end - range.begin;
  return total;
}

ByteRange ByteRanges::hull() const {
  TIERLIB_CHECK(!ranges_.empty(), "hull of no bytes");
  return {ranges_.front().begin, ranges_.back().end};
}

bool ByteRanges::Contains(const ByteRanges& other) const { return Intersection(other) == other; }

ByteRanges ByteRanges::Union(const ByteRanges& other) const {
  ByteRanges result;
  auto a = ranges_.begin();
  auto b = other.ranges_.begin();
  while (a != ranges_.end() || b != other.ranges_.end()) {
    const bool take_a = b == other.ranges_.end() || (a != ranges_.end() && a->begin <= b->begin);
    result.Append(take_a ? *a++ : *b++);
  }
  return result;
}

ByteRanges ByteRanges::Intersection(const ByteRanges& other) const {
  ByteRanges result;
  auto a = ranges_.begin();
  auto b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    result.Append({std::max(a->begin, b->begin), std::min(a->end, b->end)});
    if (a->end < b->end) {
      ++a;
    } else {
      ++b;
    }
  }
  return result;
}

ByteRanges ByteRanges::Minus(const ByteRanges& other) const {
  ByteRanges result;
  auto cut = other.ranges_.begin();
  for (ByteRange range : ranges_) {
    while (cut != other.ranges_.end() && cut->end <= range.begin) ++cut;
    for (auto c = cut; c != other.ranges_.end() && c->begin < range.end; ++c) {
      result.Append({range.begin, std::min(range.end, c->begin)});
      range.begin = std::max(range.begin, c->end);
    }
    result.Append(range);
  }
  return result;
}

}  // namespace tierlib
