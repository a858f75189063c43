// tierlib-trace top: pictures of a program that runs, as text and on a terminal.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "output.h"
#include "top_command.h"
#include "trace_viewer/child_program.h"
#include "trace_viewer/recorded_run.h"

namespace tierlib::trace_viewer {
namespace {

using trace::Event;
using trace::Tag;

class Top : public testing::Test {
 protected:
  void SetUp() override {
    program_ = std::make_unique<ChildProgram>(std::vector<std::string>{TIERLIB_RECORDING_PROGRAM, "hold"},
                                              std::vector<std::string>{"TIERLIB_TRACE=" + folder_ / "run.tlt"});
    ASSERT_EQ(program_->ReadLine(), "ready");
  }
  TemporaryFolder folder_;
  std::unique_ptr<ChildProgram> program_;
};

TEST_F(Top, ShowsARunningProgramAndLeavesAfterSoManyPictures) {
  const Ran ran = RunTrace({"top", folder_ / "run.tlt", "--interval", "0.02", "--count", "2"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.errors, "");
  const std::string head = folder_ / "run.tlt" + "  process " + std::to_string(program_->id()) + " running, ";
  EXPECT_EQ(ran.out.find(head), 0u) << ran.out;
  EXPECT_NE(ran.out.find("\n\n" + head), std::string::npos) << ran.out;  // the second one
  EXPECT_NE(ran.out.find(", rank 3\nstep "), std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.find('\x1b'), std::string::npos);
}

TEST_F(Top, PrintsALineOfJsonForEachPicture) {
  const Ran ran = RunTrace({"top", folder_ / "run.tlt", "--json", "--interval", "0.02", "--count", "2"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  std::vector<nlohmann::json> lines;
  std::istringstream text(ran.out);
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(lines.size(), 2u);
  for (const nlohmann::json& line : lines) {
    EXPECT_EQ(line["schema_version"], 1);
    EXPECT_EQ(line["file"], folder_ / "run.tlt");
    EXPECT_EQ(line["state"], "running");
    EXPECT_EQ(line["all"]["process_id"], program_->id());
    EXPECT_EQ(line["all"]["rank"], 3);
    EXPECT_LE(line["now"]["records"], line["all"]["records"]);
  }
}

TEST_F(Top, FindsTheTraceOfAProcess) {
  const Ran ran = RunTrace({"top", std::to_string(program_->id()), "--count", "1"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.out.find(folder_ / "run.tlt" + "  process "), 0u) << ran.out;
}

TEST_F(Top, EndsWithTheProgram) {
  ChildProgram top({TIERLIB_TRACE_PROGRAM, "top", folder_ / "run.tlt", "--interval", "0.02"});
  EXPECT_NE(top.ReadLine().find(" running, "), std::string::npos);
  EXPECT_EQ(program_->Wait(), 0);
  std::string last;
  for (std::string line = "x"; !(line = top.ReadLine()).empty() || !last.empty();) {
    if (line.find("  process ") != std::string::npos && line.find(" ended, ") != std::string::npos) break;
    last = line;
  }
  EXPECT_EQ(top.Wait(), 0);
}

TEST_F(Top, SaysWhereTheProgramEndedWithoutEndingItsTrace) {
  program_->Signal(SIGKILL);
  EXPECT_EQ(program_->Wait(), -SIGKILL);
  const Ran ran = RunTrace({"top", folder_ / "run.tlt"});
  EXPECT_EQ(ran.exit_code, 4) << ran.errors;
  EXPECT_NE(ran.out.find(" ended without ending its trace, "), std::string::npos) << ran.out;
}

TEST_F(Top, SignalsLeaveIt) {
  ChildProgram top({TIERLIB_TRACE_PROGRAM, "top", folder_ / "run.tlt", "--interval", "60"});
  EXPECT_NE(top.ReadLine().find(" running, "), std::string::npos);
  top.Signal(SIGTERM);
  EXPECT_EQ(top.Wait(), 0);
}

// Runs top on a terminal of 100 columns, presses q once it has drawn, and returns what it wrote.
std::string OnTerminal(const std::string& file, const char* no_color, int* status) {
  int master = -1;
  winsize size = {20, 100, 0, 0};
  const pid_t child = forkpty(&master, nullptr, nullptr, &size);
  if (child == 0) {
    setenv("TERM", "xterm", 1);
    no_color != nullptr ? setenv("NO_COLOR", no_color, 1) : unsetenv("NO_COLOR");
    execl(TIERLIB_TRACE_PROGRAM, TIERLIB_TRACE_PROGRAM, "top", file.c_str(), "--interval", "60", nullptr);
    _exit(99);
  }
  std::string out;
  bool pressed = false;
  char buffer[4096];
  for (ssize_t count = 1; count > 0;) {
    count = read(master, buffer, sizeof buffer);
    if (count > 0) out.append(buffer, static_cast<std::size_t>(count));
    if (!pressed && out.find("q leaves") != std::string::npos) pressed = write(master, "q", 1) == 1;
  }
  *status = -1;
  waitpid(child, status, 0);
  close(master);
  return out;
}

TEST_F(Top, DrawsOnATerminalUntilQIsPressed) {
  int status = 0;
  const std::string out = OnTerminal(folder_ / "run.tlt", nullptr, &status);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(out.find("\x1b[?1049h"), 0u);                 // the second screen
  EXPECT_NE(out.find("\x1b[?1049l"), std::string::npos);  // and back
  EXPECT_NE(out.find("\x1b[32mrunning\x1b[0m"), std::string::npos) << out;
}

TEST_F(Top, HasNoColoursWhereTheyAreNotWanted) {
  int status = 0;
  const std::string out = OnTerminal(folder_ / "run.tlt", "1", &status);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(out.find("\x1b[32m"), std::string::npos) << out;
  EXPECT_NE(out.find(" running, "), std::string::npos) << out;
}

TEST(TopCommand, WrongTargetsAreOneLine) {
  TemporaryFolder folder;
  WriteWhole(folder / "text", "no trace");
  const std::pair<std::vector<std::string>, int> wrong[] = {
      {{"top"}, 2},
      {{"top", "-"}, 2},
      {{"top", folder / "none"}, 3},
      {{"top", folder / "text"}, 3},
      {{"top", "4000000000"}, 3},
      {{"top", std::to_string(getpid())}, 3},  // a process without a trace
      {{"top", folder / "text", "--interval", "0"}, 2},
      {{"top", folder / "text", "--window", "-1"}, 2},
  };
  for (const auto& [arguments, code] : wrong) {
    const Ran ran = RunTrace(arguments);
    EXPECT_EQ(ran.exit_code, code) << arguments.back();
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(ran.errors.find("tierlib-trace: "), 0u) << ran.errors;
    EXPECT_EQ(ran.errors.find('\n'), ran.errors.size() - 1) << ran.errors;
  }
}

TEST(TopCommand, OfAMergedTraceNeedsARank) {
  TemporaryFolder folder;
  RecordRun(folder / "r0.tlt", {.steps = 1});
  RecordRun(folder / "r1.tlt", {.steps = 1, .rank = 1});
  ASSERT_EQ(RunTrace({"merge", folder / "r0.tlt", folder / "r1.tlt", "-o", folder / "job.tlt"}).exit_code, 0);
  const Ran unnamed = RunTrace({"top", folder / "job.tlt"});
  EXPECT_EQ(unnamed.exit_code, 2);
  EXPECT_NE(unnamed.errors.find("has the ranks 0, 1: name one with --rank"), std::string::npos) << unnamed.errors;
  const Ran ran = RunTrace({"top", folder / "job.tlt", "--rank", "1"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_NE(ran.out.find(", rank 1\n"), std::string::npos) << ran.out;
}

TEST(TopText, NowIsTheWindow) {
  trace::Trace trace;
  trace.process_id = 17;
  trace.device = "emulated:0";
  trace.device_capacity = 1000;
  const auto add = [&](std::int64_t ms, Event event, std::uint16_t detail, std::uint64_t subject, std::uint64_t value) {
    trace.records.push_back({ms * 1'000'000, event, Tag::kSaved, detail, 0, subject, value});
  };
  add(0, Event::kStepBegin, 0, 1, 0);
  add(0, Event::kPoolAllocate, 0, 0, 500);
  add(100, Event::kTransferAsk, 0, 1, 8 << 20);
  add(1000, Event::kStepEnd, 0, 1, 0);
  add(9000, Event::kStepBegin, 0, 2, 0);
  add(9000, Event::kTransferAsk, 0, 2, 2 << 20);
  add(9100, Event::kStallBegin, 2, 5, 0);
  add(9400, Event::kStallEnd, 2, 5, 300'000'000);
  add(10'000, Event::kStepEnd, 0, 2, 0);
  EXPECT_EQ(TopText("run.tlt", trace, 2'000'000'000, TopState::kRunning, false),
            R"(run.tlt  process 17 running, 10 s, device emulated:0
step 2, median 1 s, now 1 s, last 1 s

tier     live    peak    capacity                                      full
device   500 B   500 B   1000 B     [###############---------------]

             in all         now
copied out   10 MiB         1 MiB/s
copied in    0 B            0 B/s
avoided      0 B            0 B/s
stalled      300 ms (3 %)   300 ms (15 %)
largest stalls now
  (no label)   300 ms   late copy in, 1 time
now: the last 2 s
)");
}

// Of a stall that began before the window, what is within counts.
TEST(TopText, ClipsStallsToTheWindow) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  trace::Trace trace;
  trace.labels[1] = "weights";
  trace.records = {
      {0, Event::kStorageRegister, Tag::kParameter, 0, 1, 7, 64},
      {1 * kSecond, Event::kStallBegin, Tag::kNone, 1, 0, 7, 5},
      {8 * kSecond, Event::kStallEnd, Tag::kNone, 1, 0, 7, 7 * kSecond},
      {10 * kSecond, Event::kStepBegin, Tag::kNone, 0, 0, 1, 0},
  };
  const std::string text = TopText("run.tlt", trace, 4 * kSecond, TopState::kRunning, false);
  EXPECT_NE(text.find("2 s (50 %)\n"), std::string::npos) << text;
  EXPECT_NE(text.find("weights   2 s"), std::string::npos) << text;
}

TEST_F(Top, OutputsDoNotTakeThePlaceOfTheTrace) {
  WriteWhole(folder_ / "other.tlt", ReadWhole(folder_ / "run.tlt"));
  struct stat before;
  ASSERT_EQ(stat((folder_ / "run.tlt").c_str(), &before), 0);
  const Ran ran = RunTrace({"export", folder_ / "other.tlt", "--format", "chrome", "-o", folder_ / "run.tlt"});
  EXPECT_EQ(ran.exit_code, 5);
  EXPECT_EQ(ran.errors.find("tierlib-trace: cannot write " + folder_ / "run.tlt" +
                            ": a running program writes its trace there\n"),
            0u)
      << ran.errors;
  struct stat after;
  ASSERT_EQ(stat((folder_ / "run.tlt").c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(ReadWhole(folder_ / "run.tlt").substr(0, 8), ReadWhole(folder_ / "other.tlt").substr(0, 8));
}

TEST(Output, IsPrivateAndLeavesNothingBesideIt) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteOutput(folder / "a", "one"));
  struct stat info;
  ASSERT_EQ(stat((folder / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  const std::string link = folder / "link";
  ASSERT_EQ(symlink("a", link.c_str()), 0);
  ASSERT_TRUE(WriteOutput(link, "two"));
  EXPECT_EQ(ReadWhole(folder / "a"), "two");
  EXPECT_EQ(lstat(link.c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode));
  EXPECT_EQ(folder.names(), (std::set<std::string>{"a", "link"}));
  EXPECT_FALSE(WriteOutput(folder / "none/a", "x"));
}

}  // namespace
}  // namespace tierlib::trace_viewer
