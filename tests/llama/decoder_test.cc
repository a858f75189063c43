// The decoder: positions and context, and that what it keeps of earlier tokens is all that matters of them.
#include "llama/decoder.h"

#include <cmath>

#include "gtest/gtest.h"
#include "llama/decoder_model.h"
#include "llama/random_model.h"

namespace llama {
namespace {

TEST(Decoder, SaysTheSameAfterAReset) {
  DecoderModel model = ForDecoder(RandomModel(SmallShape(), 3));
  Decoder decoder(model.shape, std::move(model.weights));
  const float first = (*decoder.Next(5).value());
  const float second = (*decoder.Next(9).value());
  EXPECT_NE(first, second);
  decoder.Reset();
  EXPECT_EQ(*decoder.Next(5).value(), first);
  EXPECT_EQ(*decoder.Next(9).value(), second);
}

TEST(Decoder, LooksAtWhatCameBeforeAndAtItsOrder) {
  const Model model = RandomModel(SmallShape(), 4);
  const auto last = [&](const std::vector<std::int32_t>& tokens) { return AllLogits(model, tokens).back(); };
  EXPECT_NE(last({1, 2, 3}), last({2, 1, 3})) << "positions turn keys";
  EXPECT_NE(last({1, 2, 3}), last({2, 3}));
  EXPECT_EQ(last({1, 2, 3}), last({1, 2, 3}));
}

TEST(Decoder, RefusesWhatIsBeyondItsContextOrVocabulary) {
  DecoderModel model = ForDecoder(RandomModel(SmallShape(), 3));
  Decoder decoder(model.shape, std::move(model.weights));
  EXPECT_EQ(decoder.Next(300).status().code(), tierlib::StatusCode::kInvalidArgument);
  EXPECT_EQ(decoder.Next(-1).status().code(), tierlib::StatusCode::kInvalidArgument);
  for (int i = 0; i < 24; ++i) ASSERT_TRUE(decoder.Next(i).ok());
  EXPECT_EQ(decoder.Next(0).status().code(), tierlib::StatusCode::kOutOfRange);
  EXPECT_EQ(decoder.position(), 24);
}

}  // namespace
}  // namespace llama
