// --learners: the same training as by one learner alone, whatever the batch, and less memory for each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/temporary_folder.h"
#include "train_lm/process.h"
#include "train_lm/sample_text.h"

namespace train_lm {
namespace {

using ::testing::HasSubstr;

class Learners : public ::testing::Test {
 protected:
  Learners() { tierlib::WriteWhole(data_, SampleText(3000)); }
  nlohmann::json Run(const std::vector<std::string>& more) { return ReportOf(folder_.path(), SmallRun(data_, more)); }

  tierlib::TemporaryFolder folder_;
  std::string data_ = folder_ / "text";
};

void ExpectNear(const nlohmann::json& one, const nlohmann::json& many, double tolerance) {
  ASSERT_EQ(one["losses"].size(), many["losses"].size());
  for (std::size_t step = 0; step < one["losses"].size(); ++step) {
    EXPECT_NEAR(one["losses"][step].get<double>(), many["losses"][step].get<double>(), tolerance) << step;
  }
  for (const char* field : {"val_loss_start", "val_loss"}) {
    EXPECT_NEAR(one[field].get<double>(), many[field].get<double>(), tolerance) << field;
  }
}

// 5 sequences: for 2 learners 3 and 2, for 3 learners 2, 2 and 1.
TEST_F(Learners, TrainAsOneDoesOnTheSameBatches) {
  for (const std::vector<std::string>& kind : {std::vector<std::string>{"--bits", "32"},
                                               {"--bits", "3"},
                                               {"--arch", "llama", "--kv-heads", "1", "--bits", "3"}}) {
    std::vector<std::string> alone = kind;
    alone.insert(alone.end(), {"--batch", "5"});
    const nlohmann::json one = Run(alone);
    for (const char* learners : {"2", "3", "5"}) {
      std::vector<std::string> shared = alone;
      shared.insert(shared.end(), {"--learners", learners});
      ExpectNear(one, Run(shared), 2e-4);
    }
  }
}

TEST_F(Learners, TrainAsOneDoesInSixteenBits) {
  const std::vector<std::string> kind = {"--bits", "3", "--dtype", "bf16", "--dkm-form", "exact"};
  std::vector<std::string> shared = kind;
  shared.insert(shared.end(), {"--learners", "4"});
  ExpectNear(Run(kind), Run(shared), 2e-3);
}

TEST_F(Learners, GiveTheSameBitsInEveryRunAndForAnyNumberOfThreads) {
  const auto bits = [&](const char* threads) {
    const nlohmann::json r = Run({"--learners", "3", "--bits", "3", "--dtype", "bf16", "--threads", threads});
    return nlohmann::json{r["loss_bits"], r["val_loss_bits"], r["parameters_fingerprint"]};
  };
  const nlohmann::json first = bits("1");
  EXPECT_EQ(bits("1"), first);
  EXPECT_EQ(bits("3"), first);
}

TEST_F(Learners, HoldTheirShareOfTheBatchEach) {
  const std::vector<std::string> kind = {"--batch", "8", "--context", "64", "--offload-policy", "all"};
  std::vector<std::string> shared = kind;
  shared.insert(shared.end(), {"--learners", "4"});
  const nlohmann::json one = Run(kind), four = Run(shared);
  EXPECT_EQ(one["learners"], 1);
  EXPECT_EQ(four["learners"], 4);
  ASSERT_EQ(one["host_peak_bytes_by_learner"].size(), 1u);
  ASSERT_EQ(four["host_peak_bytes_by_learner"].size(), 4u);
  EXPECT_EQ(one["host_peak_bytes_by_learner"][0], one["host_peak_bytes"]);
  for (const nlohmann::json& peak : four["host_peak_bytes_by_learner"]) {
    EXPECT_LT(peak.get<double>(), one["host_peak_bytes"].get<double>() * 0.27);
    EXPECT_GT(peak.get<double>(), 0);
  }
}

// S of eDKM: with everything moved, what clustering saves is most of what is on the host.
TEST_F(Learners, KeepSharesOfADenseFormWithTheSameBits) {
  const std::vector<std::string> kind = {"--learners",       "2",     "--batch", "2",  "--bits",  "3",
                                         "--dkm-form",       "paper", "--width", "64", "--steps", "3",
                                         "--offload-policy", "all"};
  std::vector<std::string> sharded = kind;
  sharded.push_back("--shard");
  const nlohmann::json whole = Run(kind), shares = Run(sharded);
  EXPECT_EQ(shares["loss_bits"], whole["loss_bits"]);
  EXPECT_EQ(shares["parameters_fingerprint"], whole["parameters_fingerprint"]);
  for (std::size_t rank = 0; rank < 2; ++rank) {
    EXPECT_LT(shares["host_peak_bytes_by_learner"][rank].get<double>(),
              whole["host_peak_bytes_by_learner"][rank].get<double>() * 0.6);
  }
}

TEST_F(Learners, RefuseWhatCannotBeShared) {
  const auto line = [&](const std::vector<std::string>& more) {
    return OneLineOf(RunTrainLm(SmallRun(data_, more)), 2);
  };
  EXPECT_THAT(line({"--learners", "5"}), HasSubstr("--batch 4 leaves some of --learners 5 without a sequence"));
  EXPECT_THAT(line({"--learners", "0"}), HasSubstr("--learners"));
  EXPECT_THAT(line({"--shard", "--bits", "3", "--dkm-form", "paper"}), HasSubstr("--shard needs --learners"));
  EXPECT_THAT(line({"--shard", "--learners", "2", "--bits", "3"}), HasSubstr("--dkm-form reference or paper"));
}

TEST_F(Learners, AreAsManyInAResumedRun) {
  const std::string save = folder_ / "save";
  Run({"--learners", "2", "--save", save, "--stop-at", "1"});
  EXPECT_THAT(OneLineOf(RunTrainLm({"--data", data_, "--resume", save, "--learners", "4"}), 2),
              HasSubstr("--learners 4, but the checkpoint"));
}

TEST_F(Learners, StopTogetherAtASignalAndGoOn) {
  tierlib::WriteWhole(data_, SampleText(400000));
  const std::string save = folder_ / "save";
  ProcessLimits limits;
  limits.terminate_at = save;
  const ProcessResult stopped =
      RunTrainLm(SmallRun(data_, {"--steps", "1", "--learners", "2", "--save", save}), limits);
  EXPECT_EQ(stopped.exit_code, 143) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("\ntrain_lm: stopped in the evaluation; go on with --resume " + save));
  EXPECT_EQ(ReportOf(folder_.path(), {"--data", data_, "--resume", save, "--eval-only"})["first_step"], 1);
}

}  // namespace
}  // namespace train_lm
