// tierlib-trace summary: the slowest steps and what they had more of, and what nothing explains.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "trace/summary.h"
#include "trace/trace_writer.h"
#include "trace_viewer/recorded_run.h"

namespace tierlib::trace_viewer {
namespace {

using trace::Event;
using trace::Record;
using trace::SlowStep;
using trace::StepExcess;
using trace::Tag;
using trace::Trace;

constexpr std::int64_t kMs = 1'000'000;

// Steps of 10 ms: an op of 6 ms ("matmul"), a stall of 2 ms, 1 MiB out. Step 4 takes 30 ms: another op of 4 ms
// ("norm"), its stall is 9 ms, it copies 3 MiB, and nothing is known of 15 ms.
Trace StepsWithASlowOne() {
  Trace trace;
  trace.closed = true;
  trace.labels = {{1, "matmul"}, {2, "norm"}, {3, "block.0.attn"}};
  std::int64_t now = 0;
  std::uint64_t op = 0;
  const auto add = [&](std::int64_t ms, Event event, std::uint16_t detail, std::uint32_t label, std::uint64_t subject,
                       std::uint64_t value, Tag tag = Tag::kNone) {
    trace.records.push_back({ms * kMs, event, tag, detail, label, subject, value});
  };
  add(0, Event::kPoolReserve, 0, 0, 0, 64 << 20);
  add(0, Event::kPoolAllocate, 0, 0, 0, 8 << 20);  // that nobody says what for
  add(0, Event::kPoolAllocate, 0, 0, 8 << 20, 16 << 20, Tag::kParameter);
  const auto run_op = [&](std::uint32_t label, std::int64_t ms) {
    add(now, Event::kOpBegin, 0, label, ++op, 0);
    add(now += ms, Event::kOpEnd, 0, label, op, 0);
  };
  for (std::uint64_t step = 1; step <= 5; ++step) {
    const bool slow = step == 4;
    const std::int64_t begin = now;
    const std::uint64_t bytes = std::uint64_t{slow ? 3u : 1u} << 20;
    add(now, Event::kStepBegin, 0, 0, step, 0);
    run_op(1, 6);
    if (slow) run_op(2, 4);
    add(now, Event::kPack, 0, 0, 7, bytes, Tag::kSaved);
    add(now, Event::kDecision, trace::DecisionDetail(trace::DecisionAction::kMove, trace::DecisionReason::kPolicy), 0,
        7, bytes, Tag::kSaved);
    add(now, Event::kTransferAsk, 0, 0, step, bytes, Tag::kSaved);
    const std::int64_t stall = slow ? 9 : 2;
    add(now, Event::kStallBegin, 2, 3, 7, 0);
    add(now += stall, Event::kStallEnd, 2, 3, 7, static_cast<std::uint64_t>(stall * kMs));
    now = begin + (slow ? 34 : 10);
    add(now, Event::kStepEnd, 0, 0, step, 0);
  }
  return trace;
}

TEST(SlowSteps, SayWhatTheyHadMoreOfThanTheMedianOne) {
  const trace::Summary summary = trace::Summarize(StepsWithASlowOne());
  EXPECT_EQ(summary.steps.count, 5u);
  EXPECT_EQ(summary.steps.median_ns, 10u * kMs);
  ASSERT_EQ(summary.steps.slow.size(), 1u);
  const SlowStep& slow = summary.steps.slow.front();
  EXPECT_EQ(slow.number, 4u);
  EXPECT_EQ(slow.ns, 34u * kMs);
  EXPECT_EQ(slow.begin_ns, 30 * kMs);
  std::string told;
  for (const StepExcess& more : slow.excess) {
    told += std::string(trace::StepExcessKindName(more.kind)) + ' ' + more.name + ' ' + std::to_string(more.amount) +
            " > " + std::to_string(more.median) + '\n';
  }
  EXPECT_EQ(told,
            "unknown  15000000 > 2000000\n"
            "stall late copy in 9000000 > 2000000\n"
            "op norm 4000000 > 0\n"
            "copied out  3145728 > 1048576\n"
            "packed  3145728 > 1048576\n"
            "moved  3145728 > 1048576\n");
}

TEST(SlowSteps, FiguresOfEachStep) {
  const std::vector<trace::StepFigures> steps = trace::Summarize(StepsWithASlowOne()).steps.each;
  ASSERT_EQ(steps.size(), 5u);
  EXPECT_EQ(steps[0].unknown_ns, 2u * kMs);
  EXPECT_EQ(steps[3].unknown_ns, 15u * kMs);
  EXPECT_EQ(steps[3].stall_ns(), 9u * kMs);
  EXPECT_EQ(steps[3].packed_bytes, 3u << 20);
  EXPECT_EQ(steps[3].moved_bytes, 3u << 20);
  EXPECT_EQ(steps[3].copied_bytes[0], 3u << 20);
  EXPECT_EQ(steps[3].device_peak_bytes, 24u << 20);
}

TEST(Summary, ShowsMemoryThatNothingExplains) {
  const trace::TierSummary tier = trace::Summarize(StepsWithASlowOne()).tiers.at(0);
  EXPECT_EQ(tier.peak_bytes, 24u << 20);
  EXPECT_EQ(tier.untagged_at_peak, 8u << 20);
  EXPECT_EQ(tier.reserved_at_peak, 64u << 20);
  EXPECT_EQ(tier.unused_at_peak, 40u << 20);
}

TEST(SummaryCommand, PrintsSlowStepsAndWhatIsNotExplained) {
  TemporaryFolder folder;
  WriteWhole(folder / "run.tlt", trace::EncodeTrace(StepsWithASlowOne()));
  const Ran ran = RunTrace({"summary", folder / "run.tlt"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_NE(ran.out.find("slowest steps, and what they had more of than the median one\n"
                         "  step 4   34 ms   at 30 ms   neither ops nor known stalls 13 ms, late copy in 7 ms, norm 4 "
                         "ms, copied out 2 MiB\n"),
            std::string::npos)
      << ran.out;
  EXPECT_NE(ran.out.find("device peak at 0 s: parameters 67 %, untagged 33 %; reserved and not used 40 MiB\n"),
            std::string::npos)
      << ran.out;
  const nlohmann::json json = nlohmann::json::parse(RunTrace({"summary", "--json", folder / "run.tlt"}).out);
  const nlohmann::json& slow = json["steps"]["slow"];
  ASSERT_EQ(slow.size(), 1u);
  EXPECT_EQ(slow[0]["step"], 4);
  EXPECT_EQ(slow[0]["more_than_median"][2]["name"], "norm");
  EXPECT_EQ(slow[0]["more_than_median"][2]["unit"], "ns");
  EXPECT_EQ(slow[0]["more_than_median"][3]["what"], "copied out");
  EXPECT_EQ(slow[0]["more_than_median"][3]["amount"], 3 << 20);
  EXPECT_EQ(json["tiers"][0]["untagged_at_peak"], 8 << 20);
  EXPECT_EQ(json["tiers"][0]["unused_at_peak"], 40 << 20);
}

// The figures of the steps are those of the whole run where everything happens within steps.
TEST(StepFigures, AddUpToTheRun) {
  TemporaryFolder folder;
  RecordRun(folder / "run.tlt");
  const trace::Summary summary = trace::Summarize(trace::ReadTraceFile(folder / "run.tlt").value());
  std::uint64_t packed = 0;
  std::uint64_t moved = 0;
  std::uint64_t avoided = 0;
  std::uint64_t out = 0;
  std::uint64_t peak = 0;
  for (const trace::StepFigures& step : summary.steps.each) {
    packed += step.packed_bytes;
    moved += step.moved_bytes;
    avoided += step.avoided_bytes;
    out += step.copied_bytes[0];
    peak = std::max(peak, step.device_peak_bytes);
    EXPECT_LE(step.unknown_ns, step.ns);
  }
  EXPECT_GT(moved, 0u);
  EXPECT_EQ(packed, summary.naive);
  EXPECT_EQ(moved, summary.moved);
  EXPECT_EQ(avoided,
            summary.avoided_identity + summary.avoided_lineage + summary.avoided_recompute + summary.frees_nothing);
  EXPECT_EQ(out, summary.transfers[0].bytes);
  EXPECT_EQ(peak, summary.tiers[0].peak_bytes);
}

}  // namespace
}  // namespace tierlib::trace_viewer
