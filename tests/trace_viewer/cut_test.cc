// tierlib-trace cut: parts of a trace, by steps and by time, which add up.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "cut_command.h"
#include "summary_command.h"
#include "trace/check/conservation.h"
#include "trace/format.h"
#include "trace/merged_file.h"
#include "trace/record_source.h"
#include "trace/recorded_trace.h"
#include "trace/summary.h"
#include "trace/trace_cut.h"
#include "trace/trace_writer.h"
#include "trace_viewer/recorded_run.h"

namespace tierlib::trace_viewer {
namespace {

using trace::Event;
using trace::Trace;

Trace Recorded() {
  static const auto& trace = *new Trace([] {
    TemporaryFolder folder;
    RecordRun(folder / "run.tlt", {.steps = 6});
    return std::move(trace::ReadTraceFile(folder / "run.tlt")).value();
  }());
  return trace;
}

// As the reader gives a part back: not ended, which is a problem.
trace::ConservationReport Check(Trace part) {
  part.problem_count = 1;
  return trace::CheckConservation(part);
}

TEST(Cut, OfStepsHasTheFiguresOfTheseSteps) {
  TemporaryFolder folder;
  const Trace whole = Recorded();
  WriteWhole(folder / "run.tlt", trace::EncodeTrace(whole));
  const Ran ran = RunTrace({"cut", "--range", "step:2-3", folder / "run.tlt", "-o", folder / "part.tlt"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.out + ran.errors, "");
  const StatusOr<Trace> part = trace::ReadTraceFile(folder / "part.tlt");
  ASSERT_TRUE(part.ok()) << part.status();
  EXPECT_FALSE(part->closed);
  const trace::Summary all = trace::Summarize(whole);
  const trace::Summary cut = trace::Summarize(*part);
  ASSERT_EQ(cut.steps.each.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    const trace::StepFigures& before = all.steps.each[2 + i];
    const trace::StepFigures& after = cut.steps.each[i];
    EXPECT_EQ(after.number, 2 + i);
    EXPECT_EQ(after.ns, before.ns);
    EXPECT_EQ(after.packed_bytes, before.packed_bytes);
    EXPECT_EQ(after.moved_bytes, before.moved_bytes);
    EXPECT_EQ(after.copied_bytes, before.copied_bytes);
    EXPECT_EQ(after.device_peak_bytes, before.device_peak_bytes);  // parameters are live from before
  }
  EXPECT_EQ(cut.naive, all.steps.each[2].packed_bytes + all.steps.each[3].packed_bytes);
  const Ran check = RunTrace({"check", folder / "part.tlt"});
  EXPECT_EQ(check.exit_code, 4) << check.out;  // it adds up, and is not ended
}

TEST(Cut, EveryPartAddsUp) {
  const Trace whole = Recorded();
  const std::int64_t first = whole.records.front().time_ns;
  const std::int64_t last = whole.records.back().time_ns;
  Random random(4);
  for (int i = 0; i < std::max(10, 200 / TIERLIB_RANDOM_SCALE); ++i) {
    std::int64_t begin = first + static_cast<std::int64_t>(random.UniformInt(static_cast<std::uint64_t>(last - first)));
    std::int64_t end = first + static_cast<std::int64_t>(random.UniformInt(static_cast<std::uint64_t>(last - first)));
    if (end < begin) std::swap(begin, end);
    const Trace part = trace::CutTrace(whole, begin, end);
    const trace::ConservationReport report = Check(part);
    std::string told;
    for (const trace::Finding& finding : report.findings)
      told += trace::RuleName(finding.rule) + (' ' + finding.what) + '\n';
    ASSERT_EQ(report.finding_count, 0u) << begin - first << " to " << end - first << '\n' << told;
    ASSERT_TRUE(std::is_sorted(part.records.begin(), part.records.end(),
                               [](const auto& a, const auto& b) { return a.time_ns < b.time_ns; }));
  }
}

TEST(Cut, OfEverythingHasAllRecords) {
  const Trace whole = Recorded();
  const Trace part = trace::CutTrace(whole, whole.records.front().time_ns, whole.records.back().time_ns);
  ASSERT_EQ(part.records.size(), whole.records.size());
  EXPECT_EQ(part.labels.size(), whole.labels.size());
  for (std::size_t i = 0; i < part.records.size(); ++i) {
    ASSERT_EQ(memcmp(&part.records[i], &whole.records[i], sizeof(trace::Record)), 0) << i;
  }
}

TEST(Cut, TimesAreSinceTheFirstRecord) {
  Trace trace;
  for (const std::int64_t ms : {100, 1100, 1600, 2100, 2600}) {
    trace.records.push_back(
        {ms * 1'000'000, Event::kOpBegin, trace::Tag::kNone, 0, 0, static_cast<std::uint64_t>(ms), 0});
  }
  const auto kept = [&](const char* range) {
    trace::TraceRecords records(trace);
    const TimeSpan span = SpanOf(records, ParseCutRange(range).value()).value();
    std::vector<std::uint64_t> subjects;
    for (const trace::Record& record : trace::CutTrace(trace, span.begin_ns, span.end_ns).records)
      subjects.push_back(record.subject);
    return subjects;
  };
  EXPECT_EQ(kept("1.5s-2.0s"), (std::vector<std::uint64_t>{1600, 2100}));
  EXPECT_EQ(kept("1500ms-"), (std::vector<std::uint64_t>{1600, 2100, 2600}));
  EXPECT_EQ(kept("-1s"), (std::vector<std::uint64_t>{100, 1100}));
  EXPECT_EQ(kept("0ns-1min"), (std::vector<std::uint64_t>{100, 1100, 1600, 2100, 2600}));
  EXPECT_EQ(kept("10min-20min"), std::vector<std::uint64_t>());
}

TEST(Cut, StepsMayBeOneOrHaveAnOpenEnd) {
  const Trace whole = Recorded();
  const auto steps = [&](const char* range) {
    trace::TraceRecords records(whole);
    const TimeSpan span = SpanOf(records, ParseCutRange(range).value()).value();
    std::string numbers;
    for (const trace::StepFigures& step :
         trace::Summarize(trace::CutTrace(whole, span.begin_ns, span.end_ns)).steps.each) {
      numbers += std::to_string(step.number) + ' ';
    }
    return numbers;
  };
  EXPECT_EQ(steps("step:4"), "4 ");
  EXPECT_EQ(steps("step:4-"), "4 5 ");
  EXPECT_EQ(steps("step:-1"), "0 1 ");
  EXPECT_EQ(steps("step:4-99"), "4 5 ");
}

TEST(Cut, WrongRangesAreOneLineThatSaysWhatWouldBeRight) {
  TemporaryFolder folder;
  WriteWhole(folder / "run.tlt", trace::EncodeTrace(Recorded()));
  const std::pair<const char*, const char*> wrong[] = {
      {"step:", "neither end is given"},
      {"-", "neither end is given"},
      {"1.5s", "a span of time has two ends"},
      {"1.5-2", "is no time: a number with ns, us, ms, s or min"},
      {"2s-1s", "it ends before it begins"},
      {"step:x-2", "'x' is no step"},
      {"step:99-", "none of these steps is in the trace: it has steps 0 to 5"},
      {"nans-2s", "is no time"},
  };
  for (const auto& [range, message] : wrong) {
    const Ran ran = RunTrace({"cut", folder / "run.tlt", std::string("--range=") + range, "-o", folder / "part.tlt"});
    EXPECT_EQ(ran.exit_code, 2) << range << ran.errors;
    EXPECT_NE(ran.errors.find(message), std::string::npos) << ran.errors;
    EXPECT_EQ(ran.errors.find('\n'), ran.errors.size() - 1) << ran.errors;
  }
  EXPECT_FALSE(ParseCutRange("").ok());
  EXPECT_EQ(folder.names(), (std::set<std::string>{"run.tlt"}));
  EXPECT_EQ(RunTrace({"cut", folder / "run.tlt", "--range", "-1s", "-o", folder / "run.tlt"}).exit_code, 2);
}

// A program's own file, of blocks, cut by its steps: the file that comes out is of the same kind, and says of the range
// what the whole says of it.
TEST(Cut, WritesWhatARecorderWrites) {
  TemporaryFolder folder;
  RecordRun(folder / "run.tlt", {.steps = 6});
  const Trace whole = trace::ReadTraceFile(folder / "run.tlt").value();
  trace::TraceRecords records(whole);
  const TimeSpan span = SpanOf(records, ParseCutRange("step:2-4").value()).value();
  const Ran ran = RunTrace({"cut", "--range", "step:2-4", folder / "run.tlt", "-o", folder / "part.tlt"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  const std::string bytes = ReadWhole(folder / "part.tlt");
  trace::FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  EXPECT_EQ(header.version, trace::kVersion);
  EXPECT_EQ(header.file_bytes, bytes.size());
  for (const std::uint16_t kind : trace::KindsOfChunks(bytes)) EXPECT_NE(kind, trace::kRecordsKind);
  const Trace part = trace::ReadTrace(bytes).value();
  EXPECT_LT(bytes.size() - trace::kHeaderBytes, 16 * part.records.size() + trace::kChunkBytes);  // and of labels
  EXPECT_EQ(part.start_monotonic_ns, whole.start_monotonic_ns);
  EXPECT_EQ(part.start_wall_ns, whole.start_wall_ns);
  const auto json = [](const Trace& trace) {
    trace::Summary summary = trace::Summarize(trace);
    summary.problems.clear();  // "not ended" is one of the file alone
    summary.problem_count = 0;
    return SummaryJson("a", summary);
  };
  EXPECT_EQ(json(part), json(trace::CutTrace(whole, span.begin_ns, span.end_ns)));
}

bool operator==(const trace::Gap& a, const trace::Gap& b) {
  return a.begin_ns == b.begin_ns && a.end_ns == b.end_ns && a.reason == b.reason && a.lane == b.lane &&
         a.records == b.records;
}

// Of what is missing in the whole a part says what lies in it, or before it; a part of the part still does.
TEST(Cut, KeepsGaps) {
  using trace::GapReason;
  Trace whole = Recorded();
  const std::int64_t first = whole.records.front().time_ns;
  const std::int64_t last = whole.records.back().time_ns;
  const std::int64_t begin = first + (last - first) / 4;
  const std::int64_t end = first + (last - first) / 2;
  whole.start_monotonic_ns = first;
  whole.dropped = 5;
  whole.gaps = {{first, first + 10, GapReason::kOverwritten, 0, 400},
                {begin - 5, begin - 5, GapReason::kTorn, 3, 1},
                {begin + 5, last, GapReason::kDamaged, 2, 17},
                {end - 1, last, GapReason::kDropped, 0, 5},
                {end + 1, last, GapReason::kDamaged, 1, 9}};
  const Trace part = trace::ReadTrace(trace::EncodeTrace(trace::CutTrace(whole, begin, end))).value();
  const Trace again = trace::ReadTrace(trace::EncodeTrace(trace::CutTrace(part, begin, end))).value();
  for (const Trace& one : {part, again}) {
    std::vector<trace::Gap> gaps = one.gaps;
    std::sort(gaps.begin(), gaps.end(), [](const auto& a, const auto& b) { return a.begin_ns < b.begin_ns; });
    ASSERT_EQ(gaps.size(), 5u);  // with that at its own end
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(gaps[i] == whole.gaps[i]) << i;
    EXPECT_TRUE((gaps[2] == trace::Gap{begin + 5, end, GapReason::kDamaged, 2, 17}));
    const std::int64_t last_ns = one.records.back().time_ns;
    for (std::size_t i = 3; i < 5; ++i) {
      if (gaps[i].reason == GapReason::kDropped) {
        EXPECT_EQ(gaps[i].begin_ns, end - 1);
        EXPECT_EQ(gaps[i].records, 5u);
      } else {
        EXPECT_TRUE((gaps[i] == trace::Gap{last_ns, last_ns, GapReason::kTruncated, 0, 0}));
      }
    }
    EXPECT_EQ(one.dropped, 5u);
    EXPECT_FALSE(trace::CheckConservation(one).complete);
  }
  const Trace before = trace::CutTrace(whole, first, begin - 10);
  EXPECT_EQ(before.dropped, 0u);
  EXPECT_EQ(before.gaps.size(), 1u);
}

// What is live at the begin keeps the call stack that says where it came from.
TEST(Cut, KeepsCallStacks) {
  Trace trace;
  trace.labels = {{1, "program+0x1"}, {2, "program+0x2"}};
  const auto add = [&](std::int64_t ns, Event event, std::uint16_t detail, std::uint64_t subject, std::uint64_t value) {
    trace.records.push_back({ns, event, trace::Tag::kNone, detail, 0, subject, value});
  };
  constexpr auto kAllocate = static_cast<std::uint16_t>(Event::kPoolAllocate);
  add(1, Event::kCallStack, kAllocate, 512, 1);
  add(1, Event::kPoolAllocate, 0, 512, 64);
  add(2, Event::kCallStack, kAllocate, 1024, 2);
  add(2, Event::kPoolAllocate, 0, 1024, 64);
  add(3, Event::kPoolFree, 0, 512, 64);
  add(9, Event::kPoolFree, 0, 1024, 64);
  const Trace part = trace::ReadTrace(trace::EncodeTrace(trace::CutTrace(trace, 5, 9))).value();
  ASSERT_EQ(part.records.size(), 3u);
  EXPECT_EQ(part.records[0].event, Event::kCallStack);
  EXPECT_EQ(part.records[0].subject, 1024u);
  EXPECT_EQ(part.LabelText(static_cast<std::uint32_t>(part.records[0].value)), "program+0x2");
  EXPECT_EQ(part.records[1].event, Event::kPoolAllocate);
  EXPECT_EQ(part.labels.size(), 1u);
}

TEST(Cut, OfAMergedFileHasAllRanks) {
  TemporaryFolder folder;
  const std::string bytes = trace::EncodeTrace(Recorded());
  WriteWhole(folder / "job.tlt", trace::MergeTraces({{0, bytes}, {5, bytes}}));
  const Ran ran = RunTrace({"cut", "--range", "step:1", "-", "-o", "-"}, folder / "job.tlt", folder / "part.tlt");
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  const StatusOr<std::vector<Trace>> parts = trace::ReadTraces(ReadWhole(folder / "part.tlt"));
  ASSERT_TRUE(parts.ok()) << parts.status();
  ASSERT_EQ(parts->size(), 2u);
  EXPECT_EQ((*parts)[1].rank, 5);
  EXPECT_EQ((*parts)[1].records.size(), (*parts)[0].records.size());
}

}  // namespace
}  // namespace tierlib::trace_viewer
