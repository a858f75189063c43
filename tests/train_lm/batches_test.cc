#include "train_lm/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "train_lm/philox.h"

namespace train_lm {
namespace {

// Tokens are their own positions, so that a batch tells where it came from.
Text Counting(std::int64_t size) {
  Text text;
  for (std::int64_t i = 0; i < size; ++i) text.tokens.push_back(static_cast<std::int32_t>(i));
  text.training = size * 9 / 10;
  return text;
}

TEST(Philox, GivesThePublishedNumbers) {
  // Random123's known answers for counter and key of zeros; the stream of zeros is not used otherwise.
  const auto bits = Philox(0, static_cast<RandomStream>(0), 0, 0);
  EXPECT_EQ(bits[0], 0x6627e8d5u);
  EXPECT_EQ(bits[1], 0xe169c58du);
  EXPECT_EQ(bits[2], 0xbc57ac4cu);
  EXPECT_EQ(bits[3], 0x9b00dbd8u);
}

TEST(Batches, TakeEveryOffsetOfTheTrainingPart) {
  const Text text = Counting(40);  // 36 for training: offsets 0 to 27 with a context of 8
  std::set<std::int32_t> offsets;
  for (std::uint64_t step = 0; step < 400; ++step) {
    const Batch batch = TrainingBatch(text, 8, 0, 2, 1, step);
    ASSERT_EQ(batch.sequences, 2);
    ASSERT_EQ(batch.tokens.size(), 16u);
    for (std::size_t i = 0; i < 16; ++i) {
      ASSERT_EQ(batch.targets[i], batch.tokens[i] + 1);
      ASSERT_LT(batch.targets[i], 36);
      if (i % 8 > 0) {
        ASSERT_EQ(batch.tokens[i], batch.tokens[i - 1] + 1);
      }
    }
    offsets.insert({batch.tokens[0], batch.tokens[8]});
  }
  EXPECT_EQ(offsets.size(), 28u);
}

TEST(Batches, DependOnSeedAndStepAlone) {
  const Text text = Counting(100'000);
  EXPECT_EQ(TrainingBatch(text, 8, 0, 3, 5, 7).tokens, TrainingBatch(text, 8, 0, 3, 5, 7).tokens);
  EXPECT_NE(TrainingBatch(text, 8, 0, 3, 5, 7).tokens, TrainingBatch(text, 8, 0, 3, 5, 8).tokens);
  EXPECT_NE(TrainingBatch(text, 8, 0, 3, 5, 7).tokens, TrainingBatch(text, 8, 0, 3, 6, 7).tokens);
}

TEST(Batches, EstimateFromEveryOffsetOfTheValidationPart) {
  const Text text = Counting(400);  // the last 40 for validation: offsets 360 to 391 with a context of 8
  std::set<std::int32_t> offsets;
  for (std::uint64_t draw = 0; draw < 600; ++draw) {
    const Batch batch = EstimateBatch(text, 8, 0, 2, 1, draw);
    ASSERT_EQ(batch.sequences, 2);
    ASSERT_EQ(batch.tokens.size(), 16u);
    for (std::size_t i = 0; i < 16; ++i) {
      ASSERT_EQ(batch.targets[i], batch.tokens[i] + 1);
      ASSERT_LT(batch.targets[i], 400);
    }
    offsets.insert({batch.tokens[0], batch.tokens[8]});
  }
  EXPECT_EQ(offsets.size(), 32u);
  EXPECT_EQ(*offsets.begin(), 360);
  // A learner's share is a part of the whole.
  const Batch whole = EstimateBatch(text, 8, 0, 4, 1, 3), share = EstimateBatch(text, 8, 2, 2, 1, 3);
  EXPECT_TRUE(std::equal(share.tokens.begin(), share.tokens.end(), whole.tokens.begin() + 16));
}

TEST(Batches, CoverTheValidationPartOnce) {
  const Text text = Counting(410);  // 41 for validation: 5 windows of 8
  ASSERT_EQ(text.windows(8), 5);
  std::int32_t next = 369;
  for (std::int64_t first = 0; first < 5; first += 2) {
    const Batch batch = ValidationBatch(text, 8, first, first == 4 ? 1 : 2);
    for (const std::int32_t token : batch.tokens) EXPECT_EQ(token, next++);
    EXPECT_EQ(batch.targets.back(), batch.tokens.back() + 1);
  }
  EXPECT_EQ(next, 409);
}

}  // namespace
}  // namespace train_lm
