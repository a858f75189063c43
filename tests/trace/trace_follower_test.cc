// A trace that grows: what is followed is what is in the file, and only what is new is read.
#include "trace/trace_follower.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/failpoint.h"
#include "io/temporary_folder.h"
#include "trace/recorded_trace.h"

namespace tierlib::trace {
namespace {

void Write(Recorder& recorder, std::uint64_t begin, std::uint64_t end) {
  for (std::uint64_t i = begin; i < end; ++i) recorder.Write(Event::kPack, Tag::kSaved, 0, 0, 1, i);
}

TEST(TraceFollower, ReadsWhatIsNew) {
  TemporaryFolder folder;
  const std::string path = folder / "a.tlt";
  TraceFollower follower(path);
  EXPECT_EQ(follower.Refresh().code(), StatusCode::kNotFound);
  std::uint64_t written = 0;
  {
    const ScopedFailpoint none("trace.thread", {.persistent = true});  // so that nothing is sealed meanwhile
    const auto recorder = OpenAt(path);
    for (int round = 0; round < 12; ++round) {
      const std::uint64_t more = round % 3 == 0 ? 10 : round % 3 == 1 ? 0 : 17 * kRecordsPerChunk;
      Write(*recorder, written, written + more);
      written += more;
      const std::uint32_t label = recorder->Intern("round " + std::to_string(round));
      const Status status = follower.Refresh();
      ASSERT_TRUE(status.ok()) << status;
      ExpectCounting(follower.trace(), written);
      EXPECT_FALSE(follower.trace().closed);
      EXPECT_EQ(follower.trace().LabelText(label), "round " + std::to_string(round));
    }
    // By now chunks were sealed: blocks that were read are not read again, nor are chunks that are nobody's.
    const std::uint64_t before = follower.bytes_read();
    ASSERT_TRUE(follower.Refresh().ok());
    const std::uint64_t open_chunks = 66;  // at most: records that wait, texts, blocks; and of others their headers
    EXPECT_LE(follower.bytes_read() - before, (open_chunks + 2) * kChunkBytes);
    EXPECT_LT(follower.bytes_read() - before, std::filesystem::file_size(path));
    ExpectCounting(follower.trace(), written);
  }
  ASSERT_TRUE(follower.Refresh().ok());
  EXPECT_TRUE(follower.trace().closed);
  ExpectCounting(follower.trace(), written);
  // Another trace takes its place.
  const auto recorder = OpenAt(path);
  Write(*recorder, 0, 3);
  ASSERT_TRUE(follower.Refresh().ok());
  ExpectCounting(follower.trace(), 3);
}

// Threads write and blocks are made while it is read: in the end nothing is lost or doubled.
TEST(TraceFollower, LosesNothingWhileTheFileChanges) {
  TemporaryFolder folder;
  const std::string path = folder / "a.tlt";
  constexpr std::uint64_t kThreads = 3;
  constexpr std::uint64_t kRecords = (20 / TIERLIB_RANDOM_SCALE + 8) * kRecordsPerChunk;  // of each
  const auto recorder = OpenAt(path);
  std::atomic<std::uint64_t> ended{0};
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint64_t i = 0; i < kRecords; ++i) recorder->Write(Event::kPack, Tag::kNone, 0, 0, thread, i);
      ++ended;
    });
  }
  TraceFollower follower(path);
  std::size_t before = 0;
  const auto look = [&] {
    const Status status = follower.Refresh();
    ASSERT_TRUE(status.ok()) << status;
    // Of each thread in its order; what is just being moved may be missing in the middle.
    std::vector<std::uint64_t> next(kThreads);
    for (const Record& record : follower.trace().records) {
      ASSERT_GE(record.value, next[record.subject]);
      next[record.subject] = record.value + 1;
    }
    before = follower.trace().records.size();
  };
  while (ended < kThreads && !HasFatalFailure()) look();
  for (std::thread& thread : threads) thread.join();
  // What was being moved at the last look is there soon.
  for (int i = 0; i < 1000 && before < kThreads * kRecords && !HasFatalFailure(); ++i) look();
  ASSERT_EQ(before, kThreads * kRecords);
}

// A flight recorder overwrites what was read: that stays, and what comes is read.
TEST(TraceFollower, OfAFlightRecorderKeepsWhatItRead) {
  TemporaryFolder folder;
  const std::string path = folder / "a.tlt";
  const auto recorder = OpenAt(path, 1 << 20);
  TraceFollower follower(path);
  std::uint64_t written = 0;
  for (int round = 0; round < 6; ++round) {
    RecordNoise(*recorder, written, written + 20 * kRecordsPerChunk);
    written += 20 * kRecordsPerChunk;
    ASSERT_TRUE(follower.Refresh().ok());
    ASSERT_TRUE(follower.Refresh().ok());
  }
  const std::vector<Record>& records = follower.trace().records;
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(records.back().value, written - 1);
  for (std::size_t i = 1; i < records.size(); ++i) ASSERT_GT(records[i].value, records[i - 1].value);
}

TEST(TraceFollower, BadFilesAreErrors) {
  TemporaryFolder folder;
  WriteWhole(folder / "text", "no trace");
  TraceFollower text(folder / "text");
  EXPECT_EQ(text.Refresh().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace tierlib::trace
