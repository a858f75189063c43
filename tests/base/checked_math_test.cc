#include "base/checked_math.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "base/random.h"

namespace tierlib {
namespace {

__extension__ typedef __int128 Int128;            // NOLINT: `using` cannot be marked as an extension
__extension__ typedef unsigned __int128 UInt128;  // NOLINT

template <typename T>
class CheckedMath : public testing::Test {};
using Integers = testing::Types<std::int64_t, std::uint64_t, std::int32_t, std::uint32_t>;
TYPED_TEST_SUITE(CheckedMath, Integers);

TYPED_TEST(CheckedMath, AgreesWithExactArithmetic) {
  using T = TypeParam;
  constexpr std::uint64_t kSeed = 7;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  const auto any = [&]() -> T {
    // A random number of random bits: products overflow about half of the time.
    const std::uint64_t bits = random.NextU64() >> random.UniformInt(64);
    return static_cast<T>(random.UniformInt(2) == 0 ? bits : 0 - bits);
  };
  const auto fits = [](Int128 exact) {
    return exact >= std::numeric_limits<T>::min() && exact <= std::numeric_limits<T>::max();
  };
  for (int i = 0; i < 100'000 / TIERLIB_RANDOM_SCALE; ++i) {
    const T a = any();
    const T b = any();
    T result{};
    const Int128 sum = static_cast<Int128>(a) + b;
    ASSERT_EQ(CheckedAdd(a, b, &result), fits(sum));
    if (fits(sum)) {
      ASSERT_EQ(result, static_cast<T>(sum));
    }
    const Int128 difference = static_cast<Int128>(a) - b;
    ASSERT_EQ(CheckedSub(a, b, &result), fits(difference));
    if (fits(difference)) {
      ASSERT_EQ(result, static_cast<T>(difference));
    }
    // 64 times 64 bits without sign may need 128 bits without sign.
    const bool product_fits = std::numeric_limits<T>::is_signed
                                  ? fits(static_cast<Int128>(a) * b)
                                  : static_cast<UInt128>(a) * static_cast<UInt128>(b) <= std::numeric_limits<T>::max();
    ASSERT_EQ(CheckedMul(a, b, &result), product_fits);
    if (product_fits) {
      ASSERT_EQ(result, static_cast<T>(static_cast<UInt128>(a) * static_cast<UInt128>(b)));
    }
  }
}

TYPED_TEST(CheckedMath, RoundsUpOrSaysThatItCannot) {
  using T = TypeParam;
  constexpr T kMost = std::numeric_limits<T>::max();
  T result{};
  EXPECT_TRUE(CheckedRoundUp(T{0}, 256, &result));
  EXPECT_EQ(result, T{0});
  EXPECT_TRUE(CheckedRoundUp(T{1}, 256, &result));
  EXPECT_EQ(result, T{256});
  EXPECT_TRUE(CheckedRoundUp(T{256}, 256, &result));
  EXPECT_EQ(result, T{256});
  EXPECT_FALSE(CheckedRoundUp(kMost, 256, &result));
  EXPECT_TRUE(CheckedRoundUp(kMost, 1, &result));
  EXPECT_EQ(result, kMost);
}

TEST(CheckedCast, RefusesWhatChangesTheValue) {
  std::int32_t narrow = 0;
  EXPECT_TRUE(CheckedCast(std::int64_t{-5}, &narrow));
  EXPECT_EQ(narrow, -5);
  EXPECT_FALSE(CheckedCast(std::int64_t{1} << 31, &narrow));
  std::uint64_t without_sign = 0;
  EXPECT_FALSE(CheckedCast(std::int64_t{-1}, &without_sign));
  std::int64_t with_sign = 0;
  EXPECT_FALSE(CheckedCast(~std::uint64_t{0}, &with_sign));
}

TEST(SaturatingMul, StopsAtTheLargest) {
  EXPECT_EQ(SaturatingMul(std::int64_t{3}, 4), 12);
  EXPECT_EQ(SaturatingMul(std::int64_t{1} << 62, 4), std::numeric_limits<std::int64_t>::max());
}

}  // namespace
}  // namespace tierlib
