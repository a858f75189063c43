// The flight recorder, and call stacks.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/failpoint.h"
#include "io/temporary_folder.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/recorded_trace.h"
#include "trace/recorder.h"

namespace tierlib::trace {
namespace {

TEST(FlightRecorder, KeepsTheNewestRecordsAndSaysWhatIsGone) {
  TemporaryFolder folder;
  constexpr std::uint64_t kRecords = 300'000;  // 3 MiB of blocks
  {
    const auto recorder = OpenAt(folder / "a.tlt", 1 << 20);
    recorder->Intern("kept");
    RecordNoise(*recorder, 0, kRecords);
  }
  EXPECT_LE(std::filesystem::file_size(folder / "a.tlt"), (1u << 20) + 2 * kChunkBytes);
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  EXPECT_GT(trace.records.size(), 20'000u);
  EXPECT_LT(trace.records.size(), 120'000u);
  for (std::size_t i = 0; i < trace.records.size(); ++i) {
    ASSERT_EQ(trace.records[i].value, kRecords - trace.records.size() + i);
  }
  EXPECT_EQ(trace.LabelText(1), "kept");
  ASSERT_EQ(trace.gaps.size(), 1u);
  EXPECT_EQ(trace.gaps[0].reason, GapReason::kOverwritten);
  EXPECT_EQ(trace.gaps[0].records, kRecords - trace.records.size());
  EXPECT_EQ(trace.gaps[0].begin_ns, trace.start_monotonic_ns);
  EXPECT_GT(trace.gaps[0].end_ns, trace.start_monotonic_ns);
  EXPECT_LE(trace.gaps[0].end_ns, trace.records[0].time_ns);
}

TEST(FlightRecorder, IsReadAsItRuns) {
  TemporaryFolder folder;
  constexpr std::uint64_t kRecords = 200'000;
  const auto recorder = OpenAt(folder / "a.tlt", 1 << 20);
  RecordNoise(*recorder, 0, kRecords);
  // What is sealed while the file is read may be missing from what is read: until the chunk in use is the only one.
  while (ChunksOfRecords(ReadWhole(folder / "a.tlt")) != 1) std::this_thread::yield();
  const Trace trace = std::move(ReadTraceFile(folder / "a.tlt")).value();
  EXPECT_GT(trace.records.size(), 20'000u);
  EXPECT_EQ(trace.records.back().value, kRecords - 1);
  ASSERT_EQ(trace.gaps.size(), 2u);
  EXPECT_EQ(trace.gaps[0].reason, GapReason::kOverwritten);
  EXPECT_EQ(trace.gaps[1].reason, GapReason::kTruncated);
}

TEST(FlightRecorder, LivesOnWhereTheDiskIsFull) {
  TemporaryFolder folder;
  constexpr std::uint64_t kRecords = 800'000;
  {
    const auto recorder = OpenAt(folder / "a.tlt", 16 << 20);
    RecordNoise(*recorder, 0, 70 * kRecordsPerChunk);  // more than can wait: there are blocks
    const ScopedFailpoint full("trace.reserve", {.persistent = true});
    RecordNoise(*recorder, 70 * kRecordsPerChunk, kRecords);
    EXPECT_GE(full.calls(), 1);
    EXPECT_EQ(recorder->dropped(), 0u);
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  EXPECT_EQ(trace.records.back().value, kRecords - 1);
  EXPECT_LT(trace.records.size(), kRecords);
}

// A text needs a chunk where the disk is full: sealing gives one.
TEST(FlightRecorder, TakesTextsWhereTheDiskIsFull) {
  TemporaryFolder folder;
  const ScopedFailpoint no_thread("trace.thread", {.persistent = true});
  constexpr std::uint64_t kChunks = 70;    // more than can wait: there are blocks
  constexpr std::uint32_t kTexts = 1'500;  // 47 chunks, more than the file has left
  {
    const auto recorder = OpenAt(folder / "a.tlt", 16 << 20);
    RecordNoise(*recorder, 0, kChunks * kRecordsPerChunk);
    const ScopedFailpoint full("trace.reserve", {.persistent = true});
    const std::string text(2'000, 'x');
    for (std::uint32_t i = 0; i < kTexts; ++i) ASSERT_EQ(recorder->Intern(text + std::to_string(i)), i + 1);
    EXPECT_GE(full.calls(), 1);
    RecordNoise(*recorder, kChunks * kRecordsPerChunk, 2 * kChunks * kRecordsPerChunk);
    EXPECT_EQ(recorder->dropped(), 0u);
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  EXPECT_EQ(trace.records.back().value, 2 * kChunks * kRecordsPerChunk - 1);
  EXPECT_EQ(trace.labels.size(), kTexts);
}

// A step, with a time of its own: tests need not wait.
void RecordStep(Recorder& recorder, std::uint64_t step, std::int64_t& time_ns, std::int64_t took_ns) {
  recorder.WriteAt(time_ns, Event::kStepBegin, Tag::kNone, 0, 0, step, 0);
  recorder.WriteAt(time_ns += took_ns, Event::kStepEnd, Tag::kNone, 0, 0, step, 0);
}

TEST(FlightRecorder, KeepsACopyOfASlowStep) {
  TemporaryFolder folder;
  TemporaryFolder log;
  testing::internal::CaptureStderr();
  {
    const auto recorder = OpenAt(folder / "a.tlt", 1 << 20, 3);
    std::int64_t time_ns = NowNs() - 1'000'000'000;  // none is later than the copy
    for (std::uint64_t step = 1; step <= 10; ++step) RecordStep(*recorder, step, time_ns, 1'000'000);
    RecordStep(*recorder, 11, time_ns, 2'900'000);  // not slow enough
    recorder->Write(Event::kPack, Tag::kNone, 0, 0, 77, 78);
    RecordStep(*recorder, 12, time_ns, 3'200'000);
    while (!std::filesystem::exists(folder / "a.tlt.1")) std::this_thread::yield();
    for (std::uint64_t step = 13; step <= 20; ++step) RecordStep(*recorder, step, time_ns, 1'000'000);
  }
  const std::string message = testing::internal::GetCapturedStderr();
  EXPECT_NE(message.find("step 12 took 3.2 times the median; kept as " + (folder / "a.tlt.1")), std::string::npos)
      << message;
  EXPECT_EQ(message.find('\n'), message.size() - 1) << message;
  const Trace copy = ReadWithoutProblems(folder / "a.tlt.1");
  bool has_step = false;
  bool has_pack = false;
  for (const Record& record : copy.records) {
    has_step = has_step || (record.event == Event::kStepEnd && record.subject == 12);
    has_pack = has_pack || (record.event == Event::kPack && record.value == 78);
  }
  EXPECT_TRUE(has_step);
  EXPECT_TRUE(has_pack);
  EXPECT_TRUE(copy.gaps.empty());
  EXPECT_EQ(ReadWithoutProblems(folder / "a.tlt").records.size(), 41u);
  EXPECT_FALSE(std::filesystem::exists(folder / "a.tlt.2"));
}

bool IsCopied(const std::string& path) {
  FileHeader header = {};
  const std::string bytes = std::filesystem::exists(path) ? ReadWhole(path) : "";
  if (bytes.size() >= sizeof header) std::memcpy(&header, bytes.data(), sizeof header);
  return header.closed == kCopied;
}

// Threads fill chunks before and behind the place where the copy is.
TEST(FlightRecorder, ACopyIsWholeThoughThreadsGoOn) {
  TemporaryFolder folder;
  TemporaryFolder log;
  testing::internal::CaptureStderr();
  {
    const auto recorder = OpenAt(folder / "a.tlt", 1 << 20, 3);
    std::atomic<bool> done = false;
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&recorder, &done, thread] {
        for (std::uint64_t i = 0; !done.load(); ++i) recorder->Write(Event::kUnpack, Tag::kNone, 0, 0, thread, i);
      });
    }
    std::int64_t time_ns = NowNs() - 1'000'000'000;
    for (std::uint64_t step = 1; step <= 11; ++step) RecordStep(*recorder, step, time_ns, step == 11 ? 9'000 : 1'000);
    while (!IsCopied(folder / "a.tlt.1")) std::this_thread::yield();
    done = true;
    for (std::thread& thread : threads) thread.join();
  }
  (void)testing::internal::GetCapturedStderr();
  const Trace copy = ReadWithoutProblems(folder / "a.tlt.1");
  for (const Gap& gap : copy.gaps) EXPECT_EQ(gap.reason, GapReason::kOverwritten) << GapReasonName(gap.reason);
  std::vector<std::uint64_t> next(3);
  for (const Record& record : copy.records) {
    if (record.event != Event::kUnpack) continue;
    std::uint64_t& expected = next[record.subject];
    ASSERT_TRUE(expected == 0 || record.value == expected) << record.value << " after " << expected;
    expected = record.value + 1;
  }
}

TEST(FlightRecorder, SaysWhereACopyCannotBeKept) {
  TemporaryFolder folder;
  WriteWhole(folder / "a.tlt.1", "precious");
  testing::internal::CaptureStderr();
  {
    const auto recorder = OpenAt(folder / "a.tlt", 1 << 20, 2);
    std::int64_t time_ns = 0;
    for (std::uint64_t step = 1; step <= 10; ++step) RecordStep(*recorder, step, time_ns, step == 10 ? 5'000 : 1'000);
  }
  const std::string message = testing::internal::GetCapturedStderr();
  EXPECT_NE(message.find("not kept: "), std::string::npos) << message;
  EXPECT_NE(message.find("something that is not a trace stands there"), std::string::npos) << message;
  EXPECT_EQ(ReadWhole(folder / "a.tlt.1"), "precious");
}

TEST(FlightRecorder, RefusesWhatMakesNoSense) {
  TemporaryFolder folder;
  RecorderOptions options;
  options.path = folder / "a.tlt";
  options.last_bytes = 1000;
  EXPECT_EQ(Recorder::Open(options).status().code(), StatusCode::kInvalidArgument);
  options.last_bytes = 0;
  options.slow_step_ratio = 2;
  EXPECT_NE(Recorder::Open(options).status().message().find("needs a flight recorder"), std::string::npos);
  options.last_bytes = 1 << 20;
  for (const double ratio : {1.0, -3.0, 0.5, 1e9}) {
    options.slow_step_ratio = ratio;
    EXPECT_EQ(Recorder::Open(options).status().code(), StatusCode::kInvalidArgument) << ratio;
  }
  EXPECT_TRUE(folder.names().empty());
}

[[gnu::noinline]] void WriteOneOfEach(Recorder& recorder, std::uint64_t subject) {
  recorder.Write(Event::kPack, Tag::kSaved, 0, 0, subject, 1);
  recorder.WriteAt(NowNs(), Event::kStorageRegister, Tag::kSaved, 0, 0, subject, 1);
  recorder.Write(Event::kUnpack, Tag::kSaved, 0, 0, subject, 1);
}

// The first frame of a call stack lies in WriteOneOfEach.
void ExpectInWriteOneOfEach(const std::string& text) {
  Dl_info module = {};
  ASSERT_NE(dladdr(reinterpret_cast<const void*>(&WriteOneOfEach), &module), 0);
  const auto begin =
      reinterpret_cast<std::uintptr_t>(&WriteOneOfEach) - reinterpret_cast<std::uintptr_t>(module.dli_fbase);
  constexpr std::uintptr_t kCodeBytesMost = 600;  // with sanitizers
  const std::size_t plus = text.find("+0x");
  ASSERT_NE(plus, std::string::npos) << text;
  const std::uint64_t at = std::stoull(text.substr(plus + 3), nullptr, 16);
  EXPECT_GT(at, begin) << text;
  EXPECT_LT(at, begin + kCodeBytesMost) << text;
}

TEST(RecorderStacks, SayWhereARecordCameFrom) {
  TemporaryFolder folder;
  RecorderOptions options;
  options.path = folder / "a.tlt";
  options.stacks = true;
  {
    const auto recorder = std::move(Recorder::Open(options)).value();
    const volatile std::uint64_t times = 2;  // so that both come from the same place
    for (std::uint64_t i = 0; i < times; ++i) WriteOneOfEach(*recorder, 40 + i);
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  ASSERT_EQ(trace.records.size(), 10u);
  const Record& stack = trace.records[0];
  EXPECT_EQ(stack.event, Event::kCallStack);
  EXPECT_EQ(stack.subject, 40u);
  EXPECT_EQ(stack.detail, static_cast<std::uint16_t>(Event::kPack));
  EXPECT_EQ(trace.records[1].event, Event::kPack);
  EXPECT_EQ(trace.records[1].time_ns, stack.time_ns);
  EXPECT_EQ(trace.records[5].value, stack.value) << "the same stack is one text";
  const std::string text = trace.LabelText(static_cast<std::uint32_t>(stack.value));
  EXPECT_EQ(text.find("trace_test+0x"), 0u) << text;
  EXPECT_NE(text.find('\n'), std::string::npos) << text;
  ExpectInWriteOneOfEach(text);
  EXPECT_EQ(trace.records[3].event, Event::kStorageRegister);
  ExpectInWriteOneOfEach(trace.LabelText(static_cast<std::uint32_t>(trace.records[2].value)));
}

}  // namespace
}  // namespace tierlib::trace
