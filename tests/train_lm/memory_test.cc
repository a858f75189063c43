// Memory that is too small: one line with figures, and the figures hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <regex>
#include <string>
#include <vector>

#include "io/temporary_folder.h"
#include "tierlib/bytes.h"
#include "train_lm/process.h"
#include "train_lm/sample_text.h"

namespace train_lm {
namespace {

using ::testing::HasSubstr;

class Memory : public ::testing::TestWithParam<std::vector<std::string>> {
 protected:
  Memory() { tierlib::WriteWhole(data_, SampleText(6000)); }
  ProcessResult Run(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = GetParam();
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunTrainLm(SmallRun(data_, arguments));
  }
  // The figures of the message: with offload, without.
  void ReadFigures(const std::string& line) {
    const std::regex pattern(
        "train_lm: --device-memory .* is not enough: the largest step needs (.*) with offload \\((naive|marshal)\\), "
        "(.*) without\n");
    std::smatch match;
    ASSERT_TRUE(std::regex_match(line, match, pattern)) << line;
    offloaded_ = tierlib::ParseBytes(match[1].str()).value();
    plain_ = tierlib::ParseBytes(match[3].str()).value();
  }

  tierlib::TemporaryFolder folder_;
  std::string data_ = folder_ / "text";
  std::uint64_t offloaded_ = 0;
  std::uint64_t plain_ = 0;
};

std::string Percent(std::uint64_t bytes, std::uint64_t percent) { return std::to_string(bytes / 100 * percent); }

TEST_P(Memory, FigureSucceedsAndThreePercentLessFails) {
  ReadFigures(OneLineOf(Run({"--offload", "off", "--device-memory", "300KiB"}), 1));
  EXPECT_LT(offloaded_, plain_);
  const ProcessResult enough = Run({"--offload", "off", "--device-memory", std::to_string(plain_)});
  EXPECT_EQ(enough.exit_code, 0) << enough.err;
  ReadFigures(OneLineOf(Run({"--offload", "off", "--device-memory", Percent(plain_, 97)}), 1));
}

TEST_P(Memory, OfSixtyPercentIsEnoughForMarshal) {
  ReadFigures(OneLineOf(Run({"--offload", "off", "--device-memory", "300KiB"}), 1));
  const ProcessResult result = Run({"--offload", "marshal", "--device-memory", Percent(plain_, 60)});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_P(Memory, FigureOfOffloadSucceeds) {
  ReadFigures(OneLineOf(Run({"--offload", "marshal", "--device-memory", "300KiB"}), 1));
  const ProcessResult enough = Run({"--offload", "marshal", "--device-memory", std::to_string(offloaded_)});
  EXPECT_EQ(enough.exit_code, 0) << enough.err;
  OneLineOf(Run({"--offload", "marshal", "--device-memory", Percent(offloaded_, 97)}), 1);
}

TEST_P(Memory, OfTheHostIsNamedWhereItIsShort) {
  ReadFigures(OneLineOf(Run({"--offload", "off", "--device-memory", "300KiB"}), 1));
  const std::string line =
      OneLineOf(Run({"--offload", "marshal", "--device-memory", Percent(plain_, 60), "--host-memory", "4KiB"}), 1);
  EXPECT_THAT(line, HasSubstr("--host-memory 4 KiB is not enough"));
}

TEST_P(Memory, ForEvaluationIsLess) {
  ReadFigures(OneLineOf(Run({"--offload", "off", "--device-memory", "100KiB"}), 1));
  const std::uint64_t training = plain_;
  ReadFigures(OneLineOf(Run({"--offload", "off", "--device-memory", "100KiB", "--eval-only"}), 1));
  EXPECT_LT(plain_, training);
  const ProcessResult enough = Run({"--offload", "off", "--eval-only", "--device-memory", std::to_string(plain_)});
  EXPECT_EQ(enough.exit_code, 0) << enough.err;
}

INSTANTIATE_TEST_SUITE_P(Models, Memory,
                         ::testing::Values(std::vector<std::string>{"--batch", "16", "--context", "32"},
                                           std::vector<std::string>{"--batch", "16", "--context", "32", "--bits", "3"},
                                           std::vector<std::string>{"--batch", "24", "--context", "32", "--dtype",
                                                                    "bf16", "--dropout", "0.1", "--layers", "3"}),
                         [](const auto& instance) { return "Model" + std::to_string(instance.index); });

}  // namespace
}  // namespace train_lm
