// PlanCopy is plain C++ and tested on every machine.
#include "allocator/cuda/copy_plan.h"

#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace tierlib {
namespace {

constexpr std::size_t kMaxPitch = 1 << 20;

class CopyPlan : public ::testing::Test {
 protected:
  CopyRun Run(std::size_t to, std::size_t from, std::size_t bytes) {
    return CopyRun{destination_.data() + to, source_.data() + from, bytes};
  }

  std::vector<std::uint8_t> destination_ = std::vector<std::uint8_t>(1 << 16);
  std::vector<std::uint8_t> source_ = std::vector<std::uint8_t>(1 << 16);
};

// What a copy engine does with a plan.
void Execute(const PitchedCopy& copy) {
  for (std::size_t row = 0; row < copy.rows; ++row) {
    std::memcpy(static_cast<std::uint8_t*>(copy.destination) + row * copy.destination_pitch,
                static_cast<const std::uint8_t*>(copy.source) + row * copy.source_pitch, copy.row_bytes);
  }
}

TEST_F(CopyPlan, JoinsRunsThatContinueEachOtherAtBothEnds) {
  const auto plan = PlanCopy({Run(0, 100, 40), Run(40, 140, 60), Run(100, 200, 4)}, kMaxPitch);
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_EQ(plan[0].row_bytes, 104u);
  EXPECT_EQ(plan[0].rows, 1u);
}

TEST_F(CopyPlan, MakesOnePitchedCopyOfTheRowsOfASlice) {
  std::vector<CopyRun> runs;
  for (std::size_t row = 0; row < 64; ++row) runs.push_back(Run(row * 32, row * 512, 32));
  const auto plan = PlanCopy(runs, kMaxPitch);
  ASSERT_EQ(plan.size(), 1u);
  EXPECT_EQ(plan[0].rows, 64u);
  EXPECT_EQ(plan[0].row_bytes, 32u);
  EXPECT_EQ(plan[0].source_pitch, 512u);
  EXPECT_EQ(plan[0].destination_pitch, 32u);
}

TEST_F(CopyPlan, StartsAnewWhereSizesOrDistancesChange) {
  const auto plan =
      PlanCopy({Run(0, 0, 16), Run(16, 64, 16), Run(32, 128, 16), Run(48, 200, 16), Run(64, 264, 8)}, kMaxPitch);
  ASSERT_EQ(plan.size(), 3u);
  EXPECT_EQ(plan[0].rows, 3u);
  EXPECT_EQ(plan[1].rows, 1u);
  EXPECT_EQ(plan[2].row_bytes, 8u);
}

TEST_F(CopyPlan, NeverExceedsTheLargestPitch) {
  EXPECT_EQ(PlanCopy({Run(0, 0, 16), Run(16, 512, 16)}, 512).size(), 1u);
  EXPECT_EQ(PlanCopy({Run(0, 0, 16), Run(16, 513, 16)}, 512).size(), 2u);
}

TEST_F(CopyPlan, KeepsRunsApartThatGoBackwards) {
  EXPECT_EQ(PlanCopy({Run(64, 512, 16), Run(32, 256, 16)}, kMaxPitch).size(), 2u);
}

TEST_F(CopyPlan, LeavesOutEmptyRuns) {
  EXPECT_TRUE(PlanCopy({Run(0, 0, 0)}, kMaxPitch).empty());
  EXPECT_TRUE(PlanCopy({}, kMaxPitch).empty());
}

TEST_F(CopyPlan, CutsARunAtTheBordersOfRegisteredRanges) {
  RegisteredRanges registered;
  registered.Add(destination_.data() + 256, 256);
  registered.Add(destination_.data() + 512, 256);  // adjacent
  const auto plan = PlanCopy({Run(200, 0, 700)}, kMaxPitch, registered);
  ASSERT_EQ(plan.size(), 4u) << "at 256, 512 and 768";
  EXPECT_EQ(plan[0].row_bytes, 56u);
  EXPECT_EQ(plan[1].row_bytes, 256u);
  EXPECT_EQ(plan[1].source, source_.data() + 56);
  EXPECT_EQ(plan[2].row_bytes, 256u);
  EXPECT_EQ(plan[3].row_bytes, 132u);
}

TEST_F(CopyPlan, JoinsNothingAcrossABorder) {
  RegisteredRanges registered;
  registered.Add(source_.data() + 0, 256);
  registered.Add(source_.data() + 256, 256);
  EXPECT_EQ(PlanCopy({Run(0, 0, 256), Run(256, 256, 256)}, kMaxPitch, registered).size(), 2u);
  EXPECT_EQ(PlanCopy({Run(0, 0, 64), Run(64, 64, 192)}, kMaxPitch, registered).size(), 1u);
}

TEST_F(CopyPlan, LetsNoPitchedCopySpanABorder) {
  RegisteredRanges registered;
  registered.Add(source_.data() + 0, 256);
  registered.Add(source_.data() + 256, 256);
  std::vector<CopyRun> runs;
  for (std::size_t row = 0; row < 8; ++row) runs.push_back(Run(row * 32, row * 64, 32));  // none crosses it by itself
  const auto plan = PlanCopy(runs, kMaxPitch, registered);
  ASSERT_EQ(plan.size(), 2u);
  EXPECT_EQ(plan[0].rows, 4u);
  EXPECT_EQ(plan[1].rows, 4u);
}

bool SpansABorder(const PitchedCopy& copy, const RegisteredRanges& registered) {
  const auto spans = [&](const void* from, std::size_t pitch) {
    const auto begin = reinterpret_cast<std::uintptr_t>(from);
    return registered.NextBorder(begin) < begin + (copy.rows - 1) * pitch + copy.row_bytes;
  };
  return spans(copy.source, copy.source_pitch) || spans(copy.destination, copy.destination_pitch);
}

TEST_F(CopyPlan, MovesExactlyTheBytesOfItsRuns) {
  constexpr std::uint32_t kSeed = 20;
  SCOPED_TRACE(kSeed);
  std::mt19937 random(kSeed);
  for (std::size_t i = 0; i < source_.size(); ++i) source_[i] = static_cast<std::uint8_t>(random());
  const int rounds = 20000 / TIERLIB_RANDOM_SCALE;
  for (int round = 0; round < rounds; ++round) {
    RegisteredRanges registered;  // in every other round, at both ends
    for (std::uint8_t* memory : {source_.data(), destination_.data()}) {
      for (std::size_t at = random() % 64; round % 2 == 0 && at < 256;) {
        const std::size_t size = 1 + random() % 32;
        registered.Add(memory + at, size);
        at += size + (random() % 2) * (random() % 16);
      }
    }
    std::vector<CopyRun> runs;
    std::size_t to = random() % 64;
    std::size_t from = random() % 64;
    std::size_t bytes = random() % 9;
    std::size_t gap_to = random() % 3;
    std::size_t gap_from = random() % 3;
    for (int i = 0; i < 12; ++i) {
      if (random() % 4 == 0) bytes = random() % 9;
      if (random() % 4 == 0) gap_to = random() % 3;
      if (random() % 4 == 0) gap_from = random() % 3;
      runs.push_back(Run(to, from, bytes));
      to += bytes + gap_to;
      from += bytes + gap_from;
    }
    std::fill(destination_.begin(), destination_.begin() + 256, std::uint8_t{0});
    for (const PitchedCopy& copy : PlanCopy(runs, kMaxPitch, registered)) {
      ASSERT_FALSE(SpansABorder(copy, registered)) << "round " << round;
      Execute(copy);
    }
    std::vector<std::uint8_t> expected(256);
    for (const CopyRun& run : runs) {
      const std::size_t at = static_cast<std::uint8_t*>(run.destination) - destination_.data();
      std::memcpy(expected.data() + at, run.source, run.bytes);
    }
    ASSERT_EQ(std::memcmp(destination_.data(), expected.data(), expected.size()), 0) << "round " << round;
  }
}

}  // namespace
}  // namespace tierlib
