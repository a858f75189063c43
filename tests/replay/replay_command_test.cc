// tierlib-replay as a user meets it: a process with arguments, output and an exit code.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "replay/snapshot_pickles.h"

namespace tierlib::trace_replay {
namespace {

const std::string kLog =
    "Thread,Time,Action,Pointer,Size,Stream\n"
    "1,t,free,0x7f0000000900,512,0x0\n"
    "1,t,allocate,0x7f0000000200,100000,0x0\n"
    "1,t,allocate,0x7f0000100000,3000000,0x5\n"
    "1,t,allocate,0x7f0000000a00,700,0x0\n"
    "1,t,allocate failure,(nil),1000000,0x0\n"
    "1,t,free,0x7f0000100000,3000000,0x5\n"
    "1,t,allocate,0x7f0000100000,1000,0x0\n";

Ran Replayed(std::vector<std::string> arguments, const std::string& input = "/dev/null",
             const std::string& output = "") {
  return RunProgramAt(TIERLIB_REPLAY_PROGRAM, std::move(arguments), input, output);
}

nlohmann::json Json(const Ran& ran) { return nlohmann::json::parse(ran.out, nullptr, false); }

void ExpectOneLine(const Ran& ran, int exit_code, const std::string& text) {
  EXPECT_EQ(ran.exit_code, exit_code) << ran.errors;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.errors.find("tierlib-replay: "), 0u) << ran.errors;
  EXPECT_NE(ran.errors.find(text), std::string::npos) << ran.errors;
  EXPECT_EQ(ran.errors.find('\n'), ran.errors.size() - 1) << ran.errors;
}

TEST(TierlibReplay, ShowsHelpAndVersion) {
  const Ran help = Replayed({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* option : {"--format", "--tier", "--capacity", "--alignment", "--growth", "--json", "--device"}) {
    EXPECT_NE(help.out.find(option), std::string::npos) << option;
  }
  EXPECT_EQ(Replayed({"--version"}).out.find("tierlib-replay "), 0u);
}

TEST(TierlibReplay, WrongUsageIsOneLineAndExitCode2) {
  TemporaryFolder folder;
  WriteWhole(folder / "log", kLog);
  const std::string log = folder / "log";
  ExpectOneLine(Replayed({}), 2, "FILE");
  ExpectOneLine(Replayed({log, "--format", "perfetto"}), 2, "--format");
  ExpectOneLine(Replayed({log, "--tier", "disk"}), 2, "--tier");
  ExpectOneLine(Replayed({log, "--capacity", "much"}), 2, "--capacity");
  ExpectOneLine(Replayed({log, "--capacity", "1"}), 2, "--capacity: at least 4 KiB");
  ExpectOneLine(Replayed({log, "--capacity", "9TiB"}), 2, "--capacity: at most 8 TiB");
  ExpectOneLine(Replayed({log, "--alignment", "0"}), 2, "--alignment: a power of two");
  ExpectOneLine(Replayed({log, "--alignment", "300"}), 2, "--alignment: a power of two");
  ExpectOneLine(Replayed({log, "--growth", "1e18"}), 2, "--growth: at most 8 TiB");
  ExpectOneLine(Replayed({log, "--device", "-1"}), 2, "--device");
  ExpectOneLine(Replayed({log, "--device", "1"}), 2, log + ": --device is for PyTorch snapshots, this is an RMM log");
}

TEST(TierlibReplay, ReportsFigures) {
  TemporaryFolder folder;
  WriteWhole(folder / "log", kLog);
  const Ran ran = Replayed({folder / "log"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.errors, "");
  const std::size_t time = ran.out.find("time  ");
  ASSERT_NE(time, std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.substr(0, time) + ran.out.substr(ran.out.find('\n', time) + 1), folder / "log" + R"(  an RMM log

pool            device, capacity as needed, alignment 256 B, growth 2 MiB
operations      4 allocations, 1 free on 2 streams
failures        none
peak live       2.96 MiB at operation 3; 99.3 KiB at the end
reserved        4 MiB then, 4 MiB at most
reserved/live   1.353
rounding        228 B at peak live (<1 %)
fragmentation   0.267 at operation 5: 3.9 MiB free, the largest hole 2.86 MiB
addresses       crc32c e4d7d0e7, in two runs
recorded full   1 allocation failed when recorded; 1 would fit here
left out        1 free of pointers that the trace does not allocate: it began later
)");
}

TEST(TierlibReplay, TheSameTraceGivesTheSameResult) {
  TemporaryFolder folder;
  WriteWhole(folder / "log", kLog);
  nlohmann::json first = Json(Replayed({folder / "log", "--json"}));
  nlohmann::json second = Json(Replayed({folder / "log", "--json"}));
  ASSERT_TRUE(first.is_object());
  EXPECT_EQ(first["schema_version"], 1);
  EXPECT_EQ(first["format"], "rmm");
  EXPECT_EQ(first["operations"]["count"], 5);
  EXPECT_EQ(first["failures"]["count"], 0);
  EXPECT_TRUE(first["failures"]["first_operation"].is_null());
  EXPECT_EQ(first["peak"]["live"], 3100700);
  EXPECT_EQ(first["trace"]["unknown_frees"], 1);
  EXPECT_EQ(first["repeated_equally"], true);
  EXPECT_GT(first["ns_per_operation"], 0);
  first.erase("ns_per_operation");
  second.erase("ns_per_operation");
  EXPECT_EQ(first.dump(), second.dump());
  nlohmann::json other = Json(Replayed({folder / "log", "--json", "--alignment", "4K"}));
  EXPECT_NE(first["addresses_crc32c"], other["addresses_crc32c"]);
}

TEST(TierlibReplay, ASmallPoolFailsWithoutAnError) {
  TemporaryFolder folder;
  WriteWhole(folder / "log", kLog);
  const Ran ran = Replayed({"--capacity", "1MiB", "--tier", "pinned", "--growth", "64K", "--json", folder / "log"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  const nlohmann::json json = Json(ran);
  EXPECT_EQ(json["failures"]["count"], 1);
  EXPECT_EQ(json["failures"]["bytes"], 3000000);
  EXPECT_EQ(json["failures"]["first_operation"], 2);
  EXPECT_EQ(json["trace"]["failures_that_fit"], 0) << "1,000,000 bytes beside 100,700 in 1 MiB";
  EXPECT_EQ(json["pool"]["capacity"], 1 << 20);
  EXPECT_EQ(json["pool"]["tier"], "pinned");
  EXPECT_LE(json["reserved"], 1 << 20);
}

TEST(TierlibReplay, ReadsStandardInputAndEveryFormat) {
  TemporaryFolder folder;
  WriteWhole(folder / "snapshot", FromHexadecimal(kSnapshotPickles[2]));
  const Ran torch = Replayed({"-", "--json"}, folder / "snapshot");
  EXPECT_EQ(torch.exit_code, 0) << torch.errors;
  EXPECT_EQ(Json(torch)["format"], "torch");
  EXPECT_EQ(Json(torch)["peak"]["live"], 70500);
  EXPECT_EQ(Json(torch)["file"], "standard input");
  WriteWhole(folder / "lines", "1 0x100 500 0\n1 0x900 70000 0x59\n0 0x100 500 0\n");
  const Ran stalloc = Replayed({folder / "lines", "--json", "--format", "stalloc"});
  EXPECT_EQ(Json(stalloc)["addresses_crc32c"], Json(torch)["addresses_crc32c"]) << "the same requests";
}

TEST(TierlibReplay, UnreadableInputIsExitCode3) {
  TemporaryFolder folder;
  WriteWhole(folder / "text", "no trace");
  WriteWhole(folder / "log", kLog + "1,t,allocate,here,5,0\n1,t,free,0x5,5,0\n");
  WriteWhole(folder / "code",
             "\x80\x02"
             "cos\nsystem\n.");
  const std::string none = folder / "none";
  ExpectOneLine(Replayed({none}), 3, none + ": cannot be read: No such file");
  ExpectOneLine(Replayed({folder.path()}), 3, folder.path() + ": cannot be read: Is a directory");
  ExpectOneLine(Replayed({folder / "text"}), 3, folder / "text" + ": byte 0: not a trace that this program knows");
  ExpectOneLine(Replayed({folder / "log"}), 3,
                folder / "log" + ": line 9: pointer \"here\" should be hexadecimal, as 0x7f0000000200");
  ExpectOneLine(Replayed({folder / "code"}), 3, folder / "code" + ": byte 2: opcode GLOBAL would run code");
  ExpectOneLine(Replayed({"-"}), 3, "standard input: byte 0: not a trace");
}

TEST(TierlibReplay, TruncatedInputIsUsedWithExitCode4) {
  TemporaryFolder folder;
  WriteWhole(folder / "log", kLog + "1,t,alloc");
  const Ran ran = Replayed({folder / "log", "--json"});
  EXPECT_EQ(ran.exit_code, 4);
  EXPECT_EQ(Json(ran)["operations"]["count"], 5);
  EXPECT_EQ(Json(ran)["trace"]["problems"]["count"], 1);
  EXPECT_EQ(ran.errors, "tierlib-replay: " + folder / "log" +
                            ": line 9: cut off, the file should go on; the lines before it are used\n");
}

TEST(TierlibReplay, SaysWhereItCannotWrite) {
  TemporaryFolder folder;
  WriteWhole(folder / "log", kLog);
  const Ran ran = Replayed({folder / "log"}, "/dev/null", "/dev/full");
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.errors.find("cannot write to standard output"), std::string::npos) << ran.errors;
}

}  // namespace
}  // namespace tierlib::trace_replay
