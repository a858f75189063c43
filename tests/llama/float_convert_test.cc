#include "llama/float_convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace llama {
namespace {

TEST(FloatConvert, TakesEveryHalfThereAndBack) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = FromF16(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(FromF16(ToF16(value))));
    } else {
      ASSERT_EQ(ToF16(value), half) << value;
    }
    const float wide = FromBF16(half);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(FromBF16(ToBF16(wide))));
    } else {
      ASSERT_EQ(ToBF16(wide), half) << wide;
    }
  }
}

TEST(FloatConvert, RoundsToNearestEven) {
  EXPECT_EQ(ToF16(1.0f + 0x1p-11f), 0x3c00);             // a tie: to even, down
  EXPECT_EQ(ToF16(1.0f + 3 * 0x1p-11f), 0x3c02);         // a tie: to even, up
  EXPECT_EQ(ToF16(1.0f + 0x1p-11f + 0x1p-20f), 0x3c01);  // above the tie
  EXPECT_EQ(ToF16(65519.0f), 0x7bff);
  EXPECT_EQ(ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(ToF16(-65520.0f), 0xfc00);
  EXPECT_EQ(ToF16(0x1p-25f), 0);  // a tie with the smallest subnormal: to even
  EXPECT_EQ(ToF16(0x1.8p-25f), 1);
  EXPECT_EQ(ToF16(0x1.ff8p-15f), 0x3ff);  // the largest subnormal
  EXPECT_EQ(ToF16(0x1.ffcp-15f), 0x400);  // a tie between it and the smallest normal
  EXPECT_EQ(ToBF16(1.0f + 0x1p-8f), 0x3f80);
  EXPECT_EQ(ToBF16(1.0f + 3 * 0x1p-8f), 0x3f82);
  EXPECT_EQ(ToBF16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(ToBF16(-0.0f), 0x8000);
}

TEST(FloatConvert, WritesWhatItReads) {
  const std::vector<double> values = {0, -0.0, 1.5, -2, 0x1p-24, 60000};
  for (const tierlib::DType dtype :
       {tierlib::DType::kF64, tierlib::DType::kF32, tierlib::DType::kF16, tierlib::DType::kBF16}) {
    const std::vector<char> bytes = WriteFloats(values, dtype);
    EXPECT_EQ(bytes.size(), values.size() * tierlib::ElementBytes(dtype));
    const std::vector<double> read = ReadFloats(bytes.data(), dtype, 6);
    EXPECT_EQ(read[2], 1.5);
    EXPECT_TRUE(std::signbit(read[1]));
    EXPECT_NEAR(read[5], 60000, dtype == tierlib::DType::kBF16 ? 200 : 16);
  }
}

}  // namespace
}  // namespace llama
