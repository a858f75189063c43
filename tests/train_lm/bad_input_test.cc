// Bad input: one line, the right exit code, existing files as they were.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "io/temporary_folder.h"
#include "llama/hugging_face.h"
#include "llama/random_model.h"
#include "tierlib/io/safetensors.h"
#include "train_lm/options.h"
#include "train_lm/process.h"
#include "train_lm/sample_text.h"
#include "train_lm/weights.h"

namespace train_lm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BadInput : public ::testing::Test {
 protected:
  BadInput() { tierlib::WriteWhole(data_, SampleText(3000)); }
  std::string Line(int exit_code, const std::vector<std::string>& more, const ProcessLimits& limits = {}) {
    return OneLineOf(RunTrainLm(SmallRun(data_, more), limits), exit_code);
  }
  // A file with the weights that the small run needs, each changed by `edit`, and with `more`.
  template <typename Edit>
  std::string Weights(Edit edit, const std::vector<tierlib::io::TensorToWrite>& more = {}) {
    const ModelShape shape{22, 16, 2, 2, 32};  // the sample text has 22 characters
    const std::vector<WeightSpec> specs = WeightsOf(shape);
    HostWeights weights = DrawWeights(shape, tierlib::DType::kF32, 1);
    std::vector<tierlib::io::TensorToWrite> tensors;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      tensors.push_back({specs[i].name, weights[i].dtype, specs[i].sizes, weights[i].bytes.data()});
      edit(tensors.back(), weights[i].bytes);
    }
    tensors.insert(tensors.end(), more.begin(), more.end());
    EXPECT_EQ(tierlib::io::WriteSafetensors(init_, tensors, {}), tierlib::OkStatus());
    return init_;
  }

  tierlib::TemporaryFolder folder_;
  std::string data_ = folder_ / "text";
  std::string init_ = folder_ / "init";
};

TEST_F(BadInput, GroupsThatAreTooSmallAreNamed) {
  EXPECT_THAT(
      Line(1, {"--bits", "8", "--group-rows", "7"}),
      HasSubstr("h.0.attn.c_attn.weight f32[96,32]{32,1}+0: a group of 7 of its 96 rows has 224 vectors, fewer than "
                "the 256 clusters of 8 bits"));
}

TEST_F(BadInput, UsageHasExitCodeTwo) {
  EXPECT_THAT(Line(2, {"--colour"}), HasSubstr("--colour"));
  EXPECT_THAT(Line(2, {"--bits", "12"}), HasSubstr("12 is not one of"));
  EXPECT_THAT(Line(2, {"--batch", "99999999999999999999"}), HasSubstr("--batch"));
  EXPECT_THAT(Line(2, {"--device-memory", "999999999TiB"}), HasSubstr("--device-memory"));
  EXPECT_THAT(OneLineOf(RunTrainLm({}), 2), HasSubstr("--data"));
}

TEST_F(BadInput, AModelOfTheOtherArchitectureIsRefused) {
  const std::vector<std::string> arch = {"--arch", "llama"};
  const auto line = [&](int exit_code, std::vector<std::string> more) {
    more.insert(more.begin(), arch.begin(), arch.end());
    return Line(exit_code, more);
  };
  EXPECT_THAT(line(2, {"--kv-heads", "3"}), HasSubstr("3 heads of keys and values do not divide 2 heads"));
  EXPECT_THAT(line(2, {"--heads", "32"}), HasSubstr("32 heads do not divide a width of 32 into even parts"));
  EXPECT_THAT(Line(2, {"--untied", "yes"}), HasSubstr("--untied is for --arch llama"));
  EXPECT_THAT(Line(2, {"--rope-theta", "5"}), HasSubstr("--rope-theta is for --arch llama"));
  EXPECT_THAT(Line(2, {"--arch", "bert"}), HasSubstr("bert is not one of gpt | llama"));
  const std::string model = folder_ / "model.bin";
  llama::WriteBytes(model, llama::Llama2cBytes(llama::RandomModel(llama::SmallShape(), 1)));
  // SmallRun's own numbers are not this model's.
  EXPECT_THAT(line(2, {"--init", model}),
              AllOf(HasSubstr("is not that of " + model), HasSubstr("leave the option out")));
  const auto alone = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--arch", "llama", "--data", data_, "--device", "emulated", "--init", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunTrainLm(arguments);
  };
  // A theta that an option would not take could not be gone on with from a checkpoint.
  llama::Model wide = llama::RandomModel(llama::SmallShape(), 1);
  wide.shape.rope_theta = 2e15;
  ASSERT_TRUE(llama::WriteHuggingFace(wide, folder_.path()).ok());
  EXPECT_THAT(
      OneLineOf(RunTrainLm({"--arch", "llama", "--data", data_, "--init", folder_.path(), "--context", "16"}), 2),
      AllOf(HasSubstr(folder_.path() + ": --rope-theta"), HasSubstr("must be from 1 to 1")));
  EXPECT_THAT(OneLineOf(alone({"--context", "25"}), 2), HasSubstr("--context 25 is beyond the 24 positions of"));
  EXPECT_THAT(OneLineOf(alone({"--context", "16"}), 1),
              HasSubstr("the model has 300 tokens, the text 22 characters; --tokenizer names its tokens"));
  EXPECT_THAT(OneLineOf(alone({"--context", "16", "--tokenizer", data_}), 1), HasSubstr(data_ + ": token 0 has "));
}

TEST_F(BadInput, AModelBeyondAnyMachineIsRefused) {
  EXPECT_THAT(Line(1, {"--width", "65536", "--layers", "1024"}), HasSubstr("parameters"));
}

TEST_F(BadInput, AModelBeyondTheDeviceIsRefusedBeforeItFillsTheHost) {
  // The weights would be 3 GiB.
  EXPECT_THAT(Line(1, {"--width", "4096", "--layers", "4"}),
              AllOf(HasSubstr("--device-memory 512 MiB is not enough"), HasSubstr("alone need")));
  tierlib::WriteWhole(data_, SampleText(100000));
  EXPECT_THAT(Line(1, {"--batch", "65536", "--context", "4096"}), HasSubstr("alone need"));
}

TEST_F(BadInput, SizesBeyondTheAddressSpaceAreNamedAsSuch) {
  EXPECT_THAT(Line(1, {"--device-memory", "900TiB"}), AllOf(HasSubstr("900 TiB"), HasSubstr("address space")));
  EXPECT_THAT(Line(1, {"--host-memory", "900TiB"}), AllOf(HasSubstr("900 TiB"), HasSubstr("address space")));
}

TEST_F(BadInput, ADeviceThatCannotTrainIsRefused) {
  tierlib::WriteWhole(folder_ / "trace", "old");
  EXPECT_THAT(Line(1, {"--device", "cuda", "--trace", folder_ / "trace"}), HasSubstr("--device cuda: "));
  EXPECT_EQ(tierlib::ReadWhole(folder_ / "trace"), "old");
  EXPECT_THAT(Line(2, {"--device", "cuda", "--bits", "3", "--dkm-form", "paper"}),
              AllOf(HasSubstr("--dkm-form"), HasSubstr("--device emulated only")));
  EXPECT_THAT(Line(2, {"--device", "cuda", "--bits", "3", "--dkm-form", "reference", "--uniquify"}),
              AllOf(HasSubstr("--uniquify"), HasSubstr("--device emulated only")));
  EXPECT_THAT(Line(2, {"--device", "cuda", "--bits", "3", "--dkm-form", "reference", "--learners", "2", "--shard"}),
              AllOf(HasSubstr("--shard"), HasSubstr("--device emulated only")));
  // What there are kernels for gets as far as the device.
  EXPECT_THAT(Line(1, {"--device", "cuda", "--bits", "3", "--dkm-form", "reference", "--per-channel-scale", "abs"}),
              HasSubstr("--device cuda: "));
}

TEST_F(BadInput, TextsAreChecked) {
  data_ = folder_ / "missing";
  EXPECT_THAT(Line(1, {}), AllOf(HasSubstr(data_), HasSubstr("No such file")));
  data_ = folder_ / "empty";
  tierlib::WriteWhole(data_, "");
  EXPECT_THAT(Line(1, {}), HasSubstr("the text is empty"));
  tierlib::WriteWhole(data_, "short");
  EXPECT_THAT(Line(1, {}), HasSubstr("has 5 characters"));
  tierlib::WriteWhole(data_, SampleText(500) + "\xff" + SampleText(500));
  EXPECT_THAT(Line(1, {}), HasSubstr("not UTF-8 at byte"));
  data_ = folder_.path();
  EXPECT_THAT(Line(1, {}), HasSubstr("cannot be read"));
}

TEST_F(BadInput, GoodWeightsAreTaken) {
  const std::string path = Weights([](auto&, auto&) {});
  const ProcessResult result = RunTrainLm(SmallRun(data_, {"--init", path, "--eval-only"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("val_loss "));
}

TEST_F(BadInput, WeightsOfOtherSizesAreNamedWithBoth) {
  Weights([](auto&, auto&) {});
  EXPECT_THAT(Line(1, {"--init", init_, "--width", "64"}),
              AllOf(HasSubstr("tensor wte.weight is [22, 32], the model needs [22, 64]"), HasSubstr(init_)));
  EXPECT_THAT(Line(1, {"--init", init_, "--context", "8"}), HasSubstr("wpe.weight is [16, 32]"));
  EXPECT_THAT(Line(1, {"--init", init_, "--layers", "1"}), HasSubstr("more layers than --layers 1"));
  EXPECT_THAT(Line(1, {"--init", init_, "--layers", "3"}), HasSubstr("has no tensor \"h.2.ln_1.weight\""));
}

TEST_F(BadInput, WeightsThatTheModelHasNotAreRefused) {
  const std::vector<float> zeros(16 * 16);
  const auto none = [](auto&, auto&) {};
  Weights(none, {{"h.0.attn.c_attn.bias", tierlib::DType::kF32, {96}, zeros.data()}});
  EXPECT_THAT(Line(1, {"--init", init_}), HasSubstr("has h.0.attn.c_attn.bias, which this model has not"));
  Weights(none, {{"lm_head.weight", tierlib::DType::kF32, {1}, zeros.data()}});
  EXPECT_THAT(Line(1, {"--init", init_}), HasSubstr("the model's head is tied"));
  Weights(none, {{"h.0.attn.bias", tierlib::DType::kF32, {1, 1, 16, 16}, zeros.data()}});  // nanoGPT's causal mask
  const ProcessResult result = RunTrainLm(SmallRun(data_, {"--init", init_, "--eval-only"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(BadInput, AWeightThatIsNoNumberIsNamedWithItsPosition) {
  Weights([](auto& tensor, auto& bytes) {
    const float nan = std::nanf("");
    if (tensor.name == "h.1.mlp.c_fc.weight") std::memcpy(bytes.data() + 4 * (3 * 32 + 17), &nan, 4);
  });
  EXPECT_THAT(Line(1, {"--init", init_}), HasSubstr("tensor h.1.mlp.c_fc.weight is NaN at [3, 17]"));
}

TEST_F(BadInput, AWeightTooLargeForItsTypeIsRefused) {
  Weights([](auto& tensor, auto& bytes) {
    const float large = 1e6f;
    if (tensor.name == "ln_f.weight") std::memcpy(bytes.data(), &large, 4);
  });
  EXPECT_THAT(Line(1, {"--init", init_, "--dtype", "f16"}), HasSubstr("does not fit into f16 at [0]"));
}

TEST_F(BadInput, DamagedWeightsAreRefused) {
  Weights([](auto&, auto&) {});
  const std::string whole = tierlib::ReadWhole(init_);
  EXPECT_THAT(Line(1, {"--init", folder_ / "missing"}), HasSubstr("No such file"));
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{9}, whole.size() / 2, whole.size() - 1}) {
    tierlib::WriteWhole(init_, whole.substr(0, bytes));
    EXPECT_THAT(Line(1, {"--init", init_}), HasSubstr(init_)) << bytes;
  }
  std::string lying = whole;
  lying[7] = '\x7f';  // a header of 2^63 bytes
  tierlib::WriteWhole(init_, lying);
  EXPECT_THAT(Line(1, {"--init", init_}), HasSubstr("header is said to have"));
}

TEST_F(BadInput, PathsThatCannotBeWrittenAreRefusedBeforeTraining) {
  for (const char* option : {"--save", "--report", "--trace"}) {
    EXPECT_THAT(Line(1, {option, folder_ / "no/such/file"}), HasSubstr("no/such/file")) << option;
    EXPECT_THAT(Line(1, {option, folder_.path()}), HasSubstr(folder_.path())) << option;
  }
  const std::string closed = folder_ / "closed";
  ASSERT_EQ(mkdir(closed.c_str(), 0555), 0);
  ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(data_.c_str(), 0644), 0);
  for (const char* option : {"--save", "--report", "--trace"}) {
    EXPECT_THAT(Line(1, {option, closed + "/file"}, {.as_nobody = true}), HasSubstr("closed/file")) << option;
  }
}

TEST_F(BadInput, AFullDiskLeavesTheOldFiles) {
  tierlib::WriteWhole(folder_ / "old", "old");
  const ProcessResult result =
      RunTrainLm(SmallRun(data_, {"--save", folder_ / "old", "--steps", "1"}), {.file_bytes = 2000});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("\ntrain_lm: " + (folder_ / "old") + ": cannot be written"));
  EXPECT_EQ(tierlib::ReadWhole(folder_ / "old"), "old");
  EXPECT_THAT(folder_.names(), ElementsAre("old", "text"));
}

TEST_F(BadInput, LeavesExistingOutputsAlone) {
  for (const char* name : {"checkpoint", "report", "trace"}) tierlib::WriteWhole(folder_ / name, "old");
  const std::vector<std::string> outputs = {"--save",  folder_ / "checkpoint", "--report", folder_ / "report",
                                            "--trace", folder_ / "trace"};
  std::vector<std::string> arguments = outputs;
  arguments.insert(arguments.end(), {"--device-memory", "10KiB"});
  Line(1, arguments);
  arguments = outputs;
  arguments.insert(arguments.end(), {"--init", folder_ / "missing"});
  Line(1, arguments);
  for (const char* name : {"checkpoint", "report", "trace"})
    EXPECT_EQ(tierlib::ReadWhole(folder_ / name), "old") << name;
  EXPECT_THAT(folder_.names(), ElementsAre("checkpoint", "report", "text", "trace"));
}

TEST_F(BadInput, ALossThatIsNoNumberIsTold) {
  EXPECT_THAT(RunTrainLm(SmallRun(data_, {"--lr", "1000", "--clip", "0", "--warmup", "0", "--steps", "60"})).err,
              HasSubstr("train_lm: step "));
}

}  // namespace
}  // namespace train_lm
