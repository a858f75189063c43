// RegisteredRanges is plain C++ and tested on every machine.
#include "allocator/cuda/registered_ranges.h"

#include <limits>

#include "gtest/gtest.h"

namespace tierlib {
namespace {

constexpr std::uintptr_t kNone = std::numeric_limits<std::uintptr_t>::max();

const void* At(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

TEST(RegisteredRanges, FindsTheNextBorder) {
  RegisteredRanges ranges;
  EXPECT_EQ(ranges.NextBorder(0), kNone);
  ranges.Add(At(4096), 4096);
  ranges.Add(At(8192), 4096);  // adjacent
  ranges.Add(At(32768), 4096);
  EXPECT_EQ(ranges.NextBorder(0), 4096u);
  EXPECT_EQ(ranges.NextBorder(4095), 4096u);
  EXPECT_EQ(ranges.NextBorder(4096), 8192u);
  EXPECT_EQ(ranges.NextBorder(8191), 8192u);
  EXPECT_EQ(ranges.NextBorder(8192), 12288u);
  EXPECT_EQ(ranges.NextBorder(12288), 32768u);
  EXPECT_EQ(ranges.NextBorder(36863), 36864u);
  EXPECT_EQ(ranges.NextBorder(36864), kNone);
}

TEST(RegisteredRanges, KnowsWhatIsInARange) {
  RegisteredRanges ranges;
  EXPECT_FALSE(ranges.Contains(At(0)));
  ranges.Add(At(4096), 4096);
  EXPECT_FALSE(ranges.Contains(At(4095)));
  EXPECT_TRUE(ranges.Contains(At(4096)));
  EXPECT_TRUE(ranges.Contains(At(8191)));
  EXPECT_FALSE(ranges.Contains(At(8192)));
}

TEST(RegisteredRanges, ForgetsWhatIsRemoved) {
  RegisteredRanges ranges;
  ranges.Add(At(4096), 4096);
  ranges.Add(At(8192), 4096);
  ranges.Remove(At(4096));
  ranges.Remove(At(12288));  // none begins there
  EXPECT_EQ(ranges.NextBorder(0), 8192u);
  ranges.Remove(At(8192));
  EXPECT_EQ(ranges.NextBorder(0), kNone);
}

}  // namespace
}  // namespace tierlib
