// A program that is killed at any instruction leaves every record that it had written.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <new>
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

[[noreturn]] void WriteUntilKilled(const std::string& path, Progress& progress) {
  RecorderOptions options;
  options.path = path;
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

void ExpectEveryRecord(const Trace& trace, const Progress& progress) {
  std::uint64_t next[kThreads] = {};
  for (const Record& record : trace.records) {
    ASSERT_LT(record.subject, kThreads);
    ASSERT_EQ(record.value, next[record.subject]++);
    ASSERT_EQ(record.event, Event::kPack);
    ASSERT_EQ(record.tag, Tag::kSaved);
    ASSERT_EQ(record.detail, record.value % 65536);
    ASSERT_EQ(trace.LabelText(record.label), "label " + std::to_string(record.value % 40'000));
  }
  for (std::size_t t = 0; t < kThreads; ++t) {
    const std::uint64_t written = progress.written[t].load();
    ASSERT_GE(next[t], written) << "a record of thread " << t << " is lost";
    ASSERT_LE(next[t], written + 1) << "a record of thread " << t << " was made up";
  }
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
  void* const shared = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  std::uint64_t records = 0;
  int rounds_with_blocks = 0;
  // Few or slow rounds may all end before a block is written: then there are more, and longer ones.
  for (int round = 0; round < 100 / TIERLIB_RANDOM_SCALE + 3 || (rounds_with_blocks == 0 && round < 100); ++round) {
    TemporaryFolder folder;
    const std::string path = folder / "a.tlt";
    Progress& progress = *new (shared) Progress{};
    const pid_t child = fork();
    if (child == 0) WriteUntilKilled(path, progress);
    while (progress.written[0].load() == 0) std::this_thread::yield();
    const int longer = rounds_with_blocks == 0 ? round + 1 : 1;
    usleep(static_cast<useconds_t>(random.UniformInt(8'000)) * static_cast<useconds_t>(longer));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended with " << status;

    const StatusOr<Trace> trace = ReadTraceFile(path);
    ASSERT_TRUE(trace.ok()) << trace.status();
    ASSERT_FALSE(trace->closed);
    ExpectEveryRecord(*trace, progress);
    if (HasFatalFailure()) return;
    // What is reported: the missing end, and torn records or texts, of which each thread can leave one.
    EXPECT_GE(trace->problem_count, 1u);
    EXPECT_LE(trace->problem_count, 1 + kThreads + 1);
    EXPECT_EQ(trace->problems.back().what, "the program did not end the trace; what it wrote until then is used");
    EXPECT_EQ(trace->gaps.back().reason, GapReason::kTruncated);
    records += trace->records.size();
    if (HasBlocks(path)) ++rounds_with_blocks;
  }
  EXPECT_GT(records, 0u);
  EXPECT_GT(rounds_with_blocks, 0);
  munmap(shared, sizeof(Progress));
}

}  // namespace
}  // namespace tierlib::trace
