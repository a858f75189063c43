// --mpi: processes train as the threads of one process do, to the bit; what goes wrong in one ends all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "io/temporary_folder.h"
#include "train_lm/process.h"
#include "train_lm/sample_text.h"

namespace train_lm {
namespace {

using ::testing::HasSubstr;

class Processes : public ::testing::Test {
 protected:
  Processes() { tierlib::WriteWhole(data_, SampleText(3000)); }

  static ProcessLimits Started(int processes) {
    ProcessLimits limits;
    limits.processes = processes;
    return limits;
  }
  // What the program itself says of a failure: mpirun adds its own words.
  static std::string LineOf(const ProcessResult& result) {
    EXPECT_NE(result.exit_code, 0) << result.err;
    const std::size_t begin = result.err.find("train_lm: ");
    if (begin == std::string::npos) {
      ADD_FAILURE() << result.err;
      return "";
    }
    EXPECT_EQ(result.err.find("train_lm: ", begin + 1), std::string::npos) << "told more than once: " << result.err;
    return result.err.substr(begin, result.err.find('\n', begin) - begin);
  }

  tierlib::TemporaryFolder folder_;
  std::string data_ = folder_ / "text";
};

TEST_F(Processes, TrainAsThreadsDoToTheBit) {
  const std::vector<std::vector<std::string>> kinds = {
      {"--bits", "3", "--batch", "5"},
      {"--bits", "3", "--dkm-form", "paper", "--shard", "--steps", "3", "--offload-policy", "all"}};
  for (const std::vector<std::string>& kind : kinds) {
    std::vector<std::string> threads = SmallRun(data_, kind);
    threads.insert(threads.end(), {"--learners", "3"});
    const nlohmann::json one = ReportOf(folder_.path(), threads);
    const nlohmann::json many = ReportOf(folder_.path(), SmallRun(data_, kind), Started(3));
    for (const char* field : {"learners", "loss_bits", "val_loss_bits", "parameters_fingerprint"}) {
      EXPECT_EQ(one[field], many[field]) << field;
    }
    EXPECT_EQ(many["host_peak_bytes_by_learner"].size(), 3u);
  }
}

TEST_F(Processes, LeaveOneCheckpointThatThreadsGoOnWith) {
  const std::string save = folder_ / "save";
  const std::vector<std::string> whole = SmallRun(data_, {"--bits", "3", "--learners", "2"});
  const nlohmann::json expected = ReportOf(folder_.path(), whole);
  ReportOf(folder_.path(), SmallRun(data_, {"--bits", "3", "--save", save, "--stop-at", "2"}), Started(2));
  const nlohmann::json resumed = ReportOf(folder_.path(), {"--data", data_, "--resume", save});
  EXPECT_EQ(resumed["parameters_fingerprint"], expected["parameters_fingerprint"]);
}

TEST_F(Processes, WriteATraceEachWhereTheNameTellsThemApart) {
  ReportOf(folder_.path(), SmallRun(data_, {"--trace", folder_ / "all.%r.tlt"}), Started(2));
  EXPECT_EQ(access((folder_ / "all.0.tlt").c_str(), R_OK), 0);
  EXPECT_EQ(access((folder_ / "all.1.tlt").c_str(), R_OK), 0);
  ReportOf(folder_.path(), SmallRun(data_, {"--trace", folder_ / "one.tlt"}), Started(2));
  EXPECT_EQ(access((folder_ / "one.tlt").c_str(), R_OK), 0);
}

TEST_F(Processes, TellOnceWhatIsWrong) {
  const auto line = [&](const std::vector<std::string>& more) {
    return LineOf(RunTrainLm(SmallRun(data_, more), Started(2)));
  };
  EXPECT_THAT(line({"--learners", "3"}), HasSubstr("--learners 3, but mpirun started 2: leave the option out"));
  EXPECT_THAT(line({"--data", folder_ / "absent"}), HasSubstr("absent"));
  // Only learner 0 finds that it cannot write.
  EXPECT_THAT(line({"--save", folder_ / "absent/save"}), HasSubstr("train_lm: learner 0: "));
}

TEST_F(Processes, PrintHelpOnce) {
  const ProcessResult help = RunTrainLm({"--help"}, Started(2));
  EXPECT_EQ(help.exit_code, 0) << help.err;
  const std::size_t begin = help.out.find("--mpi");
  EXPECT_NE(begin, std::string::npos);
  EXPECT_EQ(help.out.find("The learners are the processes that mpirun started", help.out.find("mpirun started") + 20),
            std::string::npos);
}

TEST_F(Processes, OneByItselfIsTheOnlyLearner) {
  std::vector<std::string> alone = SmallRun(data_, {"--bits", "3"});
  const nlohmann::json expected = ReportOf(folder_.path(), alone);
  const nlohmann::json one = ReportOf(folder_.path(), alone, Started(1));
  EXPECT_EQ(one["parameters_fingerprint"], expected["parameters_fingerprint"]);
}

}  // namespace
}  // namespace train_lm
