#include <gtest/gtest.h>

#include <cstdint>

#include "tierlib/bytes.h"
#include "train_lm/memory_plan.h"

namespace train_lm {
namespace {

TEST(MemoryFigure, IsEnoughAndLessThanThreePercentMore) {
  std::uint64_t state = 7;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 6364136223846793005 + 1442695040888963407;
    const std::uint64_t bytes = (state >> (10 + i % 40)) + 1024;
    const tierlib::StatusOr<std::uint64_t> read = tierlib::ParseBytes(FormatEnough(bytes));
    ASSERT_TRUE(read.ok()) << FormatEnough(bytes);
    ASSERT_GE(*read, bytes);
    ASSERT_LT(static_cast<double>(*read) * 0.97, static_cast<double>(bytes)) << FormatEnough(bytes);
  }
}

TEST(MemoryFigure, HasThreeDigits) {
  EXPECT_EQ(FormatEnough(tierlib::MiB(131)), "131 MiB");
  EXPECT_EQ(FormatEnough(tierlib::MiB(131) + 1), "132 MiB");
  EXPECT_EQ(FormatEnough(tierlib::MiB(999) + 1), "0.98 GiB");
  EXPECT_EQ(FormatEnough(1024), "1.00 KiB");
}

}  // namespace
}  // namespace train_lm
