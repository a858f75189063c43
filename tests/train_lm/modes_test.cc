// What may not change the result: where tensors wait for backward, how often one runs, how many threads compute.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "io/temporary_folder.h"
#include "train_lm/process.h"
#include "train_lm/sample_text.h"

namespace train_lm {
namespace {

class Modes : public ::testing::TestWithParam<const char*> {
 protected:
  Modes() { tierlib::WriteWhole(data_, SampleText(3000)); }
  // The bits of everything a run computes: losses of all steps, both evaluations, the trained weights.
  nlohmann::json Run(std::vector<std::string> more) {
    more.insert(more.end(), {"--bits", GetParam()});
    report_ = ReportOf(folder_.path(), SmallRun(data_, more));
    return {report_["loss_bits"], report_["val_loss_start_bits"], report_["val_loss_bits"],
            report_["parameters_fingerprint"]};
  }

  tierlib::TemporaryFolder folder_;
  std::string data_ = folder_ / "text";
  nlohmann::json report_;
};

TEST_P(Modes, GiveTheSameBits) {
  const nlohmann::json off = Run({"--offload", "off"});
  ASSERT_EQ(off[0].size(), 6u);
  EXPECT_EQ(report_["bytes_moved_per_step"], 0);
  EXPECT_EQ(Run({"--offload", "naive"}), off);
  const std::uint64_t naive = report_["bytes_moved_per_step"];
  EXPECT_GT(naive, 0u);
  EXPECT_EQ(Run({"--offload", "marshal", "--offload-policy", "all"}), off);
  const std::uint64_t moved = report_["bytes_moved_per_step"];
  EXPECT_GT(moved, 0u);
  EXPECT_LT(moved, naive);
  const nlohmann::json traffic = report_["traffic_per_step"];
  EXPECT_EQ(traffic["naive"].get<std::uint64_t>(),
            moved + traffic["avoided_identity"].get<std::uint64_t>() + traffic["avoided_lineage"].get<std::uint64_t>() +
                traffic["frees_nothing"].get<std::uint64_t>() + traffic["kept"].get<std::uint64_t>());
  EXPECT_EQ(Run({"--offload", "marshal", "--offload-policy", "fit"}), off);
  EXPECT_EQ(report_["bytes_moved_per_step"], 0) << "memory is ample";
}

TEST_P(Modes, GiveTheSameBitsForAnyNumberOfThreads) {
  const nlohmann::json one = Run({"--threads", "1"});
  EXPECT_EQ(Run({"--threads", "1"}), one);
  EXPECT_EQ(Run({"--threads", "2"}), one);
  EXPECT_EQ(Run({"--threads", "5"}), one);
}

TEST_P(Modes, GiveTheSameBitsInHalfOfTheMemory) {
  const std::vector<std::string> common = {"--batch", "16", "--context", "32", "--layers", "4"};
  std::vector<std::string> off = common, half = common;
  off.insert(off.end(), {"--offload", "off"});
  const nlohmann::json ample = Run(off);
  const auto needed = report_["device_bytes_without_offload"].get<std::uint64_t>();
  half.insert(half.end(), {"--device-memory", std::to_string(needed / 2)});
  EXPECT_EQ(Run(half), ample);
  EXPECT_GT(report_["bytes_moved_per_step"], 0);
}

// What moves is planned a step ahead: memory runs short in the first steps alone.
TEST_P(Modes, GiveTheSameBitsWithAPlan) {
  const auto run = [this](std::vector<std::string> more) {
    more.insert(more.end(), {"--batch", "16", "--context", "32"});
    return Run(std::move(more));
  };
  const nlohmann::json off = run({"--offload", "off"});
  const auto needed = report_["device_bytes_without_offload"].get<std::uint64_t>();
  EXPECT_EQ(report_["peak"], nullptr);
  const std::string memory = std::to_string(needed * 7 / 10);
  EXPECT_EQ(run({"--device-memory", memory}), off);
  EXPECT_EQ(report_["peak"], nullptr);
  const auto unplanned = report_["evictions"].get<std::uint64_t>();
  EXPECT_EQ(run({"--device-memory", memory, "--target-peak", "auto"}), off);
  const auto planned = report_["evictions"].get<std::uint64_t>();
  EXPECT_GT(planned, 0u);
  EXPECT_LT(planned, unplanned / 2) << "of 6 steps hardly one but the first two";
  const nlohmann::json peak = report_["peak"];
  EXPECT_GT(peak["unmoved_peak"].get<std::uint64_t>(), needed * 9 / 10);
  EXPECT_LE(peak["planned_peak"], peak["target"]);
  EXPECT_GT(peak["planned"], 0);
  EXPECT_EQ(run({"--device-memory", std::to_string(needed), "--target-peak", "auto"}), off);
  EXPECT_EQ(report_["bytes_moved_per_step"], 0) << "there is enough";
}

TEST_P(Modes, DependOnTheSeed) { EXPECT_NE(Run({"--seed", "1"}), Run({"--seed", "2"})); }

TEST_P(Modes, GiveTheSameBitsWithDropoutAndSixteenBits) {
  for (const char* dtype : {"bf16", "f16"}) {
    const std::vector<std::string> common = {"--dtype", dtype, "--dropout", "0.2"};
    std::vector<std::string> off = common;
    off.insert(off.end(), {"--offload", "off"});
    std::vector<std::string> all = common;
    all.insert(all.end(), {"--offload", "marshal", "--offload-policy", "all"});
    EXPECT_EQ(Run(off), Run(all)) << dtype;
  }
}

// By the exact form: of bf16 parameters, and of f32 ones that are rounded.
TEST_P(Modes, GiveTheSameBitsByTheExactForm) {
  for (const std::vector<std::string>& common : {std::vector<std::string>{"--dkm-form", "exact", "--dtype", "bf16"},
                                                 {"--dkm-form", "exact", "--dkm-round-to", "f16"}}) {
    std::vector<std::string> off = common, all = common;
    off.insert(off.end(), {"--offload", "off", "--threads", "1"});
    all.insert(all.end(), {"--offload", "marshal", "--offload-policy", "all", "--threads", "3"});
    EXPECT_EQ(Run(off), Run(all)) << common.back();
  }
}

// Evaluations in between change nothing, and the last of them is the one at the end.
TEST_P(Modes, GiveTheSameBitsWithEvaluationsInBetween) {
  const nlohmann::json without = Run({"--dropout", "0.2"});
  EXPECT_EQ(report_["evaluations"], nullptr);
  EXPECT_EQ(Run({"--dropout", "0.2", "--eval-every", "2", "--eval-batches", "3"}), without);
  const nlohmann::json evaluations = report_["evaluations"];
  ASSERT_EQ(evaluations["all"].size(), 3u);
  double least = 1e9;
  for (std::size_t i = 0; i < 3; ++i) {
    const nlohmann::json& each = evaluations["all"][i];
    EXPECT_EQ(each["step"], 2 * (i + 1));
    EXPECT_NEAR(each["estimate"].get<double>(), each["val_loss"].get<double>(), 0.5);
    least = std::min(least, each["val_loss"].get<double>());
  }
  EXPECT_EQ(evaluations["least_val_loss"], least);
  EXPECT_EQ(evaluations["all"][2]["val_loss"], report_["val_loss"]);
  Run({"--dropout", "0.2", "--eval-every", "4"});
  ASSERT_EQ(report_["evaluations"]["all"].size(), 1u);
  EXPECT_EQ(report_["evaluations"]["all"][0]["val_loss"], evaluations["all"][1]["val_loss"]);
  EXPECT_EQ(report_["evaluations"]["least_estimate"], nullptr);
}

// Learners share each random batch: the estimate is one learner's, to rounding.
TEST(Estimates, AreThoseOfOneLearner) {
  const tierlib::TemporaryFolder folder;
  tierlib::WriteWhole(folder / "text", SampleText(3000));
  const auto estimate = [&](const std::string& learners) {
    return ReportOf(folder.path(),
                    SmallRun(folder / "text", {"--learners", learners, "--steps", "1", "--eval-every", "1",
                                               "--eval-batches", "4"}))["evaluations"]["least_estimate"]
        .get<double>();
  };
  EXPECT_NEAR(estimate("1"), estimate("3"), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Bits, Modes, ::testing::Values("3", "16", "32"),
                         [](const auto& instance) { return "At" + std::string(instance.param) + "Bits"; });

TEST(Bits, AreCountedWithTheirTables) {
  tierlib::TemporaryFolder folder;
  tierlib::WriteWhole(folder / "text", SampleText(3000));
  const auto bits = [&](const std::vector<std::string>& more) {
    return ReportOf(folder.path(), SmallRun(folder / "text", more))["weight_bits_per_weight"].get<double>();
  };
  // 8 matrices of 12 * 32^2 / 4 weights on average, each with a table of 8 float32 numbers.
  EXPECT_NEAR(bits({"--bits", "3", "--steps", "1"}), 3 + 8.0 * 8 * 32 / (2 * 12 * 32 * 32), 1e-9);
  EXPECT_EQ(bits({"--bits", "16", "--steps", "1"}), 16);
  EXPECT_EQ(bits({"--bits", "32", "--steps", "1"}), 32);
  EXPECT_EQ(bits({"--bits", "32", "--dtype", "f16", "--steps", "1"}), 16);
}

// U of eDKM: what a dense form saves is smaller, and says the same.
TEST(Uniquify, MovesLessAndChangesNoBit) {
  const tierlib::TemporaryFolder folder;
  const std::string data = folder / "text";
  tierlib::WriteWhole(data, SampleText(3000));
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--bits",       "2",  "--dtype",   "bf16", "--dkm-form", "paper",
                                          "--group-rows", "64", "--offload", "naive"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ReportOf(folder.path(), SmallRun(data, arguments));
  };
  const nlohmann::json maps = run({}), tables = run({"--uniquify"});
  EXPECT_EQ(tables["dkm_forms"], (nlohmann::json{{"paper", 8}}));
  for (const char* field : {"loss_bits", "val_loss_bits", "parameters_fingerprint"}) {
    EXPECT_EQ(maps[field], tables[field]) << field;
  }
  EXPECT_LT(tables["bytes_moved_per_step"].get<double>(), 0.9 * maps["bytes_moved_per_step"].get<double>());
}

}  // namespace
}  // namespace train_lm
