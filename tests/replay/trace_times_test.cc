// What traces tell of time: when events were, and where steps end.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "allocation_trace.h"
#include "io/temporary_folder.h"
#include "replay/snapshot_pickles.h"
#include "trace/recorder.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

using Kind = AllocationEvent::Kind;
using Times = std::vector<std::int64_t>;

constexpr std::int64_t kHourNs = 3'600'000'000'000;

Times RmmTimes(const std::vector<std::string>& times) {
  std::string log = "Thread,Time,Action,Pointer,Size,Stream\n";
  for (const std::string& time : times) log += "1," + time + ",allocate,0x100,1,0x0\n";
  const StatusOr<AllocationTrace> trace = ReadRmmLog(log, {});
  EXPECT_TRUE(trace.ok()) << trace.status();
  return trace.ok() ? trace->times_ns : Times();
}

TEST(TraceTimes, OfAnRmmLog) {
  EXPECT_EQ(RmmTimes({"10:15:42.000001", "10:15:42.25", "10:15:43:000007", "11:00:00"}),
            (Times{36'942'000'001'000, 36'942'250'000'000, 36'943'000'007'000, 11 * kHourNs}));
  EXPECT_EQ(RmmTimes({"23:00:00.0", "22:59:59.9", "01:00:00.0", "00:30:00.0", "13:00:00.0", "00:10:00.0"}),
            (Times{23 * kHourNs, 23 * kHourNs - 100'000'000, 25 * kHourNs, 24 * kHourNs + kHourNs / 2, 37 * kHourNs,
                   48 * kHourNs + kHourNs / 6}))
      << "the day after, and the one after that";
}

TEST(TraceTimes, WhereOneIsMissingThereAreNone) {
  for (const char* time :
       {"t", "", "10:15", "10:15:60", "10:15:4.5", "10:15:42.", "10:15:42.0123456789", "10:15:42x"}) {
    EXPECT_EQ(RmmTimes({"10:00:00.0", time, "10:00:01.0"}), Times()) << time;
  }
}

TEST(TraceTimes, OfASnapshot) {
  const auto trace = ReadTorchSnapshot(FromHexadecimal(kSnapshotPickles[0]), {});
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->times_ns, (Times{5000, 6000, 6000, 8000}));
}

TEST(TraceTimes, IterationsOfStallocAreSteps) {
  const auto trace = ReadStallocLog(
      "Iteration Index : head\n1 0x100 5 0\nIteration Index : 0\nmicro-batch : F\n0 0x100 5 0\nIteration Index : 1\n",
      {});
  ASSERT_TRUE(trace.ok()) << trace.status();
  std::vector<Kind> kinds;
  for (const AllocationEvent& event : trace->events) kinds.push_back(event.kind);
  EXPECT_EQ(kinds, (std::vector<Kind>{Kind::kAllocate, Kind::kStepEnd, Kind::kFree, Kind::kStepEnd}))
      << "before the first one nothing ends";
  EXPECT_TRUE(trace->times_ns.empty());
}

TEST(TraceTimes, OfATierlibTraceWithItsSteps) {
  TemporaryFolder folder;
  {
    const auto recorder = trace::Recorder::Open({.path = folder / "run.tlt"}).value();
    recorder->WriteAt(1'000'000'500, trace::Event::kPoolAllocate, trace::Tag::kSaved, 0, 0, 0, 512);
    recorder->WriteAt(1'000'000'700, trace::Event::kStepEnd, trace::Tag::kNone, 0, 0, 1, 0);
    recorder->WriteAt(1'000'000'900, trace::Event::kPoolFree, trace::Tag::kSaved, 0, 0, 0, 512);
  }
  const auto trace = ReadTierlibTrace(ReadWhole(folder / "run.tlt"), {.tier = Tier::kDevice});
  ASSERT_TRUE(trace.ok()) << trace.status();
  ASSERT_EQ(trace->events.size(), 3u);
  EXPECT_EQ(trace->events[1].kind, Kind::kStepEnd);
  EXPECT_EQ(trace->times_ns, (Times{1'000'000'500, 1'000'000'700, 1'000'000'900}));
  // Steps are those of the program, whatever the tier.
  EXPECT_EQ(ReadTierlibTrace(ReadWhole(folder / "run.tlt"), {.tier = Tier::kPinned}).value().events.size(), 1u);
}

}  // namespace
}  // namespace tierlib::trace_replay
