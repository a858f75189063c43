// Fields of records may hold anything; the sanitizers watch what the commands make of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "export_command.h"
#include "metrics.h"
#include "page_data.h"
#include "pool_history.h"
#include "summary_command.h"
#include "top_command.h"
#include "trace/check/conservation.h"
#include "trace/trace_cut.h"
#include "trace/trace_writer.h"
#include "trace_difference.h"

namespace tierlib::trace_viewer {
namespace {

using trace::Event;
using trace::Record;
using trace::Tag;
using trace::Trace;

// The codes of all events.
const std::vector<Event>& KnownEvents() {
  static const auto& events = *new std::vector<Event>([] {
    std::vector<Event> known;
    for (int code = 0; code < 256; ++code) {
      if (trace::IsKnownEvent(static_cast<std::uint8_t>(code))) known.push_back(static_cast<Event>(code));
    }
    return known;
  }());
  return events;
}

// Of few kinds, so that ends find begins; now and then of any.
Record AnyRecord(Random& random) {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  Record record;
  const std::uint64_t kind = random.UniformInt(10);
  record.time_ns = kind == 0   ? kLeast
                   : kind == 1 ? kMost
                   : kind == 2 ? static_cast<std::int64_t>(random.NextU64())
                               : static_cast<std::int64_t>(random.UniformInt(1000));
  record.event = KnownEvents()[random.UniformInt(KnownEvents().size())];
  record.tag = static_cast<Tag>(random.UniformInt(20) == 0 ? random.UniformInt(256) : random.UniformInt(9));
  record.detail = static_cast<std::uint16_t>(random.UniformInt(4) == 0 ? random.NextU32() : random.UniformInt(4));
  record.label = static_cast<std::uint32_t>(random.UniformInt(4));
  record.subject = random.UniformInt(8) == 0 ? random.NextU64() : random.UniformInt(4);
  record.value = random.UniformInt(4) == 0 ? random.NextU64() : random.UniformInt(100);
  return record;
}

// What `view` puts into its page: no text of the trace may end an element.
void ExpectPage(const Trace& trace, const trace::Summary& summary) {
  const StatusOr<std::string> elements = PageData(0, "</script>", SummaryJson("</script>", summary), trace);
  ASSERT_TRUE(elements.ok()) << elements.status();
  std::size_t begins = 0;
  std::size_t ends = 0;
  for (std::size_t at = 0; (at = elements->find('<', at)) != std::string::npos; ++at) {
    ASSERT_TRUE(elements->compare(at, 8, "<script ") == 0 || elements->compare(at, 9, "</script>") == 0)
        << elements->substr(at, 40);
    ++(elements->compare(at, 2, "</") == 0 ? ends : begins);
  }
  ASSERT_GT(begins, 0u);
  ASSERT_EQ(begins, ends);
}

TEST(HostileRecords, EveryCommandSurvivesThem) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  std::set<Event> made;
  for (int round = 0; round < 1'000 / TIERLIB_RANDOM_SCALE; ++round) {
    Trace trace;
    trace.closed = random.UniformInt(2) == 0;
    trace.start_monotonic_ns = random.UniformInt(2) == 0 ? 0 : static_cast<std::int64_t>(random.NextU64());
    trace.start_wall_ns = random.UniformInt(2) == 0 ? 0 : static_cast<std::int64_t>(random.NextU64());
    trace.labels = {{1, "a"}, {2, std::string("\xff\0\x1b", 3)}};
    for (int i = 0; i < 120; ++i) {
      trace.records.push_back(AnyRecord(random));
      made.insert(trace.records.back().event);
    }
    std::stable_sort(trace.records.begin(), trace.records.end(),
                     [](const Record& a, const Record& b) { return a.time_ns < b.time_ns; });
    const trace::ConservationReport report = trace::CheckConservation(trace);
    ASSERT_GT(report.finding_count + report.unexplained, 0u);
    const std::vector<Timeline> timelines = TimelinesOf({trace, Trace()});
    ASSERT_TRUE(nlohmann::json::accept(ChromeTrace(timelines)));
    ASSERT_FALSE(PerfettoTrace(timelines).empty());
    const Trace part = trace::CutTrace(trace, static_cast<std::int64_t>(random.UniformInt(1000)), 900);
    ASSERT_TRUE(trace::ReadTrace(trace::EncodeTrace(part)).ok());
    const trace::Summary summary = trace::Summarize(trace);
    ASSERT_TRUE(Compare(summary, summary, {}).changes.empty());
    (void)Compare(summary, trace::Summarize(part), {});
    ASSERT_FALSE(TopText("x", trace, random.NextU64(), TopState::kRunning, true).empty());
    ExpectPage(trace, summary);
    if (HasFatalFailure()) return;
    for (std::size_t tier = 0; tier < trace::kTierCodeCount; ++tier) {
      const PoolHistory history = CollectPoolHistory(trace, static_cast<trace::TierCode>(tier));
      const std::string csv = RmmCsv(history);
      ASSERT_LE(std::count(csv.begin(), csv.end(), '\n'), 1 + static_cast<std::ptrdiff_t>(history.events.size()));
      const std::string pickle = TorchSnapshot(history);
      ASSERT_TRUE(pickle.starts_with("\x80") && pickle.ends_with('.'));
    }
  }
  EXPECT_EQ(made.size(), KnownEvents().size());
}

}  // namespace
}  // namespace tierlib::trace_viewer
