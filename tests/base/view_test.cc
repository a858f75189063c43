#include "tierlib/view.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "base/random.h"

namespace tierlib {
namespace {

__extension__ typedef __int128 Int128;  // NOLINT: `using` cannot be marked as an extension

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

TEST(Layout, ContiguousIsRowMajor) {
  const Layout layout = Layout::Contiguous(DType::kF32, {2, 3, 4});
  EXPECT_EQ(layout.strides, Dims({12, 4, 1}));
  EXPECT_TRUE(layout.is_contiguous());
  EXPECT_EQ(layout.elements(), 24);
  EXPECT_EQ(layout.logical_bytes(), 96);
  EXPECT_EQ(layout.ToString(), "f32[2,3,4]{12,4,1}+0");
}

TEST(Layout, AScalarHasOneElement) {
  const Layout layout = Layout::Contiguous(DType::kF64, {});
  EXPECT_EQ(layout.elements(), 1);
  EXPECT_TRUE(layout.is_contiguous());
  EXPECT_TRUE(layout.Validate(8).ok());
  EXPECT_FALSE(layout.Validate(7).ok());
}

TEST(Layout, TransposesSlicesAndExpandsAreNotContiguous) {
  EXPECT_FALSE((Layout{DType::kF32, {3, 2}, {1, 3}, 0}.is_contiguous()));
  EXPECT_FALSE((Layout{DType::kF32, {2, 2}, {4, 1}, 0}.is_contiguous()));
  EXPECT_FALSE((Layout{DType::kF32, {4, 2}, {0, 1}, 0}.is_contiguous()));
}

TEST(Layout, StridesOfSizeOneDoNotMatter) {
  EXPECT_TRUE((Layout{DType::kF32, {2, 1, 3}, {3, 77, 1}, 0}.is_contiguous()));
}

TEST(Layout, AnEmptyOneIsContiguousAndReachesNothing) {
  const Layout layout{DType::kF32, {kMost, 0, kMost}, {1, 5, 9}, 16};
  EXPECT_EQ(layout.elements(), 0);
  EXPECT_EQ(layout.logical_bytes(), 0);
  EXPECT_TRUE(layout.is_contiguous());
  EXPECT_TRUE(layout.Validate(16).ok());
  EXPECT_FALSE(layout.Validate(15).ok());  // begins behind the storage
}

TEST(Layout, ValidateNamesWhatIsWrong) {
  const auto message = [](const Layout& layout, std::uint64_t bytes) {
    const Status status = layout.Validate(bytes);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << layout.ToString();
    return std::string(status.message());
  };
  EXPECT_NE(message({DType::kF32, {2, 2}, {1}, 0}, 100).find("2 sizes, but 1 strides"), std::string::npos);
  EXPECT_NE(message({DType::kF32, {2, -1}, {1, 1}, 0}, 100).find("size 1 is negative"), std::string::npos);
  EXPECT_NE(message({DType::kF32, {2, 2}, {-1, 1}, 0}, 100).find("stride 0 is negative"), std::string::npos);
  EXPECT_NE(message({DType::kF32, {2}, {1}, -4}, 100).find("offset is negative"), std::string::npos);
  EXPECT_NE(message({DType::kF32, {4}, {1}, 0}, 15).find("ends at byte 16, but the storage has 15"), std::string::npos);
  EXPECT_NE(message({DType::kF32, {kMost, 2}, {0, 0}, 0}, 100).find("overflows"), std::string::npos);
  EXPECT_NE(message({static_cast<DType>(200), {1}, {1}, 0}, 100).find("dtype"), std::string::npos);
}

TEST(Layout, ElementsSaturateInsteadOfWrapping) {
  const Layout layout{DType::kF64, {kMost, kMost}, {0, 0}, 0};
  EXPECT_EQ(layout.elements(), kMost);
  EXPECT_EQ(layout.logical_bytes(), kMost);
}

// The specification of Validate in numbers that cannot overflow: 8 sizes below 2^63 need no more than 128 bits if the
// product is cut off once it is past 2^64.
bool ReferenceValid(const Layout& layout, std::uint64_t storage_bytes) {
  if (layout.sizes.rank() != layout.strides.rank() || layout.offset_bytes < 0) return false;
  bool empty = false;
  for (int i = 0; i < layout.rank(); ++i) {
    if (layout.sizes[i] < 0 || layout.strides[i] < 0) return false;
    if (layout.sizes[i] == 0) empty = true;
  }
  if (empty) return static_cast<std::uint64_t>(layout.offset_bytes) <= storage_bytes;
  const Int128 limit = static_cast<Int128>(kMost);
  const Int128 element = static_cast<Int128>(ElementBytes(layout.dtype));
  Int128 elements = 1;
  Int128 last = 0;
  for (int i = 0; i < layout.rank(); ++i) {
    elements *= layout.sizes[i];
    if (elements > limit) return false;
    last += static_cast<Int128>(layout.sizes[i] - 1) * layout.strides[i];
    if (last > limit) return false;
  }
  const Int128 end = (last + 1) * element + layout.offset_bytes;
  return elements * element <= limit && end <= limit && end <= static_cast<Int128>(storage_bytes);
}

// Numbers that are small, at the edge of a storage, or at the edge of 64 bits.
std::int64_t AnyNumber(Random& random) {
  switch (random.UniformInt(8)) {
    case 0: return 0;
    case 1: return 1;
    case 2: return -1;
    case 3: return static_cast<std::int64_t>(random.NextU64());
    case 4: return kMost - static_cast<std::int64_t>(random.UniformInt(3));
    case 5: return std::int64_t{1} << random.UniformInt(63);
    default: return static_cast<std::int64_t>(random.UniformInt(9));
  }
}

TEST(Layout, ValidateAgreesWithExactArithmetic) {
  constexpr std::uint64_t kSeed = 4711;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  int valid = 0;
  for (int i = 0; i < 400'000 / TIERLIB_RANDOM_SCALE; ++i) {
    Layout layout;
    layout.dtype = static_cast<DType>(random.UniformInt(11));
    // Mostly small numbers, so that about as many layouts are valid as not.
    const bool wild = random.UniformInt(3) == 0;
    const int rank = static_cast<int>(random.UniformInt(5));
    for (int d = 0; d < rank; ++d) {
      layout.sizes.push_back(wild ? AnyNumber(random) : static_cast<std::int64_t>(random.UniformInt(5)));
      layout.strides.push_back(wild ? AnyNumber(random) : static_cast<std::int64_t>(random.UniformInt(9)));
    }
    layout.offset_bytes = wild ? AnyNumber(random) : static_cast<std::int64_t>(random.UniformInt(64));
    const std::uint64_t bytes = wild ? static_cast<std::uint64_t>(AnyNumber(random)) : random.UniformInt(200);
    const bool expected = ReferenceValid(layout, bytes);
    ASSERT_EQ(layout.Validate(bytes).ok(), expected) << layout.ToString() << " over " << bytes << " bytes";
    valid += expected;
  }
  EXPECT_GT(valid, 50'000 / TIERLIB_RANDOM_SCALE);
}

// Visits every element of small valid layouts: none may lie outside.
TEST(Layout, EveryElementOfAValidLayoutLiesInside) {
  constexpr std::uint64_t kSeed = 99;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  for (int i = 0; i < 20'000 / TIERLIB_RANDOM_SCALE; ++i) {
    Layout layout{DType::kF32, {}, {}, static_cast<std::int64_t>(random.UniformInt(40))};
    for (int d = 0; d < 3; ++d) {
      layout.sizes.push_back(static_cast<std::int64_t>(random.UniformInt(5)));
      layout.strides.push_back(static_cast<std::int64_t>(random.UniformInt(6)));
    }
    std::int64_t end = 0;
    for (std::int64_t a = 0; a < layout.sizes[0]; ++a) {
      for (std::int64_t b = 0; b < layout.sizes[1]; ++b) {
        for (std::int64_t c = 0; c < layout.sizes[2]; ++c) {
          end = std::max(end, (a * layout.strides[0] + b * layout.strides[1] + c * layout.strides[2]) * 4 +
                                  layout.offset_bytes + 4);
        }
      }
    }
    const std::uint64_t needed = static_cast<std::uint64_t>(end > 0 ? end : layout.offset_bytes);
    EXPECT_TRUE(layout.Validate(needed).ok()) << layout.ToString();
    if (needed > 0) {
      EXPECT_FALSE(layout.Validate(needed - 1).ok()) << layout.ToString();
    }
  }
}

}  // namespace
}  // namespace tierlib
