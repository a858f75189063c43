// tierlib-trace diff: nothing between a trace and itself, and each change where there is one.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "trace/trace_writer.h"
#include "trace_difference.h"
#include "trace_viewer/recorded_run.h"

namespace tierlib::trace_viewer {
namespace {

using trace::Event;
using trace::Trace;

Trace Recorded(const RunShape& shape = {}) {
  TemporaryFolder folder;
  RecordRun(folder / "run.tlt", shape);
  return std::move(trace::ReadTraceFile(folder / "run.tlt")).value();
}

// A quarter more bytes are copied out for every packed value, in all steps but the first.
Trace WithMoreMoved(Trace trace) {
  std::uint64_t step = 0;
  for (trace::Record& record : trace.records) {
    if (record.event == Event::kStepBegin) step = record.subject;
    const bool moved =
        record.event == Event::kDecision && record.detail / 256 == static_cast<int>(trace::DecisionAction::kMove);
    if (step > 0 && (moved || record.event == Event::kPack)) record.value += record.value / 4;
  }
  return trace;
}

class Diff : public testing::Test {
 protected:
  void SetUp() override {
    const Trace before = Recorded();
    WriteWhole(folder_ / "a.tlt", trace::EncodeTrace(before));
    WriteWhole(folder_ / "b.tlt", trace::EncodeTrace(WithMoreMoved(before)));
  }
  Ran Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"diff", folder_ / "a.tlt", folder_ / "b.tlt"});
    return RunTrace(std::move(arguments));
  }
  TemporaryFolder folder_;
};

TEST_F(Diff, OfATraceAndItselfIsEmpty) {
  const Ran ran = RunTrace({"diff", folder_ / "a.tlt", folder_ / "a.tlt", "--fail-on", "bytes_moved>+0%"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.out + ran.errors, "");
  const Ran json = RunTrace({"diff", "--json", folder_ / "a.tlt", folder_ / "a.tlt"});
  EXPECT_EQ(json.exit_code, 0);
  const nlohmann::json parsed = nlohmann::json::parse(json.out);
  EXPECT_EQ(parsed["schema_version"], 1);
  EXPECT_EQ(parsed["metrics"].size() + parsed["changed_steps"].size() + parsed["failed"].size(), 0u);
  EXPECT_EQ(parsed["steps"]["aligned"], 3);
}

TEST_F(Diff, FindsAPlantedRegressionAndExitsWith1) {
  EXPECT_EQ(Run({}).exit_code, 0);  // without a condition a change is no finding
  const Ran ran = Run({"--fail-on", "bytes_moved>+5%"});
  EXPECT_EQ(ran.exit_code, 1) << ran.errors;
  EXPECT_EQ(ran.out.find("metric "), 0u) << ran.out;
  EXPECT_NE(ran.out.find("FAILS bytes_moved>+5%\n"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("2 steps changed"), std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.find('\x1b'), std::string::npos);  // no terminal, no colours
  EXPECT_EQ(Run({"--fail-on", "bytes_moved>+50%"}).exit_code, 0);
  EXPECT_EQ(RunTrace({"diff", "--fail-on", "bytes_moved>+5%", folder_ / "b.tlt", folder_ / "a.tlt"}).exit_code, 0);
}

TEST_F(Diff, JsonHasTheChanges) {
  const Ran ran = Run({"--json", "--fail-on", "bytes_moved>+5%,packs!=+0", "--fail-on", "bytes_naive>+1KiB"});
  EXPECT_EQ(ran.exit_code, 1) << ran.errors;
  const nlohmann::json json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["before"], folder_ / "a.tlt");
  EXPECT_EQ(json["file"], folder_ / "b.tlt");
  ASSERT_EQ(json["failed"].size(), 2u);
  EXPECT_EQ(json["failed"][0]["condition"], "bytes_naive>+1KiB");
  EXPECT_EQ(json["failed"][1]["condition"], "bytes_moved>+5%");
  ASSERT_EQ(json["changed_steps"].size(), 2u);
  for (const nlohmann::json& step : json["changed_steps"]) {
    EXPECT_GT(step["after"]["moved_bytes"], step["before"]["moved_bytes"]);
    EXPECT_EQ(step["after"]["ns"], step["before"]["ns"]);
  }
  for (const nlohmann::json& metric : json["metrics"]) {
    EXPECT_EQ(metric["change"].get<std::int64_t>(),
              metric["after"].get<std::int64_t>() - metric["before"].get<std::int64_t>());
    EXPECT_NE(metric["change"], 0);
  }
}

TEST_F(Diff, AlignsStepsByTheirNumbers) {
  WriteWhole(folder_ / "longer.tlt", trace::EncodeTrace(Recorded({.steps = 5})));
  const Ran ran =
      RunTrace({"diff", folder_ / "a.tlt", folder_ / "longer.tlt", "--fail-on", "aligned_packed_bytes!=+0"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;  // the common steps pack the same
  EXPECT_EQ(ran.out.find("3 steps before, 5 after, 3 in both"), 0u) << ran.out;
  EXPECT_NE(ran.out.find("bytes_naive "), std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.find("aligned_packed_bytes"), std::string::npos) << ran.out;
}

// What cannot be decided, or was not compared, is no success.
TEST_F(Diff, ConditionsOnStepsThatNoneHasFail) {
  Trace other = Recorded();
  for (trace::Record& record : other.records) {
    const bool of_step = record.event == Event::kStepBegin || record.event == Event::kStepEnd;
    if (of_step || record.event == Event::kBackwardBegin) record.subject += 100;
  }
  WriteWhole(folder_ / "other.tlt", trace::EncodeTrace(other));
  const Ran ran = RunTrace({"diff", folder_ / "a.tlt", folder_ / "other.tlt", "--fail-on", "aligned_packed_bytes>+5%"});
  EXPECT_EQ(ran.exit_code, 1) << ran.out;
  EXPECT_EQ(ran.errors,
            "tierlib-trace: --fail-on 'aligned_packed_bytes>+5%': rank 0 has no step that is in both traces\n");
  EXPECT_EQ(RunTrace({"diff", folder_ / "a.tlt", folder_ / "other.tlt", "--fail-on", "packs>+5%"}).exit_code, 0);
}

TEST_F(Diff, RanksWithoutAPartnerAreNamed) {
  WriteWhole(folder_ / "r1.tlt", trace::EncodeTrace(Recorded({.rank = 1})));
  ASSERT_EQ(RunTrace({"merge", folder_ / "a.tlt", folder_ / "r1.tlt", "-o", folder_ / "job.tlt"}).exit_code, 0);
  const std::string named =
      "tierlib-trace: rank 1 of " + folder_ / "job.tlt" + " is not in " + folder_ / "a.tlt" + ": it is not compared\n";
  const Ran ran = RunTrace({"diff", folder_ / "a.tlt", folder_ / "job.tlt"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.errors, named);
  const Ran failing = RunTrace({"diff", folder_ / "job.tlt", folder_ / "a.tlt", "--fail-on", "packs>+0"});
  EXPECT_EQ(failing.exit_code, 1);
  EXPECT_EQ(failing.errors, named);
}

TEST_F(Diff, WrongConditionsAreOneLineThatSaysWhatWouldBeRight) {
  const std::pair<const char*, const char*> wrong[] = {
      {"bytes_mvoed>+5%", "there is no metric 'bytes_mvoed'; there are: duration_ns, "},
      {"bytes_moved", "one of > >= < <= == !="},
      {"bytes_moved>5%", "write +5% or -5%"},
      {"bytes_moved>+x", "is no number"},
      {"stall_ns>+5MiB", "no unit of time: ns, us, ms, s or min"},
      {"packs>+5ms", "it is a count"},
      {"bytes_moved>+5ms", "is not a size"},
      {"bytes_moved>+nan", "is no number"},
      {"", "no metric is named"},
      {"bytes_moved>+5%,,packs>1", "no metric is named"},
  };
  for (const auto& [condition, message] : wrong) {
    const Ran ran = Run({"--fail-on", condition});
    EXPECT_EQ(ran.exit_code, 2) << condition;
    EXPECT_NE(ran.errors.find(message), std::string::npos) << ran.errors;
    EXPECT_EQ(ran.errors.find('\n'), ran.errors.size() - 1) << ran.errors;
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(Diff, OfFilesThatCannotBeReadExitsWith3) {
  EXPECT_EQ(RunTrace({"diff", folder_ / "a.tlt", folder_ / "none"}).exit_code, 3);
  EXPECT_EQ(RunTrace({"diff", folder_ / "none", folder_ / "a.tlt"}).exit_code, 3);
  EXPECT_EQ(RunTrace({"diff", "-", "-"}).exit_code, 2);
  EXPECT_EQ(RunTrace({"diff", "-", folder_ / "a.tlt"}, folder_ / "a.tlt").exit_code, 0);
}

TEST(FailCondition, ComparesChangesPercentagesAndValues) {
  const std::vector<Metric> known = {
      {"bytes", Unit::kBytes, 0}, {"time", Unit::kNanoseconds, 0}, {"n", Unit::kCount, 0}};
  const auto holds = [&](const char* text, std::uint64_t before, std::uint64_t after) {
    return ParseFailConditions(text, known).value().front().Holds(before, after);
  };
  EXPECT_TRUE(holds("bytes>+5%", 100, 106));
  EXPECT_FALSE(holds("bytes>+5%", 100, 105));
  EXPECT_TRUE(holds("bytes>=+5%", 100, 105));
  EXPECT_TRUE(holds("bytes<-5%", 100, 94));
  EXPECT_FALSE(holds("bytes<-5%", 100, 96));
  EXPECT_TRUE(holds("bytes>+1000000%", 0, 1));
  EXPECT_FALSE(holds("bytes>+0%", 0, 0));
  EXPECT_TRUE(holds("bytes > +1 KiB", 100, 1125));
  EXPECT_FALSE(holds("bytes > +1 KiB", 100, 1124));
  EXPECT_TRUE(holds("bytes<=-1KiB", 2048, 1024));
  EXPECT_TRUE(holds("bytes>1MiB", 0, (1 << 20) + 1));
  EXPECT_FALSE(holds("bytes>1MiB", ~0ull, 1 << 20));
  EXPECT_TRUE(holds("time>+1.5ms", 0, 1'500'001));
  EXPECT_FALSE(holds("time>+1.5ms", 0, 1'500'000));
  EXPECT_TRUE(holds("n==3", 9, 3));
  EXPECT_TRUE(holds("n!=+0", 9, 3));
  EXPECT_FALSE(holds("n!=+0", 3, 3));
  EXPECT_TRUE(holds("n<-5", 9, 3));
}

TEST(TraceDifference, KnowsEveryMetricByOneName) {
  std::vector<std::string> names;
  for (const Metric& metric : MetricsOf(trace::Summary())) names.push_back(metric.name);
  for (const Metric& metric : AlignedMetricsOf({})) names.push_back(metric.name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  EXPECT_GT(names.size(), 60u);
}

}  // namespace
}  // namespace tierlib::trace_viewer
