// Tokens: joined as the plainest algorithm joins them, decoded to the text they came from.
#include "llama/tokenizer.h"

#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "io/temporary_folder.h"
#include "llama/random_model.h"

namespace llama {
namespace {

using tierlib::StatusCode;
using tierlib::StatusOr;

class Tokens : public testing::Test {
 protected:
  StatusOr<Tokenizer> Read(const std::string& bytes, std::int64_t vocabulary) {
    WriteBytes(path_, bytes);
    return Tokenizer::Read(path_, vocabulary);
  }
  std::string DecodeAll(const Tokenizer& tokenizer, const std::vector<std::int32_t>& tokens) {
    std::string text;
    std::int32_t previous = Tokenizer::kBegin;
    for (const std::int32_t token : tokens) {
      text += tokenizer.Decode(previous, token);
      previous = token;
    }
    return text;
  }

  const tierlib::TemporaryFolder folder_;
  const std::string path_ = folder_ / "tokens.bin";
};

TEST_F(Tokens, AreJoinedByScoreAndThenFromTheLeft) {
  const Tokenizer tokenizer =
      Read(TokenFile({{" ", -9}, {"a", -9}, {"b", -9}, {"ab", -2}, {"ba", -1}, {"aba", -3}, {" a", -4}}), 259 + 7)
          .value();
  const std::int32_t ab = 262, ba = 263, aba = 264;
  const std::int32_t space = 259, space_a = 265;
  EXPECT_EQ(tokenizer.Encode("abab"), (std::vector<std::int32_t>{space, aba, 261})) << "ba first, then a and ba";
  EXPECT_EQ(tokenizer.Encode("bab"), (std::vector<std::int32_t>{space, ba, 261}));
  EXPECT_EQ(tokenizer.Encode("aab"), (std::vector<std::int32_t>{space_a, ab}));
  EXPECT_EQ(tokenizer.Encode("aaba"), (std::vector<std::int32_t>{space_a, aba}))
      << "ba, then a and ba, then what is left";
  EXPECT_EQ(tokenizer.Encode(""), std::vector<std::int32_t>());
}

// The pair of the highest score, the leftmost of equals, again and again.
std::vector<std::int32_t> JoinPlainly(const std::vector<Piece>& pieces, std::vector<std::string> parts) {
  const auto find = [&](const std::string& text) {
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (pieces[i].text == text) return static_cast<std::int32_t>(i);
    }
    return -1;
  };
  for (;;) {
    std::size_t best = parts.size();
    float score = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const std::int32_t joined = find(parts[i] + parts[i + 1]);
      if (joined < 0) continue;
      const float its = pieces[static_cast<std::size_t>(joined)].score;
      if (best < parts.size() && its <= score) continue;
      best = i;
      score = its;
    }
    if (best == parts.size()) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  std::vector<std::int32_t> tokens;
  for (const std::string& part : parts) tokens.push_back(259 + find(part));
  return tokens;
}

TEST_F(Tokens, AreThoseOfThePlainestAlgorithm) {
  tierlib::Random random(11);
  for (int round = 0; round < 200; ++round) {
    std::vector<Piece> pieces = {{" ", -100}, {"a", -100}, {"b", -100}, {"c", -100}};
    for (int i = 0; i < 12; ++i) {
      const std::string joined =
          pieces[random.UniformInt(pieces.size())].text + pieces[random.UniformInt(pieces.size())].text;
      bool known = false;
      for (const Piece& piece : pieces) known |= piece.text == joined;
      if (!known) pieces.push_back({joined, -static_cast<float>(random.UniformInt(6))});  // scores repeat
    }
    const Tokenizer tokenizer = Read(TokenFile(pieces), 259 + static_cast<std::int64_t>(pieces.size())).value();
    std::string text;
    std::vector<std::string> parts = {" "};
    for (std::uint64_t length = 1 + random.UniformInt(60); length > 0; --length) {
      text += " abc"[random.UniformInt(4)];
      parts.emplace_back(1, text.back());
    }
    ASSERT_EQ(tokenizer.Encode(text), JoinPlainly(pieces, parts)) << "round " << round << ", text '" << text << "'";
    ASSERT_EQ(DecodeAll(tokenizer, tokenizer.Encode(text)), text);
  }
}

TEST_F(Tokens, OfCharactersThatThereAreNotAreBytes) {
  const Tokenizer tokenizer = Read(TokenFile({{" ", -1}, {"é", -1}}), 261).value();
  EXPECT_EQ(tokenizer.Encode("é€"), (std::vector<std::int32_t>{259, 260, 3 + 0xe2, 3 + 0x82, 3 + 0xac}));
  EXPECT_EQ(DecodeAll(tokenizer, tokenizer.Encode("é€")), "é€");
  const std::string broken = "\xff\xe2\x82";  // no UTF-8
  EXPECT_EQ(DecodeAll(tokenizer, tokenizer.Encode(broken)), broken);
  EXPECT_EQ(tokenizer.Decode(0, Tokenizer::kEnd) + tokenizer.Decode(0, -5) + tokenizer.Decode(0, 261), "");
}

TEST_F(Tokens, OfADamagedFileAreRefused) {
  const std::string bytes = TokenFile({{" ", -1}, {"ab", -1}});
  const auto refused = [&](const std::string& file, std::int64_t vocabulary, StatusCode code, const char* words) {
    const tierlib::Status status = Read(file, vocabulary).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_NE(status.message().find(path_ + ": "), std::string_view::npos) << status;
    EXPECT_NE(status.message().find(words), std::string_view::npos) << status;
  };
  refused(bytes.substr(0, bytes.size() - 1), 261, StatusCode::kDataLoss, "token 260 has 2 bytes");
  refused(bytes.substr(0, 9), 261, StatusCode::kDataLoss, "ends early");
  refused(bytes, 260, StatusCode::kDataLoss, "more than 260 tokens");
  refused(bytes, 262, StatusCode::kDataLoss, "ends early");
  refused(bytes, 100, StatusCode::kInvalidArgument, "at least 259");
  std::string negative = bytes;
  const std::int32_t length = -3;
  std::memcpy(negative.data() + 8, &length, sizeof length);
  refused(negative, 261, StatusCode::kDataLoss, "token 0 has -3 bytes");
}

}  // namespace
}  // namespace llama
