// ByteRanges: a set of bytes of a storage, as sorted disjoint ranges. What a view touches, what is on the host, what a
// copy must move. Values; not synchronised.
#ifndef TIERLIB_SRC_STORAGE_BYTE_RANGES_H_
#define TIERLIB_SRC_STORAGE_BYTE_RANGES_H_

#include <cstdint>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "tierlib/view.h"

namespace tierlib {

struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  // exclusive

  friend bool operator==(ByteRange a, ByteRange b) { return a.begin == b.begin && a.end == b.end; }
};

//   I1  ranges are not empty, ascending, and neither overlap nor touch
class ByteRanges {
 public:
  // A view whose bytes fall into more ranges than this is not described exactly by a set that is worth keeping.
  static constexpr std::int64_t kMaxRanges = std::int64_t{1} << 20;

  ByteRanges() = default;
  explicit ByteRanges(ByteRange range);

  // Exactly the bytes that elements of `layout` lie in; nothing for zero elements, nullopt beyond kMaxRanges.
  // REQUIRES: layout.Validate() is OK for its storage.
  static std::optional<ByteRanges> Of(const Layout& layout);

  bool empty() const { return ranges_.empty(); }
  std::uint64_t bytes() const;
  ByteRange hull() const;  // REQUIRES: !empty()
  bool Contains(const ByteRanges& other) const;

  ByteRanges Union(const ByteRanges& other) const;
  ByteRanges Intersection(const ByteRanges& other) const;
  ByteRanges Minus(const ByteRanges& other) const;

  const absl::InlinedVector<ByteRange, 1>& ranges() const { return ranges_; }
  friend bool operator==(const ByteRanges& a, const ByteRanges& b) { return a.ranges_ == b.ranges_; }

 private:
  void Append(ByteRange range);  // REQUIRES: begins at or after the last begin
  absl::InlinedVector<ByteRange, 1> ranges_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_BYTE_RANGES_H_
