// tierlib-trace merge: the ranks of a job in one file, and what commands make of it.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "trace/format.h"
#include "trace/merged_file.h"
#include "trace/trace_writer.h"
#include "trace_viewer/recorded_run.h"

namespace tierlib::trace_viewer {
namespace {

using trace::Trace;

class Merge : public testing::Test {
 protected:
  void SetUp() override {
    RecordRun(folder_ / "r0.tlt", {.rank = 0});
    RecordRun(folder_ / "r1.tlt", {.steps = 2, .rank = 1});
  }
  Ran Run(std::vector<std::string> files, std::vector<std::string> options = {}) {
    files.insert(files.begin(), "merge");
    files.insert(files.end(), {"-o", folder_ / "job.tlt"});
    files.insert(files.end(), options.begin(), options.end());
    return RunTrace(std::move(files));
  }
  TemporaryFolder folder_;
};

TEST_F(Merge, HoldsEachRankAsItWas) {
  const Ran ran = Run({folder_ / "r1.tlt", folder_ / "r0.tlt"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.out + ran.errors, "");
  const std::string file = ReadWhole(folder_ / "job.tlt");
  const StatusOr<std::vector<Trace>> ranks = trace::ReadTraces(file);
  ASSERT_TRUE(ranks.ok()) << ranks.status();
  ASSERT_EQ(ranks->size(), 2u);
  const std::vector<trace::MergedSection> sections = trace::ReadMergedTable(file).value();
  for (int rank = 0; rank < 2; ++rank) {
    const std::string alone = ReadWhole(folder_ / ("r" + std::to_string(rank) + ".tlt"));
    EXPECT_EQ((*ranks)[static_cast<std::size_t>(rank)].rank, rank);
    EXPECT_EQ((*ranks)[static_cast<std::size_t>(rank)].problem_count, 0u);
    const trace::MergedSection& section = sections[static_cast<std::size_t>(rank)];
    EXPECT_EQ(section.offset % trace::kMergedAlignment, 0u);
    EXPECT_EQ(file.substr(section.offset, section.bytes), alone);
  }
}

TEST_F(Merge, PagesAreOfOneRankAndComparedWithTheSame) {
  ASSERT_EQ(Run({folder_ / "r0.tlt", folder_ / "r1.tlt"}).exit_code, 0);
  const std::string job = folder_ / "job.tlt";
  const auto view = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"view", "--no-open", "-o", folder_ / "page.html"});
    return RunTrace(std::move(arguments));
  };
  EXPECT_EQ(view({job}).exit_code, 2);
  EXPECT_EQ(view({job, "--rank", "7"}).exit_code, 2);
  EXPECT_EQ(view({job, "--rank", "1"}).exit_code, 0);
  EXPECT_EQ(view({job, "--rank", "1", "--compare", job}).exit_code, 0);
  EXPECT_EQ(view({folder_ / "r1.tlt", "--compare", job}).exit_code, 0);
  EXPECT_EQ(view({job, "--rank", "1", "--compare", folder_ / "r0.tlt"}).exit_code, 0);
}

TEST_F(Merge, CommandsShowAllRanks) {
  ASSERT_EQ(Run({folder_ / "r0.tlt", folder_ / "r1.tlt"}).exit_code, 0);
  const std::string job = folder_ / "job.tlt";
  const Ran summary = RunTrace({"summary", job});
  EXPECT_EQ(summary.exit_code, 0) << summary.errors;
  EXPECT_EQ(summary.out.find(job + " rank 0  3 steps, "), 0u) << summary.out;
  EXPECT_NE(summary.out.find("\n" + job + " rank 1  2 steps, "), std::string::npos) << summary.out;
  const nlohmann::json json = nlohmann::json::parse(RunTrace({"summary", "--json", job}).out);
  EXPECT_EQ(json["schema_version"], 1);
  ASSERT_EQ(json["ranks"].size(), 2u);
  EXPECT_EQ(json["ranks"][1]["rank"], 1);
  EXPECT_EQ(json["ranks"][1]["steps"]["count"], 2);
  // The same figures as of the file by itself.
  nlohmann::json alone = nlohmann::json::parse(RunTrace({"summary", "--json", folder_ / "r1.tlt"}).out);
  alone.erase("file");
  alone.erase("schema_version");
  EXPECT_EQ(json["ranks"][1], alone);
  const Ran check = RunTrace({"check", job});
  EXPECT_EQ(check.exit_code, 0) << check.out;
  EXPECT_NE(check.out.find("rank 1: it adds up"), std::string::npos) << check.out;
  EXPECT_EQ(RunTrace({"diff", job, job}).out, "");
  const Ran diff = RunTrace({"diff", job, folder_ / "r1.tlt"});
  EXPECT_EQ(diff.exit_code, 0) << diff.errors;
  EXPECT_EQ(diff.out, "");  // rank 1 with rank 1
}

TEST_F(Merge, CommandsOfOneTraceNeedTheRank) {
  ASSERT_EQ(Run({folder_ / "r0.tlt", folder_ / "r1.tlt"}).exit_code, 0);
  const std::vector<std::string> arguments = {"export", "--format", "rmm-csv", folder_ / "job.tlt", "-o", "-"};
  const Ran none = RunTrace(arguments);
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.errors.find("has the ranks 0, 1: name one with --rank\n"), std::string::npos) << none.errors;
  std::vector<std::string> with_rank = arguments;
  with_rank.insert(with_rank.end(), {"--rank", "1"});
  const Ran one = RunTrace(with_rank);
  EXPECT_EQ(one.exit_code, 0) << one.errors;
  EXPECT_EQ(one.out, RunTrace({"export", "--format", "rmm-csv", folder_ / "r1.tlt", "-o", "-"}).out);
  with_rank.back() = "7";
  EXPECT_NE(RunTrace(with_rank).errors.find("has no rank 7: it has 0, 1\n"), std::string::npos);
}

TEST_F(Merge, OneRankTwiceIsAnErrorUnlessRenumbered) {
  const Ran twice = Run({folder_ / "r0.tlt", folder_ / "r1.tlt", folder_ / "r0.tlt"});
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_NE(twice.errors.find("both have rank 0: --renumber counts in the order of the files\n"), std::string::npos)
      << twice.errors;
  ASSERT_EQ(Run({folder_ / "r1.tlt", folder_ / "r0.tlt", folder_ / "r1.tlt"}, {"--renumber"}).exit_code, 0);
  const std::vector<Trace> ranks = trace::ReadTraces(ReadWhole(folder_ / "job.tlt")).value();
  ASSERT_EQ(ranks.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ranks[static_cast<std::size_t>(i)].rank, i);
}

TEST_F(Merge, MergedFilesMayBeMergedAgain) {
  RecordRun(folder_ / "r2.tlt", {.steps = 1, .rank = 2});
  ASSERT_EQ(Run({folder_ / "r0.tlt", folder_ / "r1.tlt"}).exit_code, 0);
  const Ran ran = RunTrace({"merge", "-", folder_ / "r2.tlt", "-o", "-"}, folder_ / "job.tlt", folder_ / "all.tlt");
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(trace::ReadTraces(ReadWhole(folder_ / "all.tlt")).value().size(), 3u);
}

TEST_F(Merge, BadInputIsNamed) {
  WriteWhole(folder_ / "text", "no trace");
  const Ran text = Run({folder_ / "r0.tlt", folder_ / "text"});
  EXPECT_EQ(text.exit_code, 3);
  EXPECT_EQ(text.errors.find("tierlib-trace: " + folder_ / "text" + ": "), 0u) << text.errors;
  EXPECT_EQ(folder_.names().count("job.tlt"), 0u);
  EXPECT_EQ(Run({folder_ / "none"}).exit_code, 3);
  EXPECT_EQ(Run({"-", "-"}).exit_code, 2);
  EXPECT_EQ(RunTrace({"merge", folder_ / "r0.tlt", "-o", folder_ / "r0.tlt"}).exit_code, 2);
  EXPECT_EQ(RunTrace({"merge", "-o", folder_ / "job.tlt"}).exit_code, 2);
}

TEST_F(Merge, ATruncatedFileIsUsedAsFarAsItGoes) {
  ASSERT_EQ(Run({folder_ / "r0.tlt", folder_ / "r1.tlt"}).exit_code, 0);
  const std::string whole = ReadWhole(folder_ / "job.tlt");
  WriteWhole(folder_ / "cut.tlt", whole.substr(0, whole.size() - whole.size() / 4));
  const Ran ran = RunTrace({"summary", folder_ / "cut.tlt"});
  EXPECT_EQ(ran.exit_code, 4);
  EXPECT_NE(ran.out.find(" rank 0  3 steps, "), std::string::npos) << ran.out;
  EXPECT_NE(ran.errors.find("bytes of this rank are missing"), std::string::npos) << ran.errors;
  WriteWhole(folder_ / "head.tlt", whole.substr(0, 30));
  EXPECT_NE(RunTrace({"summary", folder_ / "head.tlt"}).errors.find("truncated inside the table"), std::string::npos);
  std::string damaged = whole;
  damaged[30] ^= 1;
  WriteWhole(folder_ / "damaged.tlt", damaged);
  const Ran table = RunTrace({"summary", folder_ / "damaged.tlt"});
  EXPECT_EQ(table.exit_code, 3);
  EXPECT_NE(table.errors.find("the table of the merged trace has a bad checksum\n"), std::string::npos) << table.errors;
}

// Any bytes may come.
TEST(MergedFile, SurvivesDamage) {
  Trace small;
  small.records.push_back({1, trace::Event::kStepBegin, trace::Tag::kNone, 0, 0, 1, 0});
  const std::string bytes = trace::EncodeTrace(small);
  const std::string whole = trace::MergeTraces({{0, bytes}, {1, bytes}, {2, ""}});
  EXPECT_EQ(trace::ReadTraces(whole).value().size(), 3u);
  Random random(3);
  for (int i = 0; i < 300 / TIERLIB_RANDOM_SCALE + 3; ++i) {
    std::string damaged = whole.substr(0, random.UniformInt(4) == 0 ? random.UniformInt(whole.size()) : whole.size());
    for (int n = 0; n < 3 && !damaged.empty(); ++n) {
      damaged[random.UniformInt(std::min<std::size_t>(damaged.size(), 100))] = static_cast<char>(random.NextU32());
    }
    const StatusOr<std::vector<Trace>> read = trace::ReadTraces(damaged);
    if (!read.ok()) {
      EXPECT_FALSE(std::string(read.status().message()).empty());
    }
  }
}

TEST(TraceWriter, WritesWhatTheReaderReads) {
  Trace trace;
  trace.rank = 7;
  trace.process_id = 99;
  trace.start_monotonic_ns = 5;
  trace.start_wall_ns = 1'764'324'942'123'456'000;
  trace.device = "emulated:0";
  trace.device_capacity = 1 << 20;
  trace.pinned_capacity = 2 << 20;
  trace.closed = true;
  Random random(2);
  for (std::uint32_t label = 1; label <= 700; ++label) trace.labels[label] = std::string(random.UniformInt(300), 'x');
  trace.labels[1] = std::string(trace::kTextBytesMost, '\xff');
  for (int i = 0; i < 5000; ++i) {
    trace.records.push_back({10 + i / 3, trace::Event::kOpBegin, trace::Tag::kSaved, static_cast<std::uint16_t>(i), 3,
                             random.NextU64(), random.NextU64()});
  }
  const StatusOr<Trace> read = trace::ReadTrace(trace::EncodeTrace(trace));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->problem_count, 0u) << (read->problems.empty() ? "" : read->problems[0].what);
  EXPECT_EQ(read->rank, 7);
  EXPECT_EQ(read->process_id, 99u);
  EXPECT_EQ(read->start_monotonic_ns, 5);
  EXPECT_EQ(read->start_wall_ns, trace.start_wall_ns);
  EXPECT_EQ(read->device, "emulated:0");
  EXPECT_EQ(read->device_capacity, trace.device_capacity);
  EXPECT_EQ(read->pinned_capacity, trace.pinned_capacity);
  EXPECT_TRUE(read->closed);
  EXPECT_EQ(read->labels, trace.labels);
  ASSERT_EQ(read->records.size(), trace.records.size());
  EXPECT_EQ(memcmp(read->records.data(), trace.records.data(), trace.records.size() * sizeof(trace::Record)), 0);
}

}  // namespace
}  // namespace tierlib::trace_viewer
