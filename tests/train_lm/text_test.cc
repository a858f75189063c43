#include "train_lm/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "io/temporary_folder.h"
#include "llama/random_model.h"

namespace train_lm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tierlib::StatusCode;
using tierlib::StatusOr;

std::string Repeat(const std::string& text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) repeated += text;
  return repeated;
}

TEST(Text, RanksCharactersByCodePoint) {
  const StatusOr<Text> text = MakeText(Repeat("b\u00e9a\U0001F600", 10), 2, "t");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(text->alphabet, ElementsAre(U'a', U'b', U'\u00e9', U'\U0001F600'));
  EXPECT_THAT(std::vector<std::int32_t>(text->tokens.begin(), text->tokens.begin() + 4), ElementsAre(1, 2, 0, 3));
  EXPECT_EQ(text->size(), 40);
}

TEST(Text, TrainsOnTheFirstNineTenths) {
  for (const auto& [characters, training] : {std::pair{100, 90}, std::pair{101, 90}, std::pair{109, 98}}) {
    const StatusOr<Text> text = MakeText(std::string(static_cast<std::size_t>(characters), 'x'), 4, "t");
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_EQ(text->training, training) << characters;
  }
  const StatusOr<Text> text = MakeText(std::string(109, 'x'), 4, "t");
  EXPECT_EQ(text->validation(), 11);
  EXPECT_EQ(text->windows(4), 2);  // 10 tokens have a successor
}

TEST(Text, NamesTheFirstByteThatIsNotUtf8) {
  for (const std::string& bad :
       {std::string("\x80"), std::string("\xc0\x80"), std::string("\xc1\xbf"), std::string("\xc3"),
        std::string("\xc3("), std::string("\xe0\x80\x80"), std::string("\xed\xa0\x80"), std::string("\xf0\x8f\xbf\xbf"),
        std::string("\xf4\x90\x80\x80"), std::string("\xf5\x80\x80\x80"), std::string("\xff"),
        std::string("\xe2\x82")}) {
    const StatusOr<Text> text = MakeText(std::string(50, 'x') + bad, 2, "some.txt");
    ASSERT_EQ(text.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(text.status().message()), HasSubstr("some.txt: the text is not UTF-8 at byte 50"));
  }
  EXPECT_TRUE(MakeText(Repeat("\u0080\u07ff\u0800\ue000\uffff\U00010000\U0010ffff", 9), 2, "t").ok());
}

TEST(Text, SaysWhenItIsTooShort) {
  EXPECT_THAT(std::string(MakeText("", 2, "t").status().message()), HasSubstr("empty"));
  EXPECT_THAT(std::string(MakeText(std::string(100, 'x'), 10, "t").status().message()),
              HasSubstr("has 100 characters, so its validation part has 10: a sequence needs --context + 1, 11"));
  EXPECT_TRUE(MakeText(std::string(100, 'x'), 9, "t").ok());
  EXPECT_EQ(MakeText("x", 1, "t").status().code(), StatusCode::kInvalidArgument);
}

TEST(Text, NamesAMissingFile) {
  const tierlib::Status status = LoadText("/nonexistent/text", 2).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent/text"));
  EXPECT_FALSE(LoadText("/", 2).ok());
}

TEST(Tokens, BeginEachTextAndCountInTheFingerprint) {
  const tierlib::TemporaryFolder folder;
  tierlib::WriteWhole(folder / "tokens", llama::TokenFile({{" "}, {"a"}, {"b"}}));
  tierlib::WriteWhole(folder / "text", "ab\n<|endoftext|>\n\nba\n<|endoftext|>\n");
  const StatusOr<Text> text = LoadText(folder / "text", 0, folder / "tokens");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(text->tokens, ElementsAre(1, 259, 260, 261, 1, 259, 261, 260));
  EXPECT_EQ(text->vocabulary, 262);
  EXPECT_TRUE(text->alphabet.empty());
  tierlib::WriteWhole(folder / "tokens", llama::TokenFile({{" "}, {"a"}, {"b"}, {"c"}}));
  EXPECT_NE(LoadText(folder / "text", 0, folder / "tokens").value().fingerprint, text->fingerprint);
  tierlib::WriteWhole(folder / "text", "<|endoftext|>\n");
  EXPECT_THAT(std::string(LoadText(folder / "text", 0, folder / "tokens").status().message()), HasSubstr("empty"));
}

}  // namespace
}  // namespace train_lm
