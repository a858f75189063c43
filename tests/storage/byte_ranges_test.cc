// ByteRanges against a set of bytes held as one flag each.
#include "storage/byte_ranges.h"

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/random_layout.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kBytes = 2048;
using Flags = std::vector<bool>;

Flags FlagsOf(const ByteRanges& ranges) {
  Flags flags(kBytes);
  for (const ByteRange& range : ranges.ranges()) {
    for (std::uint64_t i = range.begin; i < range.end; ++i) flags[i] = true;
  }
  return flags;
}

ByteRanges RangesOf(const Flags& flags) {
  ByteRanges ranges;
  for (std::uint64_t i = 0; i < kBytes; ++i) {
    if (flags[i]) ranges = ranges.Union(ByteRanges({i, i + 1}));
  }
  return ranges;
}

// I1: not empty, ascending, neither overlapping nor touching.
void ExpectInvariant(const ByteRanges& ranges) {
  std::uint64_t end = 0;
  bool first = true;
  for (const ByteRange& range : ranges.ranges()) {
    ASSERT_LT(range.begin, range.end);
    ASSERT_TRUE(first || range.begin > end);
    end = range.end;
    first = false;
  }
}

TEST(ByteRanges, AreTheBytesThatTheElementsOfALayoutLieIn) {
  Random random(101);
  const int runs = 20'000 / TIERLIB_RANDOM_SCALE;
  for (int run = 0; run < runs; ++run) {
    const Layout layout = RandomLayout(random, kBytes);
    Flags expected(kBytes);
    ForEachElement(layout, [&](std::int64_t, std::int64_t offset) {
      for (std::size_t i = 0; i < ElementBytes(layout.dtype); ++i)
        expected[static_cast<std::size_t>(offset) + i] = true;
    });
    const std::optional<ByteRanges> ranges = ByteRanges::Of(layout);
    ASSERT_TRUE(ranges.has_value());
    ExpectInvariant(*ranges);
    ASSERT_EQ(FlagsOf(*ranges), expected) << "seed 101, run " << run << ": " << layout.ToString();
  }
}

TEST(ByteRanges, FollowTheAlgebraOfSets) {
  Random random(102);
  const int runs = 2'000 / TIERLIB_RANDOM_SCALE;
  for (int run = 0; run < runs; ++run) {
    const std::uint64_t density = 1 + random.UniformInt(40);
    Flags a(kBytes), b(kBytes);
    // Runs of bytes, so that ranges of either set begin, end and touch inside those of the other.
    for (Flags* flags : {&a, &b}) {
      bool in = false;
      for (std::uint64_t i = 0; i < 200; ++i) {
        if (random.UniformInt(density) == 0) in = !in;
        (*flags)[i] = in;
      }
    }
    const ByteRanges ra = RangesOf(a), rb = RangesOf(b);
    Flags both(kBytes), either(kBytes), only(kBytes);
    std::uint64_t count = 0;
    bool contained = true;
    for (std::uint64_t i = 0; i < kBytes; ++i) {
      both[i] = a[i] && b[i];
      either[i] = a[i] || b[i];
      only[i] = a[i] && !b[i];
      count += a[i] ? 1 : 0;
      contained = contained && (!b[i] || a[i]);
    }
    const std::string where = "seed 102, run " + std::to_string(run);
    for (const ByteRanges& result : {ra.Union(rb), ra.Intersection(rb), ra.Minus(rb)}) ExpectInvariant(result);
    ASSERT_EQ(FlagsOf(ra.Union(rb)), either) << where;
    ASSERT_EQ(FlagsOf(ra.Intersection(rb)), both) << where;
    ASSERT_EQ(FlagsOf(ra.Minus(rb)), only) << where;
    ASSERT_EQ(ra.bytes(), count) << where;
    ASSERT_EQ(ra.Contains(rb), contained) << where;
    ASSERT_TRUE(ra.Union(rb) == rb.Union(ra)) << where;
    ASSERT_TRUE(ra.Minus(rb).Union(ra.Intersection(rb)) == ra) << where;
  }
}

TEST(ByteRanges, HullSpansFromTheFirstToTheLastByte) {
  const ByteRanges ranges = ByteRanges({10, 20}).Union(ByteRanges({40, 41}));
  EXPECT_EQ(ranges.hull(), (ByteRange{10, 41}));
  EXPECT_EQ(ranges.bytes(), 11u);
}

TEST(ByteRanges, AnEmptyRangeIsNoRange) {
  EXPECT_TRUE(ByteRanges({7, 7}).empty());
  EXPECT_TRUE(ByteRanges({7, 3}).empty());
  EXPECT_TRUE(ByteRanges().Contains(ByteRanges()));
}

TEST(ByteRanges, ScatteredBeyondTheLimitIsNotDescribed) {
  Layout layout;
  layout.dtype = DType::kU8;
  layout.sizes = {ByteRanges::kMaxRanges};
  layout.strides = {2};
  const std::optional<ByteRanges> at_limit = ByteRanges::Of(layout);
  ASSERT_TRUE(at_limit.has_value());
  EXPECT_EQ(at_limit->ranges().size(), static_cast<std::size_t>(ByteRanges::kMaxRanges));
  layout.sizes = {ByteRanges::kMaxRanges + 1};
  EXPECT_FALSE(ByteRanges::Of(layout).has_value());
  layout.sizes = {std::int64_t{1} << 31, std::int64_t{1} << 31};  // the count of ranges does not overflow
  layout.strides = {std::int64_t{1} << 33, 2};
  EXPECT_FALSE(ByteRanges::Of(layout).has_value());
}

TEST(ByteRanges, AMillionTouchingRowsAreOneRange) {
  Layout layout = Layout::Contiguous(DType::kF32, {1 << 20, 4, 16});
  EXPECT_EQ(ByteRanges::Of(layout)->ranges().size(), 1u);
  layout.strides = {64, 1, 4};  // a transpose of the inner two
  EXPECT_EQ(ByteRanges::Of(layout)->ranges().size(), 1u);
}

}  // namespace
}  // namespace tierlib
