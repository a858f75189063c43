// A trained model of ../shared: its text, dense and with packed weights, from the program as a user runs it. Skipped
// where it is not there.
#include <cstdlib>
#include <filesystem>
#include <string>

#include "gtest/gtest.h"
#include "io/run_program.h"
#include "io/temporary_folder.h"

namespace llama {
namespace {

using tierlib::Ran;
using tierlib::RunProgramAt;

constexpr char kStory[] =
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
    "big, red ball.";

class Stories : public testing::Test {
 protected:
  void SetUp() override {
    const char* given = std::getenv("TIERLIB_SHARED");
    const std::string shared = given != nullptr ? given : std::string(TIERLIB_SOURCE_DIR) + "/../shared";
    model_ = shared + "/weights/stories260K/stories260K.bin";
    tokenizer_ = shared + "/weights/stories260K/tok512.bin";
    if (!std::filesystem::exists(model_)) GTEST_SKIP() << "no " << model_ << " (TIERLIB_SHARED names its folder)";
  }
  Ran Run(const std::string& command, const std::string& model, std::vector<std::string> more) {
    std::vector<std::string> arguments = {command, "--model", model, "--tokenizer", tokenizer_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgramAt(LLAMA_PROGRAM, arguments);
  }
  double PerplexityOf(const std::string& model, const std::string& text) {
    const Ran ran = Run("perplexity", model, {"--text", text});
    EXPECT_EQ(ran.exit_code, 0) << ran.errors;
    double value = 0;
    EXPECT_EQ(std::sscanf(ran.out.c_str(), "perplexity %lf over", &value), 1) << ran.out;
    return value;
  }

  const tierlib::TemporaryFolder folder_;
  std::string model_, tokenizer_;
};

TEST_F(Stories, AreToldByTheDenseModel) {
  const Ran ran = Run("generate", model_, {"--tokens", "60"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.out.substr(0, sizeof kStory - 1), kStory);
  const Ran prompted = Run("generate", model_, {"--tokens", "60", "--prompt", "Once upon a time, there was"});
  EXPECT_EQ(prompted.out.substr(0, sizeof kStory - 1), kStory) << "it goes on as it would have begun";
}

TEST_F(Stories, AreToldFromPackedWeightsAndWorseWithFewerBits) {
  ASSERT_EQ(RunProgramAt(LLAMA_PROGRAM, {"convert", model_, folder_.path()}).exit_code, 0);
  const std::string text = folder_ / "text";
  ASSERT_EQ(RunProgramAt(LLAMA_PROGRAM,
                         {"generate", "--model", model_, "--tokenizer", tokenizer_, "--temperature", "1", "--seed", "3",
                          "--texts", "5"},
                         "/dev/null", text)
                .exit_code,
            0);
  const double dense = PerplexityOf(folder_.path(), text);
  EXPECT_NEAR(dense, PerplexityOf(model_, text), 1e-3);
  double before = dense;
  for (const char* bits : {"6", "4", "3"}) {
    const std::string packed = folder_ / ("packed" + std::string(bits) + ".safetensors");
    ASSERT_EQ(RunProgramAt(TIERLIB_PALETTIZE, {folder_ / "model.safetensors", packed, "--bits", bits}).exit_code, 0);
    const double perplexity = PerplexityOf(packed, text);
    EXPECT_GT(perplexity, before) << bits;
    before = perplexity;
    if (bits[0] == '6') {
      EXPECT_LT(perplexity, 1.1 * dense);
      const Ran ran = Run("generate", packed, {"--tokens", "20"});
      EXPECT_EQ(ran.out.substr(0, 40), std::string(kStory).substr(0, 40));
    }
  }
}

TEST_F(Stories, AreRefusedInOneLineWhereTheModelIsNone) {
  const Ran ran = Run("generate", tokenizer_, {});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.errors.rfind("llama: " + tokenizer_ + ": ", 0), 0u) << ran.errors;
  EXPECT_EQ(std::count(ran.errors.begin(), ran.errors.end(), '\n'), 1);
  EXPECT_EQ(RunProgramAt(LLAMA_PROGRAM, {"generate"}).exit_code, 2);
}

}  // namespace
}  // namespace llama
