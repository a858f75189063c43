// Stopping and going on gives the same bits as not stopping.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/temporary_folder.h"
#include "llama/hugging_face.h"
#include "llama/random_model.h"
#include "tierlib/io/safetensors.h"
#include "train_lm/process.h"
#include "train_lm/sample_text.h"

namespace train_lm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Resume : public ::testing::TestWithParam<std::vector<std::string>> {
 protected:
  Resume() { tierlib::WriteWhole(data_, SampleText(3000)); }
  std::vector<std::string> Arguments(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = GetParam();
    arguments.insert(arguments.end(), more.begin(), more.end());
    return SmallRun(data_, arguments);
  }

  tierlib::TemporaryFolder folder_;
  std::string data_ = folder_ / "text";
  std::string middle_ = folder_ / "middle";
};

TEST_P(Resume, GivesTheSameBitsAsNotStopping) {
  const nlohmann::json whole = ReportOf(folder_.path(), Arguments({"--save", folder_ / "whole"}));
  const nlohmann::json first = ReportOf(folder_.path(), Arguments({"--save", middle_, "--stop-at", "2"}));
  ASSERT_EQ(first["losses"].size(), 2u);
  EXPECT_TRUE(first["val_loss"].is_null());
  // Only the text and the checkpoint are told: it knows the rest.
  const nlohmann::json second = ReportOf(
      folder_.path(), {"--data", data_, "--device", "emulated", "--resume", middle_, "--save", folder_ / "resumed"});
  EXPECT_EQ(second["first_step"], 2);
  ASSERT_EQ(second["loss_bits"].size(), 4u);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(whole["loss_bits"][i], i < 2 ? first["loss_bits"][i] : second["loss_bits"][i - 2]) << i;
  }
  for (const char* field : {"val_loss_start_bits", "val_loss_bits", "parameters_fingerprint"}) {
    EXPECT_EQ(whole[field], second[field]) << field;
  }
  EXPECT_EQ(tierlib::ReadWhole(folder_ / "whole"), tierlib::ReadWhole(folder_ / "resumed"));
}

TEST_P(Resume, ReplacesItsOwnCheckpoint) {
  ReportOf(folder_.path(), Arguments({"--save", middle_, "--stop-at", "1"}));
  ReportOf(folder_.path(), {"--data", data_, "--device", "emulated", "--resume", middle_, "--save", middle_});
  const nlohmann::json done =
      ReportOf(folder_.path(), {"--data", data_, "--device", "emulated", "--resume", middle_, "--eval-only"});
  EXPECT_EQ(done["first_step"], 6);
  EXPECT_EQ(done["steps"], 0);
  EXPECT_THAT(folder_.names(), ElementsAre("middle", "text"));
}

TEST(Resume, OfAModelOfTokensNeedsThemAndKeepsItsNumbers) {
  const tierlib::TemporaryFolder folder;
  const std::string tokens = folder / "tokens", data = folder / "text", saved = folder / "saved";
  tierlib::WriteWhole(tokens, llama::CharacterFile(300));
  tierlib::WriteWhole(data, SampleText(3000));
  llama::Model model = llama::RandomModel(llama::SmallShape(), 1);
  model.shape.rope_theta = 2e9;
  ASSERT_TRUE(llama::WriteHuggingFace(model, folder.path()).ok());
  const std::vector<std::string> both = {"--data", data, "--device", "emulated", "--tokenizer", tokens};
  const auto with = [&both](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = both;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const std::vector<std::string> start = {"--arch",    "llama", "--init",  folder.path(),
                                          "--context", "16",    "--steps", "3"};
  const nlohmann::json whole = ReportOf(folder.path(), with(start));
  std::vector<std::string> first = start;
  first.insert(first.end(), {"--stop-at", "2", "--save", saved});
  ReportOf(folder.path(), with(first));
  const nlohmann::json second = ReportOf(folder.path(), with({"--resume", saved}));
  EXPECT_EQ(whole["val_loss_bits"], second["val_loss_bits"]);
  EXPECT_THAT(OneLineOf(RunTrainLm({"--data", data, "--device", "emulated", "--resume", saved}), 1),
              HasSubstr("or with other tokens (--tokenizer)"));
}

TEST(Stopping, InTheLastEvaluationKeepsWhatWasTrained) {
  tierlib::TemporaryFolder folder;
  tierlib::WriteWhole(folder / "text", SampleText(400000));
  const std::string save = folder / "save";
  ProcessLimits limits;
  limits.terminate_at = save;
  const ProcessResult stopped = RunTrainLm(SmallRun(folder / "text", {"--steps", "1", "--save", save}), limits);
  EXPECT_EQ(stopped.exit_code, 143) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("stopped in the evaluation; go on with --resume " + save));
  const nlohmann::json resumed =
      ReportOf(folder.path(), {"--data", folder / "text", "--device", "emulated", "--resume", save, "--eval-only"});
  EXPECT_EQ(resumed["first_step"], 1);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, Resume,
    ::testing::Values(std::vector<std::string>{"--bits", "3"},
                      std::vector<std::string>{"--bits", "2", "--dtype", "bf16"},
                      std::vector<std::string>{"--bits", "3", "--dkm-form", "exact", "--dkm-round-to", "bf16"},
                      std::vector<std::string>{"--bits", "2", "--group-rows", "20", "--per-channel-scale", "abs",
                                               "--prune-threshold", "1e-7", "--attention-floor", "1e-7"},
                      std::vector<std::string>{"--dropout", "0.3"},
                      std::vector<std::string>{"--learners", "3", "--bits", "3", "--dropout", "0.1", "--dtype", "bf16"},
                      std::vector<std::string>{"--arch", "llama", "--kv-heads", "1", "--untied", "yes", "--bits", "3",
                                               "--dropout", "0.1"}),
    [](const auto& instance) { return "Kind" + std::to_string(instance.index); });

class BadCheckpoint : public ::testing::Test {
 protected:
  BadCheckpoint() {
    tierlib::WriteWhole(data_, SampleText(3000));
    ReportOf(folder_.path(), SmallRun(data_, {"--bits", "3", "--save", path_, "--stop-at", "1"}));
  }
  std::string Line(int exit_code, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"--data", data_, "--device", "emulated", "--resume", path_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return OneLineOf(RunTrainLm(arguments), exit_code);
  }

  tierlib::TemporaryFolder folder_;
  std::string data_ = folder_ / "text";
  std::string path_ = folder_ / "checkpoint";
};

TEST_F(BadCheckpoint, OfAnotherTextIsRefused) {
  tierlib::WriteWhole(data_, SampleText(4000));
  EXPECT_THAT(Line(1), HasSubstr("made with another text"));
}

TEST_F(BadCheckpoint, WithOtherOptionsIsRefused) {
  EXPECT_THAT(Line(2, {"--width", "64"}), HasSubstr("--width 64, but the checkpoint"));
}

TEST_F(BadCheckpoint, OfPlainWeightsIsRefused) {
  const float zero = 0;
  ASSERT_EQ(tierlib::io::WriteSafetensors(path_, {{"x", tierlib::DType::kF32, {1}, &zero}}, {}), tierlib::OkStatus());
  EXPECT_THAT(Line(1), HasSubstr("not a checkpoint of train_lm"));
}

TEST_F(BadCheckpoint, WithAMissingOptimizerTensorIsRefused) {
  std::string bytes = tierlib::ReadWhole(path_);
  const std::size_t at = bytes.find("optimizer.h.0.attn.c_attn.weight");
  ASSERT_NE(at, std::string::npos);
  bytes[at + 10] = 'X';
  tierlib::WriteWhole(path_, bytes);
  EXPECT_THAT(Line(1), HasSubstr("optimizer.h.0.attn.c_attn.weight"));
}

TEST_F(BadCheckpoint, WithoutAWeightsCentroidsIsRefused) {
  std::string bytes = tierlib::ReadWhole(path_);
  const std::size_t at = bytes.find("dkm.h.0.attn.c_attn.weight");
  ASSERT_NE(at, std::string::npos);
  bytes[at + 4] = 'X';
  tierlib::WriteWhole(path_, bytes);
  EXPECT_THAT(Line(1), HasSubstr("centroids or tau of h.0.attn.c_attn.weight"));
}

TEST_F(BadCheckpoint, OfTooManyLevelsIsRefused) {
  const float zero = 0;
  const std::string metadata = R"({"version":)" + std::string(100000, '[') + std::string(100000, ']') + "}";
  ASSERT_EQ(tierlib::io::WriteSafetensors(path_, {{"x", tierlib::DType::kF32, {1}, &zero}}, {{"train_lm", metadata}}),
            tierlib::OkStatus());
  EXPECT_THAT(Line(1), HasSubstr("metadata is damaged"));
}

TEST_F(BadCheckpoint, ThatIsBeyondTheStopIsTold) {
  EXPECT_THAT(Line(1, {"--stop-at", "1"}), HasSubstr("is at step 1"));
}

TEST_F(BadCheckpoint, CutAnywhereIsRefused) {
  const std::string whole = tierlib::ReadWhole(path_);
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{7}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    tierlib::WriteWhole(path_, whole.substr(0, bytes));
    EXPECT_THAT(Line(1), HasSubstr(path_)) << bytes;
  }
}

}  // namespace
}  // namespace train_lm
