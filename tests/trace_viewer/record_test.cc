// tierlib-trace record: the program's trace, its exit code and its signals.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "trace/reader.h"
#include "trace_viewer/child_program.h"

namespace tierlib::trace_viewer {
namespace {

Ran Record(const std::string& output, std::vector<std::string> command) {
  command.insert(command.begin(), {"record", "-o", output, "--"});
  return RunProgramAt(TIERLIB_TRACE_PROGRAM, std::move(command));
}

TEST(Record, LeavesTheTraceAndPassesTheExitCodeOn) {
  TemporaryFolder folder;
  for (const int code : {0, 5}) {
    const Ran ran = Record(folder / "run.tlt", {TIERLIB_RECORDING_PROGRAM, "trace", std::to_string(code)});
    EXPECT_EQ(ran.exit_code, code) << ran.errors;
    EXPECT_EQ(ran.errors, "");
    const StatusOr<trace::Trace> trace = trace::ReadTraceFile(folder / "run.tlt");
    ASSERT_TRUE(trace.ok()) << trace.status();
    EXPECT_EQ(trace->records.size(), 4u);
    EXPECT_TRUE(trace->closed);
  }
}

TEST(Record, NamesMayHaveTheRankAndTheProcess) {
  TemporaryFolder folder;
  const Ran ran = Record(folder / "run.%r.[1].%p.tlt", {TIERLIB_RECORDING_PROGRAM, "trace", "0"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  ASSERT_EQ(folder.names().size(), 1u);
  EXPECT_EQ(folder.names().begin()->find("run.3.[1]."), 0u) << *folder.names().begin();
}

TEST(Record, TwoPercentSignsAreOneAndThoseOfTheFolderStay) {
  TemporaryFolder folder;
  const Ran ran = Record(folder / "100%%.tlt", {TIERLIB_RECORDING_PROGRAM, "trace", "0"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(folder.names(), std::set<std::string>{"100%.tlt"});
  const std::string there = folder / "50%p%x";
  ASSERT_EQ(mkdir(there.c_str(), 0700), 0);
  const Ran within = RunProgramAt("sh", {"-c", "cd \"$0\" && exec \"$1\" record -o run.tlt -- \"$2\" trace 0", there,
                                         TIERLIB_TRACE_PROGRAM, TIERLIB_RECORDING_PROGRAM});
  EXPECT_EQ(within.exit_code, 0) << within.errors;
  EXPECT_TRUE(trace::ReadTraceFile(there + "/run.tlt").ok());
}

TEST(Record, OptionsOfTheProgramAreItsOwn) {
  TemporaryFolder folder;
  const Ran ran = Record(folder / "run.tlt", {"sh", "-c", "echo \"$0 $*\"", "--json", "-o", "x", "--"});
  EXPECT_EQ(ran.out, "--json -o x --\n");
}

TEST(Record, JsonSaysWhatWasWrittenAndNothingElseIsOnStandardOutput) {
  TemporaryFolder folder;
  const auto record = [&](std::vector<std::string> command) {
    command.insert(command.begin(), {"record", "--json", "-o", folder / "run.%p.tlt", "--"});
    return RunProgramAt(TIERLIB_TRACE_PROGRAM, std::move(command));
  };
  const Ran ran = record({"sh", "-c", "echo hello; exec \"$0\" trace 5", TIERLIB_RECORDING_PROGRAM});
  EXPECT_EQ(ran.exit_code, 5);
  EXPECT_EQ(ran.errors, "hello\n");
  const nlohmann::json told = nlohmann::json::parse(ran.out);
  EXPECT_EQ(told["schema_version"], 1);
  EXPECT_EQ(told["output"], folder / "run.%p.tlt");
  ASSERT_EQ(told["traces"].size(), 1u);
  ASSERT_EQ(folder.names().size(), 1u);
  const std::string file = folder / *folder.names().begin();
  EXPECT_EQ(told["traces"][0]["file"], file);
  EXPECT_EQ(told["traces"][0]["bytes"], ReadWhole(file).size());
  EXPECT_EQ(told["exit_code"], 5);
  EXPECT_TRUE(told["signal"].is_null());

  const Ran none = record({"true"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_EQ(nlohmann::json::parse(none.out)["traces"].size(), 0u) << "the trace of the run before is none of this one";
  const Ran killed = record({"sh", "-c", "kill -KILL $$"});
  EXPECT_EQ(killed.exit_code, -SIGKILL);
  EXPECT_EQ(nlohmann::json::parse(killed.out)["signal"], SIGKILL);
  EXPECT_EQ(record({"no-such-program-anywhere"}).out, "");
}

TEST(Record, SaysWhereNoTraceWasWritten) {
  TemporaryFolder folder;
  const Ran ran = Record(folder / "run.tlt", {"true"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.errors, "tierlib-trace: " + folder / "run.tlt" +
                            " was not written: true made no tierlib runtime, is not linked with tierlib, or could not "
                            "write there\n");
  EXPECT_EQ(Record(folder / "run.tlt", {"false"}).exit_code, 1);
  EXPECT_EQ(Record(folder / "run.tlt", {"sh", "-c", "exit 9"}).exit_code, 9);
  // A trace that was there before is none of this run.
  WriteWhole(folder / "run.tlt", "old");
  EXPECT_EQ(Record(folder / "run.tlt", {"true"}).exit_code, 1);
}

TEST(Record, ProgramsThatCannotRunAreErrors) {
  TemporaryFolder folder;
  const Ran missing = Record(folder / "run.tlt", {"no-such-program-anywhere"});
  EXPECT_EQ(missing.exit_code, 127);
  EXPECT_EQ(missing.errors, "tierlib-trace: cannot run no-such-program-anywhere: there is no such program\n");
  WriteWhole(folder / "text", "no program");
  const Ran text = Record(folder / "run.tlt", {folder / "text"});
  EXPECT_EQ(text.exit_code, 126);
  EXPECT_NE(text.errors.find("Permission denied"), std::string::npos) << text.errors;
  EXPECT_EQ(RunProgramAt(TIERLIB_TRACE_PROGRAM, {"record", "-o", "x"}).exit_code, 2);
  EXPECT_EQ(RunProgramAt(TIERLIB_TRACE_PROGRAM, {"record", "--", "true"}).exit_code, 2);
  EXPECT_EQ(Record("-", {"true"}).exit_code, 2);
}

TEST(Record, SignalsGoOnToTheProgram) {
  TemporaryFolder folder;
  ChildProgram record(
      {TIERLIB_TRACE_PROGRAM, "record", "-o", folder / "run.tlt", "--", TIERLIB_RECORDING_PROGRAM, "wait"});
  EXPECT_EQ(record.ReadLine(), "ready");
  record.Signal(SIGTERM);
  EXPECT_EQ(record.Wait(), 7);
}

TEST(Record, EndsByTheSignalThatEndedTheProgram) {
  TemporaryFolder folder;
  EXPECT_EQ(Record(folder / "run.tlt", {"sh", "-c", "kill -KILL $$"}).exit_code, -SIGKILL);
  EXPECT_EQ(Record(folder / "run.tlt", {"sh", "-c", "kill -TERM $$"}).exit_code, -SIGTERM);
}

}  // namespace
}  // namespace tierlib::trace_viewer
