// A program that is killed at any instruction leaves every record that it had written.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <new>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "io/temporary_folder.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/recorder.h"

namespace tierlib::trace {
namespace {

constexpr std::size_t kThreads = 3;

// Shared with the child: how many records each of its threads has written for sure.
struct Progress {
  std::atomic<std::uint64_t> written[kThreads];
};

[[noreturn]] void WriteUntilKilled(const std::string& path, std::uint64_t last_bytes, Progress& progress) {
  RecorderOptions options;
  options.path = path;
  options.last_bytes = last_bytes;
  const auto recorder = Recorder::Open(options);
  if (!recorder.ok()) _exit(1);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0;; ++i) {
        const std::uint32_t label = (*recorder)->Intern("label " + std::to_string(i % 40'000));
        (*recorder)->Write(Event::kPack, Tag::kSaved, static_cast<std::uint16_t>(i), label, t, i);
        progress.written[t].store(i + 1, std::memory_order_release);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  _exit(2);
}

void ExpectWritten(const Trace& trace, const Record& record) {
  ASSERT_LT(record.subject, kThreads);
  ASSERT_EQ(record.event, Event::kPack);
  ASSERT_EQ(record.tag, Tag::kSaved);
  ASSERT_EQ(record.detail, record.value % 65536);
  ASSERT_EQ(trace.LabelText(record.label), "label " + std::to_string(record.value % 40'000));
}

// From the number in `first` of each thread on, each record of it, up to the last that was written.
void ExpectEveryRecord(const Trace& trace, const Progress& progress, const std::array<std::uint64_t, kThreads>& first) {
  std::array<std::uint64_t, kThreads> next = first;
  for (const Record& record : trace.records) {
    ExpectWritten(trace, record);
    if (testing::Test::HasFatalFailure()) return;
    ASSERT_EQ(record.value, next[record.subject]++);
  }
  for (std::size_t t = 0; t < kThreads; ++t) {
    const std::uint64_t written = progress.written[t].load();
    ASSERT_GE(next[t], written) << "a record of thread " << t << " is lost";
    ASSERT_LE(next[t], written + 1) << "a record of thread " << t << " was made up";
  }
}

// Of each thread the number of its first record; of one that has none, how many it wrote.
std::array<std::uint64_t, kThreads> FirstOf(const Trace& trace, const Progress& progress) {
  std::array<std::uint64_t, kThreads> first;
  for (std::size_t t = 0; t < kThreads; ++t) first[t] = progress.written[t].load();
  for (const Record& record : trace.records) {
    if (record.subject < kThreads) first[record.subject] = std::min(first[record.subject], record.value);
  }
  return first;
}

// Progress that a child shares.
class SharedProgress {
 public:
  SharedProgress() {
    memory_ = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory_, MAP_FAILED);
  }
  ~SharedProgress() { munmap(memory_, sizeof(Progress)); }
  SharedProgress(const SharedProgress&) = delete;
  SharedProgress& operator=(const SharedProgress&) = delete;
  Progress& Reset() { return *new (memory_) Progress{}; }

 private:
  void* memory_;
};

void Kill(pid_t child) {
  kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended with " << status;
}

// What is reported: the missing end, and torn records or texts, of which each thread can leave one.
void ExpectMissingEnd(const Trace& trace) {
  ASSERT_FALSE(trace.closed);
  EXPECT_GE(trace.problem_count, 1u);
  EXPECT_LE(trace.problem_count, 1 + kThreads + 1);
  EXPECT_EQ(trace.problems.back().what, "the program did not end the trace; what it wrote until then is used");
  EXPECT_EQ(trace.gaps.back().reason, GapReason::kTruncated);
}

// Blocks begin with a word of their own.
bool HasBlocks(const std::string& path) {
  const std::string bytes = ReadWhole(path);
  const std::uint32_t magic = kBlockMagic;
  return bytes.find(std::string(reinterpret_cast<const char*>(&magic), sizeof magic)) != std::string::npos;
}

// With sealing on: chunks become blocks, and are used again, while the program is killed.
TEST(RecorderKill, LosesNoCompleteRecord) {
  constexpr std::uint64_t kSeed = 31;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  SharedProgress shared;
  std::uint64_t records = 0;
  int rounds_with_blocks = 0;
  // Few or slow rounds may all end before a block is written: then there are more, and longer ones.
  for (int round = 0; round < 100 / TIERLIB_RANDOM_SCALE + 3 || (rounds_with_blocks == 0 && round < 100); ++round) {
    TemporaryFolder folder;
    const std::string path = folder / "a.tlt";
    Progress& progress = shared.Reset();
    const pid_t child = fork();
    if (child == 0) WriteUntilKilled(path, 0, progress);
    while (progress.written[0].load() == 0) std::this_thread::yield();
    const int longer = rounds_with_blocks == 0 ? round + 1 : 1;
    usleep(static_cast<useconds_t>(random.UniformInt(8'000)) * static_cast<useconds_t>(longer));
    Kill(child);
    if (HasFatalFailure()) return;
    const StatusOr<Trace> trace = ReadTraceFile(path);
    ASSERT_TRUE(trace.ok()) << trace.status();
    ExpectEveryRecord(*trace, progress, {});
    if (HasFatalFailure()) return;
    ExpectMissingEnd(*trace);
    records += trace->records.size();
    if (HasBlocks(path)) ++rounds_with_blocks;
  }
  EXPECT_GT(records, 0u);
  EXPECT_GT(rounds_with_blocks, 0);
}

// A flight recorder that is killed, also while it overwrites: what it keeps is whole, and what is gone is said.
TEST(RecorderKill, LosesNoRecordThatAFlightRecorderKeeps) {
  constexpr std::uint64_t kSeed = 32;
  constexpr std::uint64_t kLastBytes = 1 << 20;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  SharedProgress shared;
  int rounds_overwritten = 0;
  // From about as many records as it keeps to several times as many.
  for (int round = 0; round < 20 / TIERLIB_RANDOM_SCALE + 3 || (rounds_overwritten == 0 && round < 100); ++round) {
    TemporaryFolder folder;
    const std::string path = folder / "a.tlt";
    Progress& progress = shared.Reset();
    const pid_t child = fork();
    if (child == 0) WriteUntilKilled(path, kLastBytes, progress);
    const std::uint64_t enough = 100'000 + random.UniformInt(400'000);
    const auto written = [&] {
      std::uint64_t sum = 0;
      for (const auto& one : progress.written) sum += one.load();
      return sum;
    };
    while (written() < enough) usleep(200);
    Kill(child);
    if (HasFatalFailure()) return;
    const StatusOr<Trace> trace = ReadTraceFile(path);
    ASSERT_TRUE(trace.ok()) << trace.status();
    const std::array<std::uint64_t, kThreads> first = FirstOf(*trace, progress);
    ExpectEveryRecord(*trace, progress, first);
    if (HasFatalFailure()) return;
    ExpectMissingEnd(*trace);
    const std::uint64_t gone = std::accumulate(first.begin(), first.end(), std::uint64_t{0});
    if (gone == 0) continue;
    ++rounds_overwritten;
    ASSERT_EQ(trace->gaps.front().reason, GapReason::kOverwritten);
    EXPECT_GE(trace->gaps.front().records, gone);
    EXPECT_EQ(trace->gaps.front().begin_ns, trace->start_monotonic_ns);
    // No more is gone than had to be: a record takes at most 32 bytes, and two chunks may be on their way.
    EXPECT_GE(trace->records.size(), (kLastBytes - 2 * kChunkBytes) / sizeof(Record));
  }
  EXPECT_GT(rounds_overwritten, 0);
}

}  // namespace
}  // namespace tierlib::trace
