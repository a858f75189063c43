// What is recorded is read back.
#include "trace/recorder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/allocation_count.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/random.h"
#include "io/temporary_folder.h"
#include "trace/format.h"
#include "trace/reader.h"

namespace tierlib::trace {
namespace {

std::unique_ptr<Recorder> OpenAt(const std::string& path, std::uint64_t limit_bytes = 0) {
  RecorderOptions options;
  options.path = path;
  options.limit_bytes = limit_bytes;
  return std::move(Recorder::Open(options)).value();
}

Trace ReadWithoutProblems(const std::string& path) {
  Trace trace = std::move(ReadTraceFile(path)).value();
  EXPECT_EQ(trace.problem_count, 0u) << (trace.problems.empty() ? "" : trace.problems[0].what);
  EXPECT_TRUE(trace.closed);
  return trace;
}

TEST(Recorder, KeepsEveryFieldOfARecord) {
  TemporaryFolder folder;
  const std::int64_t before = NowNs();
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    const std::uint32_t label = recorder->Intern("block.3.attn");
    recorder->Write(Event::kPack, Tag::kSaved, 0xBEEF, label, 0x0123456789ABCDEF, 0xFEDCBA9876543210);
    recorder->WriteAt(-5, Event::kOpEnd, Tag::kClient, 1, 0, 7, 8);
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  ASSERT_EQ(trace.records.size(), 2u);
  EXPECT_EQ(trace.records[0].time_ns, -5);
  EXPECT_EQ(trace.records[0].event, Event::kOpEnd);
  const Record& pack = trace.records[1];
  EXPECT_GE(pack.time_ns, before);
  EXPECT_LE(pack.time_ns, NowNs());
  EXPECT_EQ(pack.event, Event::kPack);
  EXPECT_EQ(pack.tag, Tag::kSaved);
  EXPECT_EQ(pack.detail, 0xBEEF);
  EXPECT_EQ(pack.subject, 0x0123456789ABCDEFu);
  EXPECT_EQ(pack.value, 0xFEDCBA9876543210u);
  EXPECT_EQ(trace.LabelText(pack.label), "block.3.attn");
}

TEST(Recorder, DescribesTheRunInTheHeader) {
  TemporaryFolder folder;
  RecorderOptions options;
  options.path = folder / "run.%r.tlt";
  options.rank = 3;
  options.device = "emulated:0";
  options.device_capacity = 512 << 20;
  options.pinned_capacity = std::uint64_t{2} << 30;
  const auto recorder = std::move(Recorder::Open(options)).value();
  EXPECT_EQ(recorder->path(), folder / "run.3.tlt");
  // Before it is closed: what a reader of a killed program's trace sees.
  const Trace trace = ReadTraceFile(recorder->path()).value();
  EXPECT_EQ(trace.rank, 3);
  EXPECT_EQ(trace.process_id, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(trace.device, "emulated:0");
  EXPECT_EQ(trace.device_capacity, std::uint64_t{512} << 20);
  EXPECT_EQ(trace.pinned_capacity, std::uint64_t{2} << 30);
  EXPECT_LE(trace.start_monotonic_ns, NowNs());
  EXPECT_GT(trace.start_wall_ns, std::int64_t{1'700'000'000} * 1'000'000'000);
  EXPECT_FALSE(trace.closed);
}

TEST(Recorder, KeepsTheOrderOfEachOfSeveralThreads) {
  constexpr int kThreads = 4;
  constexpr std::uint64_t kRecords = 20'000 / TIERLIB_RANDOM_SCALE + 3'000;  // several chunks each
  TemporaryFolder folder;
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    std::vector<std::thread> threads;
    for (std::uint64_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&recorder, t] {
        for (std::uint64_t i = 0; i < kRecords; ++i) {
          const std::uint32_t label = i % 512 == 0 ? recorder->Intern("label " + std::to_string(i)) : 0;
          recorder->Write(Event::kPack, Tag::kNone, static_cast<std::uint16_t>(t), label, t, i);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(recorder->dropped(), 0u);
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  ASSERT_EQ(trace.records.size(), kThreads * kRecords);
  std::uint64_t next[kThreads] = {};
  std::int64_t time = trace.records.front().time_ns;
  for (const Record& record : trace.records) {
    ASSERT_LT(record.subject, static_cast<std::uint64_t>(kThreads));
    ASSERT_EQ(record.value, next[record.subject]++);
    ASSERT_EQ(record.detail, record.subject);
    ASSERT_GE(record.time_ns, time);
    if (record.value % 512 == 0) {
      ASSERT_EQ(trace.LabelText(record.label), "label " + std::to_string(record.value));
    }
    time = record.time_ns;
  }
}

TEST(Recorder, ThreadsThatEndLeaveTheirLaneToLaterOnes) {
  TemporaryFolder folder;
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    for (std::uint64_t i = 0; i < 300; ++i) {
      std::thread([&] { recorder->Write(Event::kPack, Tag::kNone, 0, 0, 0, i); }).join();
    }
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  ASSERT_EQ(trace.records.size(), 300u);
  for (std::uint64_t i = 0; i < 300; ++i) EXPECT_EQ(trace.records[i].value, i);
  EXPECT_LT(std::filesystem::file_size(folder / "a.tlt"), kHeaderBytes + kChunkBytes);
}

TEST(Recorder, ThreadsMayOutliveARecorder) {
  TemporaryFolder folder;
  auto first = OpenAt(folder / "first.tlt");
  auto second = OpenAt(folder / "second.tlt");
  std::thread([&] {
    for (std::uint64_t i = 0; i < 10; ++i) {  // alternately, so that the remembered lane changes each time
      first->Write(Event::kPack, Tag::kNone, 0, 0, 1, i);
      second->Write(Event::kPack, Tag::kNone, 0, 0, 2, i);
    }
    first.reset();
    second->Write(Event::kPack, Tag::kNone, 0, 0, 2, 10);
    first = OpenAt(folder / "third.tlt");  // perhaps at the same address
    first->Write(Event::kPack, Tag::kNone, 0, 0, 3, 0);
  }).join();
  first.reset();
  second.reset();
  EXPECT_EQ(ReadWithoutProblems(folder / "first.tlt").records.size(), 10u);
  EXPECT_EQ(ReadWithoutProblems(folder / "third.tlt").records.size(), 1u);
  const Trace trace = ReadWithoutProblems(folder / "second.tlt");
  ASSERT_EQ(trace.records.size(), 11u);
  for (const Record& record : trace.records) EXPECT_EQ(record.subject, 2u);
}

TEST(Recorder, AForkedChildWritesNothing) {
  TemporaryFolder folder;
  auto recorder = OpenAt(folder / "a.tlt");
  recorder->Write(Event::kPack, Tag::kNone, 0, 0, 1, 0);
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 5'000; ++i) recorder->Write(Event::kPack, Tag::kNone, 0, recorder->Intern("child"), 2, 0);
    recorder.reset();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  recorder->Write(Event::kPack, Tag::kNone, 0, 0, 1, 1);
  recorder.reset();
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  ASSERT_EQ(trace.records.size(), 2u);
  EXPECT_EQ(trace.records[1].subject, 1u);
  EXPECT_TRUE(trace.labels.empty());
}

TEST(Recorder, WritingAllocatesNothing) {
  TemporaryFolder folder;
  const auto recorder = OpenAt(folder / "a.tlt");
  const std::uint32_t label = recorder->Intern("x");
  recorder->Write(Event::kPack, Tag::kNone, 0, label, 0, 0);
  const std::int64_t before = ThreadAllocationCount();
  for (std::uint64_t i = 0; i < kRecordsPerChunk - 1; ++i) recorder->Write(Event::kPack, Tag::kNone, 0, label, 0, i);
  EXPECT_EQ(ThreadAllocationCount(), before);
}

TEST(Recorder, GivesTheSameNumberForTheSameText) {
  TemporaryFolder folder;
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    EXPECT_EQ(recorder->Intern(""), 0u);
    const std::uint32_t a = recorder->Intern("a");
    const std::uint32_t b = recorder->Intern("b");
    EXPECT_NE(a, b);
    EXPECT_EQ(recorder->Intern(std::string("a")), a);
    const std::string nul("x\0y", 3);
    const std::uint32_t with_nul = recorder->Intern(nul);
    EXPECT_NE(recorder->Intern("x"), with_nul);
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  EXPECT_EQ(trace.labels.size(), 4u);
  EXPECT_EQ(trace.LabelText(0), "");
  EXPECT_EQ(trace.LabelText(1), "a");
  EXPECT_EQ(trace.LabelText(3), std::string("x\0y", 3));
  EXPECT_EQ(trace.LabelText(99), "label 99");
}

TEST(Recorder, CutsLongTextsBetweenCharacters) {
  TemporaryFolder folder;
  std::uint32_t label = 0;
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    label = recorder->Intern(std::string(4095, 'x') + "\xC3\xA9" + "tail");  // the limit lies inside of the letter
    EXPECT_EQ(recorder->Intern(std::string(4095, 'x') + "\xC3\xA9" + "other tail"), label);
    EXPECT_NE(recorder->Intern(std::string(4096, 'x') + "tail"), label);
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  EXPECT_EQ(trace.LabelText(label), std::string(4095, 'x'));
}

TEST(Recorder, TextsBeyondTheMostAreOther) {
  TemporaryFolder folder;
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    for (std::uint32_t i = 0; i < kTextsMost; ++i) ASSERT_EQ(recorder->Intern(std::to_string(i)), i + 1);
    EXPECT_EQ(recorder->Intern("one more"), kOtherLabel);
    EXPECT_EQ(recorder->Intern("and one"), kOtherLabel);
    EXPECT_EQ(recorder->Intern("17"), 18u);
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  EXPECT_EQ(trace.labels.size(), kTextsMost + 1);
  EXPECT_EQ(trace.LabelText(kOtherLabel), "(other)");
  EXPECT_EQ(trace.LabelText(kTextsMost), std::to_string(kTextsMost - 1));
}

// Records `chunks` chunks full of records that hardly compress: two or three chunks of them fill one of blocks.
void RecordChunks(Recorder& recorder, std::uint64_t chunks) {
  Random random(17);
  for (std::uint64_t i = 0; i < chunks * kRecordsPerChunk; ++i) {
    recorder.Write(Event::kPack, Tag::kNone, 0, 0, random.NextU64(), i);
  }
}

// What was not dropped comes before what was.
void ExpectPrefix(const Trace& trace, std::uint64_t chunks) {
  EXPECT_EQ(trace.records.size() + trace.dropped, chunks * kRecordsPerChunk);
  for (std::size_t i = 0; i < trace.records.size(); ++i) ASSERT_EQ(trace.records[i].value, i);
}

TEST(Recorder, StopsAtItsLimitWithOneMessage) {
  TemporaryFolder folder;
  constexpr std::uint64_t kLimit = kHeaderBytes + 3 * kChunkBytes + 100;
  testing::internal::CaptureStderr();
  {
    const auto recorder = OpenAt(folder / "a.tlt", kLimit);
    RecordChunks(*recorder, 10);
    EXPECT_GE(recorder->dropped(), 3 * kRecordsPerChunk);
    EXPECT_EQ(recorder->Intern("too late"), 0u);
  }
  const std::string message = testing::internal::GetCapturedStderr();
  EXPECT_NE(message.find("its limit of 196 KiB is reached"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), message.size() - 1) << message;
  EXPECT_LE(std::filesystem::file_size(folder / "a.tlt"), kLimit);

  const Trace trace = ReadTraceFile(folder / "a.tlt").value();
  EXPECT_GE(trace.records.size(), kRecordsPerChunk);
  ExpectPrefix(trace, 10);
  ASSERT_EQ(trace.problem_count, 1u);
  EXPECT_NE(trace.problems[0].what.find("records were dropped"), std::string::npos);
  ASSERT_EQ(trace.gaps.size(), 1u);
  EXPECT_EQ(trace.gaps[0].reason, GapReason::kDropped);
  EXPECT_EQ(trace.gaps[0].records, trace.dropped);
  EXPECT_LT(trace.gaps[0].begin_ns, trace.gaps[0].end_ns);
}

// Records `chunks` chunks while a failpoint is armed; returns what the reader then finds.
Trace RecordWithFailure(const std::string& failpoint, FailurePlan plan, std::uint64_t chunks, std::string* message) {
  TemporaryFolder folder;
  testing::internal::CaptureStderr();
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    const ScopedFailpoint failure(failpoint, plan);
    RecordChunks(*recorder, chunks);
    EXPECT_GE(failure.calls(), plan.call);
  }
  *message = testing::internal::GetCapturedStderr();
  Trace trace = ReadTraceFile(folder / "a.tlt").value();
  ExpectPrefix(trace, chunks);
  return trace;
}

TEST(Recorder, StopsWhenTheDiskFillsUp) {
  std::string message;
  const Trace trace = RecordWithFailure("trace.reserve", {.call = 2, .persistent = true}, 120, &message);
  EXPECT_GE(trace.records.size(), 2 * 30 * kRecordsPerChunk);  // the first piece of the file is full of blocks
  EXPECT_GT(trace.dropped, 0u);
  EXPECT_NE(message.find("No space left on device; recording stops"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), message.size() - 1) << message;
}

TEST(Recorder, UsesTheLastChunksOfADiskThatIsNearlyFull) {
  std::string message;
  const Trace trace = RecordWithFailure("trace.reserve", {.call = 2}, 120, &message);
  EXPECT_EQ(trace.dropped, 0u);
  EXPECT_EQ(trace.problem_count, 0u);
  EXPECT_EQ(message, "");
}

TEST(Recorder, StopsWhereAPageIsRefused) {
  std::string message;
  const Trace trace = RecordWithFailure("trace.touch", {.call = 3, .persistent = true}, 5, &message);
  EXPECT_GE(trace.records.size(), kRecordsPerChunk);
  EXPECT_GT(trace.dropped, 0u);
  EXPECT_NE(message.find("cannot touch its pages"), std::string::npos) << message;
}

TEST(Recorder, RefusesALimitThatHoldsNothing) {
  TemporaryFolder folder;
  RecorderOptions options;
  options.path = folder / "a.tlt";
  options.limit_bytes = 1000;
  EXPECT_EQ(Recorder::Open(options).status().code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(options.path));
}

TEST(Recorder, ANullRecorderIsASwitchedOffTrace) {
  Write(nullptr, Event::kPack, Tag::kNone, 0, 0, 0, 0);
  SUCCEED();
}

}  // namespace
}  // namespace tierlib::trace
