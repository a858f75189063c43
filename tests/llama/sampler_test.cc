// What comes next: the likeliest token, or one drawn as the softmax says; and the program's perplexity, summed by hand.
#include "llama/sampler.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "llama/hugging_face.h"
#include "llama/random_model.h"
#include "llama/tokenizer.h"

namespace llama {
namespace {

const std::vector<float> kLogits = {1.0f, -2.0f, 2.5f, 2.5f, 0.0f};
constexpr std::int64_t kCount = 5;

TEST(Sampler, WithoutTemperatureTakesTheLowestOfTheLikeliest) {
  Sampler sampler(0, 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(sampler.Next(kLogits.data(), kCount), 2);
}

TEST(Sampler, ProbabilitiesSumToOneHoweverLargeTheLogits) {
  for (const float shift : {0.0f, 1000.0f, -1000.0f}) {
    std::vector<float> logits = kLogits;
    for (float& logit : logits) logit += shift;
    double sum = 0;
    for (std::int32_t i = 0; i < kCount; ++i) sum += std::exp(LogProbability(logits.data(), kCount, i));
    EXPECT_NEAR(sum, 1, 1e-12) << shift;
  }
}

TEST(Sampler, DrawsAsTheSoftmaxSays) {
  for (const double temperature : {1.0, 0.5}) {
    Sampler sampler(temperature, 7), same(temperature, 7);
    std::vector<float> scaled = kLogits;
    for (float& logit : scaled) logit = static_cast<float>(logit / temperature);
    std::vector<int> drawn(kCount);
    constexpr int kDraws = 40000;
    for (int i = 0; i < kDraws; ++i) {
      const std::int32_t token = sampler.Next(kLogits.data(), kCount);
      ASSERT_EQ(same.Next(kLogits.data(), kCount), token) << "a seed draws the same again";
      ++drawn[static_cast<std::size_t>(token)];
    }
    for (std::int32_t i = 0; i < kCount; ++i) {
      const double p = std::exp(LogProbability(scaled.data(), kCount, i));
      EXPECT_NEAR(drawn[static_cast<std::size_t>(i)], p * kDraws, 5 * std::sqrt(p * (1 - p) * kDraws)) << i;
    }
  }
}

TEST(Program, PerplexityIsThatOfItsTexts) {
  const tierlib::TemporaryFolder folder;
  const Model model = InHalves(RandomModel(SmallShape(), 9));
  ASSERT_TRUE(WriteHuggingFace(model, folder.path()).ok());
  WriteBytes(folder / "tokens", CharacterFile(300));
  WriteBytes(folder / "texts", "#$%\n<|endoftext|>\n('&%\n");
  const Tokenizer tokenizer = Tokenizer::Read(folder / "tokens", 300).value();
  double sum = 0;
  int count = 0;
  for (const char* text : {"#$%", "('&%"}) {
    std::vector<std::int32_t> tokens = tokenizer.Encode(text);
    tokens.insert(tokens.begin(), Tokenizer::kBegin);
    const std::vector<std::vector<float>> logits = AllLogits(model, tokens);
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i, ++count) {
      sum -= LogProbability(logits[i].data(), 300, tokens[i + 1]);
    }
  }
  const tierlib::Ran ran = tierlib::RunProgramAt(LLAMA_PROGRAM, {"perplexity", "--model", folder.path(), "--tokenizer",
                                                                 folder / "tokens", "--text", folder / "texts"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  double perplexity = 0;
  int tokens = 0;
  ASSERT_EQ(std::sscanf(ran.out.c_str(), "perplexity %lf over %d tokens", &perplexity, &tokens), 2) << ran.out;
  EXPECT_EQ(tokens, count);
  EXPECT_NEAR(perplexity, std::exp(sum / count), 1e-3 * perplexity);
}

TEST(Program, WritesTheSameTextsForASeedAndStopsAtTheContext) {
  const tierlib::TemporaryFolder folder;
  ASSERT_TRUE(WriteHuggingFace(RandomModel(SmallShape(), 9), folder.path()).ok());
  WriteBytes(folder / "tokens", CharacterFile(300));
  const auto generate = [&](const std::string& prompt, const std::string& seed) {
    return tierlib::RunProgramAt(
        LLAMA_PROGRAM, {"generate", "--model", folder.path(), "--tokenizer", folder / "tokens", "--temperature", "1",
                        "--texts", "2", "--prompt", prompt, "--seed", seed});
  };
  const tierlib::Ran first = generate("", "3");
  ASSERT_EQ(first.exit_code, 0) << first.errors;
  EXPECT_EQ(generate("", "3").out, first.out);
  EXPECT_NE(generate("", "4").out, first.out);
  EXPECT_NE(first.out.find("\n<|endoftext|>\n"), std::string::npos);
  // 24 positions: the begin, the space in front, and 22 characters leave none for an answer's first token to follow.
  EXPECT_EQ(generate(std::string(22, '#'), "3").exit_code, 0);
  const tierlib::Ran longer = generate(std::string(23, '#'), "3");
  EXPECT_EQ(longer.exit_code, 1);
  EXPECT_NE(longer.errors.find("the model's context of 24 tokens is full"), std::string::npos) << longer.errors;
}

}  // namespace
}  // namespace llama
