#include "train_lm/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/temporary_folder.h"
#include "train_lm/checkpoint.h"
#include "train_lm/text.h"

namespace train_lm {
namespace {

using ::testing::HasSubstr;
using tierlib::StatusCode;
using tierlib::StatusOr;

StatusOr<Options> Parse(std::vector<std::string> more) {
  more.insert(more.begin(), {"--data", "text"});
  return ParseOptions(more);
}

TEST(Options, HaveTheDefaultsOfTheExperiment) {
  const StatusOr<Options> o = Parse({});
  ASSERT_TRUE(o.ok()) << o.status();
  EXPECT_EQ(o->batch, 12);
  EXPECT_EQ(o->context, 64);
  EXPECT_EQ(o->layers, 4);
  EXPECT_EQ(o->heads, 4);
  EXPECT_EQ(o->width, 128);
  EXPECT_EQ(o->lr, 1e-3);
  EXPECT_EQ(o->min_lr, 1e-4);
  EXPECT_EQ(o->warmup, 100);
  EXPECT_EQ(o->weight_decay, 0.1);
  EXPECT_EQ(o->clip, 1.0);
  EXPECT_EQ(o->bits, 32);
  EXPECT_EQ(o->tau, 0);
  EXPECT_EQ(o->policy, tierlib::OffloadPolicy::kFit);
  EXPECT_EQ(o->offload, tierlib::OffloadMode::kMarshal);
}

TEST(Options, TrainGentlyFromGivenWeights) {
  const StatusOr<Options> o = Parse({"--init", "w"});
  ASSERT_TRUE(o.ok()) << o.status();
  EXPECT_EQ(o->lr, 3e-4);
  EXPECT_EQ(o->min_lr, 3e-5);
  EXPECT_EQ(o->warmup, 0);
  EXPECT_EQ(o->weight_decay, 0);
  EXPECT_EQ(o->steps, 300);
  const StatusOr<Options> given = Parse({"--init", "w", "--lr", "0.5", "--steps", "7"});
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->lr, 0.5);
  EXPECT_EQ(given->steps, 7);
}

TEST(Options, EvaluateInBetweenWhereAsked) {
  EXPECT_EQ(Parse({}).value().eval_every, 0);
  const Options o = Parse({"--eval-every", "250", "--eval-batches", "200"}).value();
  EXPECT_EQ(o.eval_every, 250);
  EXPECT_EQ(o.eval_batches, 200);
  EXPECT_THAT(std::string(Parse({"--eval-batches", "200"}).status().message()), HasSubstr("needs --eval-every"));
  EXPECT_THAT(std::string(Parse({"--eval-only", "--eval-every", "5"}).status().message()), HasSubstr("evaluates once"));
}

TEST(Options, SayWhatTheDeviceIsToHold) {
  EXPECT_EQ(Parse({}).value().target_peak, 0u);
  EXPECT_EQ(Parse({"--target-peak", "auto"}).value().target_peak, std::nullopt);
  EXPECT_EQ(Parse({"--target-peak", "off"}).value().target_peak, 0u);
  EXPECT_EQ(Parse({"--target-peak", "3MiB"}).value().target_peak, tierlib::MiB(3));
}

TEST(Options, TakeTheExactFormWhereWeightsHaveSixteenBits) {
  EXPECT_EQ(Parse({"--dkm-form", "exact", "--dtype", "bf16"}).value().dkm_form, tierlib::dkm::Form::kExact);
  const Options o = Parse({"--dkm-form", "exact", "--dkm-round-to", "f16"}).value();
  EXPECT_EQ(o.dkm_form, tierlib::dkm::Form::kExact);
  EXPECT_EQ(o.dkm_round_to, tierlib::DType::kF16);
  EXPECT_EQ(Parse({"--dkm-round-to", "none"}).value().dkm_round_to, std::nullopt);
}

TEST(Options, TakeDkmsEpsilonAndStart) {
  EXPECT_EQ(Parse({}).value().dkm_epsilon, 0);
  EXPECT_EQ(Parse({"--dkm-epsilon", "2e-5"}).value().dkm_epsilon, 2e-5);
  EXPECT_EQ(Parse({}).value().dkm_start, tierlib::dkm::Start::kPlusPlus);
  EXPECT_EQ(Parse({"--dkm-start", "exact"}).value().dkm_start, tierlib::dkm::Start::kExact);
}

TEST(Options, TakeGroupsScalesAndWhatOthersHave) {
  const Options o = Parse({"--bits", "2", "--group-rows", "16", "--per-channel-scale", "min-max", "--attention-floor",
                           "1e-7", "--prune-threshold", "2e-7", "--uniquify", "--dkm-form", "paper"})
                        .value();
  EXPECT_EQ(o.group_rows, 16);
  EXPECT_EQ(o.per_channel_scale, tierlib::dkm::ChannelScale::kMinMax);
  EXPECT_EQ(o.attention_floor, 1e-7);
  EXPECT_EQ(o.prune_threshold, 2e-7);
  EXPECT_TRUE(o.uniquify);
  EXPECT_TRUE(
      Parse({"--dkm-form", "exact", "--dtype", "bf16", "--dkm-round-to", "bf16", "--per-channel-scale", "abs"}).ok());
}

TEST(Options, RefuseWhatIsOutOfRange) {
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"--unknown"},
           {"--target-peak", "0"},
           {"--target-peak", "half"},
           {"--bits", "0"},
           {"--bits", "9"},
           {"--bits", "17"},
           {"--bits", "x"},
           {"--tau", "0"},
           {"--tau", "-1"},
           {"--tau", "nan"},
           {"--tau", ""},
           {"--batch", "0"},
           {"--batch", "99999999999999999999"},
           {"--layers", "-1"},
           {"--width", "130", "--heads", "4"},
           {"--dropout", "1"},
           {"--lr", "nan"},
           {"--lr", "1e-5"},
           {"--device-memory", "0"},
           {"--device-memory", "99999999999T"},
           {"--device-memory", "12 parsecs"},
           {"--host-memory", "-1"},
           {"--offload", "on"},
           {"--dtype", "f64"},
           {"--dkm-form", "exact"},
           {"--dkm-epsilon", "-1e-6"},
           {"--dkm-epsilon", "nan"},
           {"--dkm-start", "optimum"},
           {"--dkm-epsilon", "1e-6", "--dkm-form", "paper"},
           {"--dkm-round-to", "f32"},
           {"--group-rows", "-1"},
           {"--group-rows", "1.5"},
           {"--per-channel-scale", "max"},
           {"--dkm-form", "exact", "--dtype", "bf16", "--per-channel-scale", "abs"},
           {"--attention-floor", "1"},
           {"--attention-floor", "nan"},
           {"--prune-threshold", "-1e-7"},
           {"--uniquify"},
           {"--uniquify", "--bits", "3"},
           {"--uniquify", "--dkm-form", "paper"},
           {"--dkm-round-to", "f16", "--dtype", "bf16"},
           {"--device", "tpu"},
           {"--steps"},
           {"--stop-at", "9", "--steps", "8"},
           {"--init", "a", "--resume", "b"},
           {"--save", "same", "--report", "same"},
           {"--save", "text"},
           {"--save", "./text"},
           {"--init", "weights", "--report", "weights"},
           {"--eval-only", "--save", "s"},
           {"--seed", "-1"},
           {"--seed", "1", "--seed", "2"},
           {"stray"},
       }) {
    const tierlib::Status status = Parse(wrong).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << wrong[0] << ": " << status;
  }
  EXPECT_EQ(ParseOptions({}).status().code(), StatusCode::kInvalidArgument);
}

TEST(Options, PrintHelp) {
  const StatusOr<Options> o = Parse({"--help"});
  ASSERT_EQ(o.status().code(), StatusCode::kCancelled);
  for (const char* option : {"--data",
                             "--init",
                             "--steps",
                             "--batch",
                             "--context",
                             "--layers",
                             "--heads",
                             "--width",
                             "--dropout",
                             "--lr",
                             "--min-lr",
                             "--warmup",
                             "--weight-decay",
                             "--clip",
                             "--dtype",
                             "--seed",
                             "--bits",
                             "--tau",
                             "--dkm-iterations",
                             "--dkm-epsilon",
                             "--dkm-start",
                             "--dkm-form",
                             "--dkm-round-to",
                             "--group-rows",
                             "--per-channel-scale",
                             "--attention-floor",
                             "--prune-threshold",
                             "--uniquify",
                             "--device",
                             "--device-memory",
                             "--host-memory",
                             "--offload",
                             "--offload-policy",
                             "--trace",
                             "--save",
                             "--resume",
                             "--eval-only",
                             "--report",
                             "--threads",
                             "--target-peak"}) {
    EXPECT_THAT(std::string(o.status().message()), HasSubstr(option));
  }
}

class ResumeOptions : public ::testing::Test {
 protected:
  // A checkpoint made with these options, less its tensors.
  void Write(const std::vector<std::string>& arguments) {
    const StatusOr<Options> options = Parse(arguments);
    ASSERT_TRUE(options.ok()) << options.status();
    ASSERT_EQ(WriteCheckpoint(path_, Checkpoint{}, *options, Text{}), tierlib::OkStatus());
  }
  tierlib::TemporaryFolder folder_;
  std::string path_ = folder_ / "checkpoint";
};

TEST_F(ResumeOptions, ComeFromTheCheckpoint) {
  Write({"--batch", "5", "--lr", "0.1234567890123", "--bits", "3", "--tau", "1e-4", "--dkm-round-to", "bf16", "--seed",
         "9"});
  const StatusOr<Options> o = Parse({"--resume", path_, "--batch", "5", "--threads", "1"});
  ASSERT_TRUE(o.ok()) << o.status();
  EXPECT_EQ(o->lr, 0.1234567890123);
  EXPECT_EQ(o->bits, 3);
  EXPECT_EQ(o->tau, 1e-4);
  EXPECT_EQ(o->dkm_round_to, tierlib::DType::kBF16);
  EXPECT_EQ(o->seed, 9u);
  EXPECT_EQ(o->threads, 1);
}

TEST_F(ResumeOptions, AreCheckedWithThoseOfTheCheckpoint) {
  Write({"--steps", "5000", "--width", "130", "--heads", "5", "--lr", "1e-5", "--min-lr", "1e-6"});
  const StatusOr<Options> o = Parse({"--resume", path_, "--stop-at", "4000", "--width", "130", "--lr", "1e-5"});
  ASSERT_TRUE(o.ok()) << o.status();
  EXPECT_EQ(o->stop_at, 4000);
  EXPECT_EQ(Parse({"--resume", path_, "--stop-at", "5001"}).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(ResumeOptions, ThatAreDamagedAreTheFilesFault) {
  Write({"--bits", "3"});
  std::string bytes = tierlib::ReadWhole(path_);
  const std::string kept = R"(\"bits\":\"3)";
  const std::size_t at = bytes.find(kept);
  ASSERT_NE(at, std::string::npos);
  bytes[at + kept.size() - 1] = '9';
  tierlib::WriteWhole(path_, bytes);
  const tierlib::Status status = Parse({"--resume", path_}).status();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("damaged"));
}

// Checkpoints of before some options know nothing of them, and were made with their defaults.
TEST_F(ResumeOptions, ThatCameLaterHaveTheirDefaults) {
  Write({"--bits", "3", "--group-rows", "16", "--prune-threshold", "0.5"});
  const std::string bytes = tierlib::ReadWhole(path_);
  EXPECT_EQ(Parse({"--resume", path_})->group_rows, 16);
  const auto without = [&](const std::vector<std::string>& names) {
    std::string less = bytes;
    for (const std::string& name : names) {  // the file's length, and that of its header, stay
      const std::size_t at = less.find("\\\"" + name + "\\\":");
      ASSERT_NE(at, std::string::npos) << name;
      const std::size_t end = less.find_first_of(",}", at);
      ASSERT_EQ(less[end], ',') << name;
      less.replace(at, end + 1 - at, std::string(end + 1 - at, ' '));
    }
    tierlib::WriteWhole(path_, less);
  };
  without({"attention-floor", "group-rows", "per-channel-scale", "prune-threshold"});
  const StatusOr<Options> o = Parse({"--resume", path_});
  ASSERT_TRUE(o.ok()) << o.status();
  EXPECT_EQ(o->bits, 3);
  EXPECT_EQ(o->group_rows, 0);
  EXPECT_EQ(o->prune_threshold, 0);
  without({"dkm-form"});
  EXPECT_EQ(Parse({"--resume", path_}).status().code(), StatusCode::kDataLoss);
}

TEST_F(ResumeOptions, MustNotContradictTheCheckpoint) {
  Write({"--batch", "5"});
  const tierlib::Status status = Parse({"--resume", path_, "--batch", "6"}).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--batch 6, but the checkpoint"));
}

TEST_F(ResumeOptions, NeedACheckpoint) {
  EXPECT_EQ(Parse({"--resume", folder_ / "missing"}).status().code(), StatusCode::kNotFound);
  tierlib::WriteWhole(path_, "x");
  EXPECT_EQ(Parse({"--resume", path_}).status().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace train_lm
