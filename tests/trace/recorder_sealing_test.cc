// Full chunks become blocks while the program runs; times.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/random.h"
#include "io/temporary_folder.h"
#include "trace/column_block.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/recorded_trace.h"
#include "trace/recorder.h"

namespace tierlib::trace {
namespace {

constexpr std::int64_t kClockSlackNs = 20'000;    // between two processors' counters
constexpr std::int64_t kOpenSlackNs = 5'000'000;  // where the last look at the clocks was some time ago

// As a runtime writes them: few kinds of events, about storages and transfers that count up, of some sizes.
void RecordLikeTraining(Recorder& recorder, std::uint64_t events) {
  Random random(21);
  const std::uint32_t label = recorder.Intern("block.7.attn");
  for (std::uint64_t i = 0; i < events; ++i) {
    const std::uint64_t storage = i / 8 + random.UniformInt(50);
    const std::uint64_t bytes = (1 + random.UniformInt(200)) << 12;
    switch (i % 4) {
      case 0: recorder.Write(Event::kPoolAllocate, Tag::kActivation, 0, label, bytes * 7, bytes); break;
      case 1: recorder.Write(Event::kPack, Tag::kSaved, 0, label, storage, bytes); break;
      case 2: recorder.Write(Event::kTransferAsk, Tag::kSaved, i % 8 == 2, 0, i / 4, bytes); break;
      default: recorder.Write(Event::kTransferEnd, Tag::kSaved, i % 8 == 3, 0, i / 4, bytes); break;
    }
  }
}

TEST(RecorderSealing, LeavesNoChunkOfRecordsAndFewBytes) {
  TemporaryFolder folder;
  constexpr std::uint64_t kEvents = 100'000 / TIERLIB_RANDOM_SCALE + 50'000;
  RecordLikeTraining(*OpenAt(folder / "a.tlt"), kEvents);
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  EXPECT_EQ(trace.records.size(), kEvents);
  const std::string bytes = ReadWhole(folder / "a.tlt");
  EXPECT_LE(bytes.size(), 16 * kEvents);
  EXPECT_EQ(ChunksOfRecords(bytes), 0u);
  EXPECT_EQ(KindsOfChunks(bytes).count(kIndexKind), 1u);
  EXPECT_TRUE(trace.gaps.empty());
}

// The part of the file for records that are not sealed is bounded, however many are written.
TEST(RecorderSealing, UsesChunksAgain) {
  TemporaryFolder folder;
  const auto recorder = OpenAt(folder / "a.tlt");
  constexpr std::uint64_t kChunks = 300;
  for (std::uint64_t i = 0; i < kChunks * kRecordsPerChunk; ++i) recorder->Write(Event::kPack, Tag::kNone, 0, 0, 1, i);
  // 64 that wait, one in use, one being sealed; blocks of four KiB each; and the last 2 MiB that it grew by.
  EXPECT_LE(std::filesystem::file_size(folder / "a.tlt"), (66 + kChunks / 8 + 32) * kChunkBytes);
}

TEST(RecorderSealing, ThreadsSealWhereTheSystemHasNoThreadToGive) {
  TemporaryFolder folder;
  constexpr std::uint64_t kRecords = 100 * kRecordsPerChunk + 17;
  {
    const ScopedFailpoint none("trace.thread", {.persistent = true});
    const auto recorder = OpenAt(folder / "a.tlt");
    EXPECT_EQ(none.calls(), 1);
    for (std::uint64_t i = 0; i < kRecords; ++i) recorder->Write(Event::kPack, Tag::kNone, 0, 0, 1, i);
    EXPECT_GE(KindsOfChunks(ReadWhole(folder / "a.tlt")).count(static_cast<std::uint16_t>(ChunkKind::kBlocks)), 1u);
  }
  ExpectCounting(ReadWithoutProblems(folder / "a.tlt"), kRecords);
}

TEST(RecorderSealing, KeepsTheProgramsSignalsWhereThereIsNoMemoryForAThread) {
  TemporaryFolder folder;
  sigset_t before;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &before), 0);
  {
    const ScopedFailpoint none("trace.thread_memory", {});
    OpenAt(folder / "a.tlt")->Write(Event::kPack, Tag::kNone, 0, 0, 1, 0);
    EXPECT_EQ(none.calls(), 1);
  }
  sigset_t after;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &after), 0);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1})
    EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal));
  ExpectCounting(ReadWithoutProblems(folder / "a.tlt"), 1);
}

// Threads that are faster than the sealing find the queue full again and again, and empty again once it is their turn
// to seal.
TEST(RecorderSealing, LosesNoChunkWhereTheQueueIsFullAndThenEmpty) {
  TemporaryFolder folder;
  constexpr std::uint64_t kThreads = 6;
  constexpr std::uint64_t kRecords = (100 / TIERLIB_RANDOM_SCALE + 30) * kRecordsPerChunk;  // of each
  for (int round = 0; round < 2; ++round) {
    {
      const auto recorder = OpenAt(folder / "a.tlt");
      std::vector<std::thread> threads;
      for (std::uint64_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&recorder, thread] {
          for (std::uint64_t i = 0; i < kRecords; ++i) recorder->Write(Event::kPack, Tag::kNone, 0, 0, thread, i);
        });
      }
      for (std::thread& thread : threads) thread.join();
    }
    const Trace trace = ReadWithoutProblems(folder / "a.tlt");
    std::vector<std::uint64_t> next(kThreads);
    for (const Record& record : trace.records) ASSERT_EQ(record.value, next[record.subject]++) << round;
    for (const std::uint64_t count : next) ASSERT_EQ(count, kRecords) << round;
  }
}

// `value` of each record is the time before it was written.
void ExpectTimes(const Trace& trace, std::int64_t slack_ns = kClockSlackNs) {
  for (std::size_t i = 0; i < trace.records.size(); ++i) {
    const Record& record = trace.records[i];
    const auto before = static_cast<std::int64_t>(record.value);
    ASSERT_GE(record.time_ns, before - slack_ns) << i;
    if (i + 1 < trace.records.size()) {
      ASSERT_LE(record.time_ns, static_cast<std::int64_t>(trace.records[i + 1].value) + slack_ns) << i;
    }
  }
}

void RecordTimes(Recorder& recorder, std::uint64_t records) {
  for (std::uint64_t i = 0; i < records; ++i) {
    recorder.Write(Event::kPack, Tag::kNone, 0, 0, i, static_cast<std::uint64_t>(NowNs()));
  }
}

TEST(RecorderSealing, TimesAreThoseOfTheMonotonicClock) {
  TemporaryFolder folder;
  constexpr std::uint64_t kRecords = 5 * kRecordsPerChunk;
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    RecordTimes(*recorder, kRecords);
    usleep(20'000);  // the clocks are compared again
    RecordTimes(*recorder, kRecords);
    // Not closed: records of the last chunks are in ticks there.
    const Trace open = std::move(ReadTraceFile(folder / "a.tlt")).value();
    ASSERT_EQ(open.records.size(), 2 * kRecords);
    ExpectTimes(open, kOpenSlackNs);
  }
  ExpectTimes(ReadWithoutProblems(folder / "a.tlt"));
}

TEST(RecorderSealing, TimesAreRightWithoutTicks) {
  TemporaryFolder folder;
  {
    const ScopedFailpoint none("trace.ticks", {.persistent = true});
    RecordTimes(*OpenAt(folder / "a.tlt"), 3 * kRecordsPerChunk);
    EXPECT_GE(none.calls(), 1);
  }
  ExpectTimes(ReadWithoutProblems(folder / "a.tlt"));
}

// Seen when the clocks are compared, though nothing is sealed.
TEST(RecorderSealing, ACounterThatIsSetBackIsAGap) {
  TemporaryFolder folder;
  {
    const ScopedFailpoint falls("trace.counter_falls", {});
    const auto recorder = OpenAt(folder / "a.tlt");
    FileHeader header;
    std::memcpy(&header, ReadWhole(folder / "a.tlt").data(), sizeof header);
    if (header.clock != static_cast<std::uint32_t>(ClockKind::kTicks)) GTEST_SKIP() << "the counter is not used";
    for (int i = 0; i < 10'000 && falls.calls() == 0; ++i) usleep(1'000);
    ASSERT_EQ(falls.calls(), 1);
  }
  const Trace trace = std::move(ReadTraceFile(folder / "a.tlt")).value();
  ASSERT_EQ(trace.problem_count, 1u);
  EXPECT_NE(trace.problems[0].what.find("counter was set back"), std::string::npos) << trace.problems[0].what;
  ASSERT_EQ(trace.gaps.size(), 1u);
  EXPECT_EQ(trace.gaps[0].reason, GapReason::kDamaged);
  EXPECT_LT(trace.gaps[0].begin_ns, trace.gaps[0].end_ns);
}

// What a device timed keeps its time to the nanosecond, in blocks and before.
TEST(RecorderSealing, GivenTimesStayAsTheyAre) {
  TemporaryFolder folder;
  const std::int64_t begin = NowNs();
  {
    const auto recorder = OpenAt(folder / "a.tlt");
    for (std::int64_t i = 0; i < 3000; ++i) {
      recorder->WriteAt(begin - i, Event::kTransferEnd, Tag::kSaved, 0, 0, 1, static_cast<std::uint64_t>(i));
    }
    const Trace open = std::move(ReadTraceFile(folder / "a.tlt")).value();
    ASSERT_EQ(open.records.size(), 3000u);
    EXPECT_EQ(open.records[10].time_ns, begin - 2989);
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  ASSERT_EQ(trace.records.size(), 3000u);
  for (std::int64_t i = 0; i < 3000; ++i) {
    ASSERT_EQ(trace.records[static_cast<std::size_t>(i)].time_ns, begin - 2999 + i);
    ASSERT_EQ(trace.records[static_cast<std::size_t>(i)].value, static_cast<std::uint64_t>(2999 - i));
  }
}

TEST(RecorderSealing, TheIndexNamesEveryBlock) {
  TemporaryFolder folder;
  RecordLikeTraining(*OpenAt(folder / "a.tlt"), 60'000);
  const std::string bytes = ReadWhole(folder / "a.tlt");
  FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  ASSERT_NE(header.index_offset, 0u);
  EXPECT_EQ(header.file_bytes, bytes.size());
  ChunkHeader chunk;
  std::memcpy(&chunk, bytes.data() + header.index_offset, sizeof chunk);
  EXPECT_EQ(chunk.kind, kIndexKind);
  std::uint64_t records = 0;
  for (std::size_t at = 0; at < chunk.used_bytes; at += sizeof(IndexEntry)) {
    IndexEntry entry;
    std::memcpy(&entry, bytes.data() + header.index_offset + sizeof chunk + at, sizeof entry);
    BlockHeader block;
    ASSERT_TRUE(ReadBlockHeader(std::string_view(bytes).substr(entry.offset), &block));
    EXPECT_EQ(block.first_record, entry.first_record);
    EXPECT_EQ(block.record_count, entry.record_count);
    EXPECT_EQ(block.begin_ns, entry.begin_ns);
    EXPECT_EQ(block.end_ns, entry.end_ns);
    EXPECT_EQ(block.block_bytes, entry.block_bytes);
    records += entry.record_count;
  }
  EXPECT_EQ(records, 60'000u);
}

// When a trace ends, its last chunks move to where chunks of records were: here chunks of texts, out of their order.
TEST(RecorderSealing, MovesChunksOfTexts) {
  TemporaryFolder folder;
  constexpr int kTexts = 6'000;  // of 40 bytes: four chunks
  {
    const ScopedFailpoint none("trace.thread", {.persistent = true});  // so that sealing is done at the end
    const auto recorder = OpenAt(folder / "a.tlt");
    recorder->Write(Event::kPack, Tag::kNone, 0, 0, 1, 1);  // two chunks of records before those of texts
    std::thread([&] { recorder->Write(Event::kPack, Tag::kNone, 0, 0, 2, 2); }).join();
    for (int i = 0; i < kTexts; ++i) recorder->Intern("a text that is forty bytes long: " + std::to_string(i));
  }
  const Trace trace = ReadWithoutProblems(folder / "a.tlt");
  ASSERT_EQ(trace.labels.size(), static_cast<std::size_t>(kTexts));
  EXPECT_EQ(trace.LabelText(kTexts), "a text that is forty bytes long: " + std::to_string(kTexts - 1));
  std::string bytes = ReadWhole(folder / "a.tlt");
  std::vector<std::uint32_t> sequences;
  for (std::size_t at = kHeaderBytes; at + sizeof(ChunkHeader) <= bytes.size(); at += kChunkBytes) {
    ChunkHeader header;
    std::memcpy(&header, bytes.data() + at, sizeof header);
    if (header.kind == static_cast<std::uint16_t>(ChunkKind::kTexts)) sequences.push_back(header.sequence);
  }
  EXPECT_FALSE(std::is_sorted(sequences.begin(), sequences.end())) << "nothing was moved";

  // One of them is gone.
  const std::size_t at = bytes.find("a text that is forty bytes long: 0");
  const std::size_t chunk = kHeaderBytes + (at - kHeaderBytes) / kChunkBytes * kChunkBytes;
  bytes.replace(chunk, 4, 4, '\0');
  const Trace less = ReadTrace(bytes).value();
  ASSERT_EQ(less.problem_count, 1u);
  EXPECT_EQ(less.problems[0].what, "1 chunk of texts is missing");
}

// A file is ended where there is no memory for its index, or for moving its last chunks.
TEST(RecorderSealing, EndsAFileWithoutMemory) {
  TemporaryFolder folder;
  constexpr std::uint64_t kRecords = 30 * kRecordsPerChunk;
  for (const char* what : {"trace.index_memory", "trace.move_memory"}) {
    const ScopedFailpoint no_memory(what, {.call = 1});
    RecordNoise(*OpenAt(folder / "a.tlt"), 0, kRecords);
    EXPECT_GE(no_memory.calls(), 1) << what;
    ExpectCounting(ReadWithoutProblems(folder / "a.tlt"), kRecords);
  }
}

TEST(RecorderSealing, ReadsARangeOfTime) {
  TemporaryFolder folder;
  RecordLikeTraining(*OpenAt(folder / "a.tlt"), 30'000);
  const std::string bytes = ReadWhole(folder / "a.tlt");
  const Trace whole = ReadTrace(bytes).value();
  const std::int64_t begin = whole.records[9'000].time_ns;
  const std::int64_t end = whole.records[12'000].time_ns;
  const Trace part = ReadTraceRange(bytes, begin, end).value();
  EXPECT_EQ(part.problem_count, 0u);
  std::vector<Record> expected;
  for (const Record& record : whole.records) {
    if (record.time_ns >= begin && record.time_ns <= end) expected.push_back(record);
  }
  ASSERT_EQ(part.records.size(), expected.size());
  EXPECT_EQ(std::memcmp(part.records.data(), expected.data(), expected.size() * sizeof(Record)), 0);
}

}  // namespace
}  // namespace tierlib::trace
