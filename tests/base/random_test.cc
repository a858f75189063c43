#include "base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace tierlib {
namespace {

using Block = std::array<std::uint32_t, 4>;

// kat_vectors of the authors' Random123: philox4x32 with 10 rounds.
TEST(Philox, GivesThePublishedValues) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, BlockTakesSeedAsKeyAndStreamAboveIndex) {
  EXPECT_EQ(PhiloxBlock(0x299f31d0'a4093822, 0x03707344'13198a2e, 0x85a308d3'243f6a88),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// The reference program of Vigna (prng.di.unimi.it/splitmix64.c), seed 1234567.
TEST(SplitMix64, GivesThePublishedValues) {
  std::uint64_t state = 1234567;
  for (const std::uint64_t expected : {6457827717110365317ull, 3203168211198807973ull, 9817491932198370423ull,
                                       4593380528125082431ull, 16408922859458223821ull}) {
    EXPECT_EQ(SplitMix64(&state), expected);
  }
}

TEST(Random, ReadsItsStreamInOrder) {
  Random random(42, 7);
  for (std::uint64_t index = 0; index < 5; ++index) {
    for (const std::uint32_t expected : PhiloxBlock(42, 7, index)) EXPECT_EQ(random.NextU32(), expected);
  }
}

TEST(Random, ContinuesFromASavedPosition) {
  Random random(1);
  for (int i = 0; i < 101; ++i) random.Normal();
  random.NextU32();
  const std::uint64_t position = random.position();
  std::vector<double> expected;
  for (int i = 0; i < 10; ++i) expected.push_back(random.Normal());
  Random again(random.seed(), random.stream());
  again.Seek(position);
  for (const double value : expected) EXPECT_EQ(again.Normal(), value);
}

TEST(Random, StreamsAndSeedsDiffer) {
  EXPECT_NE(Random(1, 0).NextU64(), Random(1, 1).NextU64());
  EXPECT_NE(Random(1, 0).NextU64(), Random(2, 0).NextU64());
}

TEST(Random, UniformsStayBelowOne) {
  EXPECT_EQ(UnitFloat(0), 0.0f);
  EXPECT_LT(UnitFloat(~0u), 1.0f);
  EXPECT_EQ(UnitFloat(0x80000000u), 0.5f);
  Random random(3);
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double value = random.UniformDouble();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.005);  // 5.5 standard errors
}

TEST(Random, UniformIntIsEvenAndInRange) {
  Random random(4);
  std::array<int, 7> counts = {};
  for (int i = 0; i < 70'000; ++i) ++counts[random.UniformInt(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
  EXPECT_EQ(random.UniformInt(1), 0u);
  // Just above half of the range: half of the draws must be refused, or the lower numbers came twice as often.
  const std::uint64_t bound = (std::uint64_t{1} << 63) + 1;
  int low = 0;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t number = random.UniformInt(bound);
    ASSERT_LT(number, bound);
    low += number < bound / 2;
  }
  EXPECT_NEAR(low, 5'000, 250);
}

TEST(Random, NormalHasTheRightMoments) {
  Random random(5);
  double sum = 0;
  double squares = 0;
  double fourths = 0;
  constexpr int kCount = 200'000;
  for (int i = 0; i < kCount; ++i) {
    const double value = random.Normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
    fourths += value * value * value * value;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.012);
  EXPECT_NEAR(squares / kCount, 1.0, 0.02);
  EXPECT_NEAR(fourths / kCount, 3.0, 0.15);
}

}  // namespace
}  // namespace tierlib
