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
  for (const char* option :
       {"--format", "--tier", "--capacity", "--alignment", "--growth", "--json", "--device", "--backing",
        "--granularity", "--spare", "--lag", "--cached-limit", "--cached-age", "--step-operations", "--tag-limit",
        "--hardened", "--quarantine", "--threads-take-turns"}) {
    const std::size_t at = help.out.find(std::string("  ") + option);
    ASSERT_NE(at, std::string::npos) << option << '\n' << help.out;
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
  ExpectOneLine(Replayed({log, "--backing", "disk"}), 2, "--backing");
  ExpectOneLine(Replayed({log, "--backing", "malloc"}), 2, "--backing malloc takes the whole capacity at the start");
  ExpectOneLine(Replayed({log, "--backing", "malloc-async"}), 2, "virtual, malloc and managed can be replayed");
  ExpectOneLine(Replayed({log, "--granularity", "0"}), 2, "--granularity: a power of two");
  ExpectOneLine(Replayed({log, "--granularity", "2MiB", "--tier", "pinned"}), 2, "--granularity is for --tier device");
  ExpectOneLine(Replayed({log, "--spare", "some"}), 2, "--spare");
  ExpectOneLine(Replayed({log, "--spare", "1MiB", "--tier", "file"}), 2,
                "--spare is for --tier device; this is --tier file");
  ExpectOneLine(Replayed({log, "--lag", "-1"}), 2, "--lag: '-1' is not a count");
  ExpectOneLine(Replayed({log, "--step-operations", "1e3"}), 2, "--step-operations: '1e3' is not a count");
  ExpectOneLine(Replayed({log, "--cached-age", "60"}), 2, "--cached-age: '60' is not a time; right would be 60s");
  ExpectOneLine(Replayed({log, "--cached-age", "-1s"}), 2, "--cached-age: '-1s' is not a time");
  ExpectOneLine(Replayed({log, "--step-operations", "5"}), 2, "--step-operations does nothing without --cached-limit");
  ExpectOneLine(Replayed({log, "--cached-limit", "0"}), 2, "--cached-limit is looked at when a step ends");
  ExpectOneLine(Replayed({log, "--cached-age", "1s", "--step-operations", "5"}), 2,
                "--cached-age goes by the times in the trace");
  ExpectOneLine(Replayed({log, "--tag-limit", "saved"}), 2, "--tag-limit: 'saved' should be TAG=SIZE");
  ExpectOneLine(Replayed({log, "--tag-limit", "weights=1GiB"}), 2,
                "--tag-limit: there is no tag 'weights', but untagged");
  ExpectOneLine(Replayed({log, "--tag-limit", "saved=much"}), 2, "--tag-limit: ");
  ExpectOneLine(Replayed({log, "--tag-limit", "saved=1", "--tag-limit", "saved=2"}), 2,
                "--tag-limit: saved is limited twice");
  ExpectOneLine(Replayed({log, "--quarantine", "1MiB"}), 2, "--quarantine does nothing without --hardened");
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

// Three operations of two streams, with times.
const std::string kTimedLog =
    "Thread,Time,Action,Pointer,Size,Stream\n"
    "1,10:00:00.0,allocate,0x200,4000000,0x0\n"
    "1,10:00:01.0,free,0x200,4000000,0x0\n"
    "1,10:00:02.0,allocate,0x900,1000,0x5\n";

TEST(TierlibReplay, SaysWhichPoolItWas) {
  TemporaryFolder folder;
  WriteWhole(folder / "log", kTimedLog);
  const std::vector<std::string> arguments = {folder / "log",
                                              "--capacity",
                                              "64MiB",
                                              "--granularity",
                                              "2MiB",
                                              "--spare",
                                              "1MiB",
                                              "--lag",
                                              "3",
                                              "--cached-limit",
                                              "8MiB",
                                              "--cached-age",
                                              "1.5s",
                                              "--step-operations",
                                              "2",
                                              "--tag-limit",
                                              "saved=1GiB",
                                              "--tag-limit",
                                              "untagged=2GiB",
                                              "--hardened",
                                              "--quarantine",
                                              "1MiB",
                                              "--threads-take-turns"};
  const Ran text = Replayed(arguments);
  EXPECT_EQ(text.exit_code, 0) << text.errors;
  for (const char* line :
       {"pool            device, capacity 64 MiB, alignment 256 B, growth 2 MiB\n",
        "options         granularity 2 MiB, spare 1 MiB, the device 3 operations behind, cached at most 8 MiB, cached "
        "for "
        "1.5 s to twice that, a step every 2 operations, untagged at most 2 GiB, saved at most 1 GiB, hardened with a "
        "quarantine of 1 MiB, threads take turns\n",
        "waits           0 of a stream for the work of another\n",
        "given back      0 B; 4 MiB reserved at the end\n"}) {
    EXPECT_NE(text.out.find(line), std::string::npos) << line << text.out;
  }
  std::vector<std::string> with_json = arguments;
  with_json.push_back("--json");
  const nlohmann::json pool = Json(Replayed(with_json))["pool"];
  EXPECT_EQ(pool, nlohmann::json::parse(R"({
    "tier": "device", "capacity": 67108864, "alignment": 256, "growth": 2097152, "backing": "virtual",
    "granularity": 2097152, "spare": 1048576, "lag_operations": 3, "cached_limit": 8388608,
    "cached_age_ns": 1500000000, "step_operations": 2, "tag_limits": {"untagged": 2147483648, "saved": 1073741824},
    "hardened": true, "quarantine": 1048576, "threads_take_turns": true})"));
  const nlohmann::json plain = Json(Replayed({folder / "log", "--json", "--tier", "pinned"}))["pool"];
  EXPECT_EQ(plain, nlohmann::json::parse(R"({
    "tier": "pinned", "capacity": null, "alignment": 256, "growth": 2097152, "backing": null, "granularity": null,
    "spare": 0, "lag_operations": 0, "cached_limit": null, "cached_age_ns": 0, "step_operations": 0, "tag_limits": {},
    "hardened": false, "quarantine": null, "threads_take_turns": false})"));
}

// The first block's place is asked for by another stream; when the large one is gone, the upper half is free.
const std::string kLongLog =
    "Thread,Time,Action,Pointer,Size,Stream\n"
    "1,10:00:00.0,allocate,0x900,1000,0x0\n"
    "1,10:00:01.0,allocate,0x200,4000000,0x0\n"
    "1,10:00:02.0,free,0x900,1000,0x0\n"
    "1,10:00:03.0,allocate,0x700,1000,0x5\n"
    "1,10:00:04.0,free,0x200,4000000,0x0\n"
    "1,10:00:05.0,allocate,0x701,10,0x0\n"
    "1,10:00:06.0,allocate,0x702,10,0x0\n";

TEST(TierlibReplay, OptionsChangeWhatThePoolDoes) {
  TemporaryFolder folder;
  WriteWhole(folder / "log", kLongLog);
  const auto with = [&folder](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {folder / "log", "--json"});
    const Ran ran = Replayed(arguments);
    EXPECT_EQ(ran.exit_code, 0) << ran.errors;
    return Json(ran);
  };
  const nlohmann::json plain = with({});
  EXPECT_EQ(plain["reserved"], 4 << 20);
  EXPECT_EQ(plain["waits"], nullptr);
  EXPECT_EQ(with({"--lag", "5"})["waits"], 1);
  const nlohmann::json spared = with({"--lag", "5", "--spare", "4MiB"});
  EXPECT_EQ(spared["waits"], 0);
  EXPECT_NE(spared["addresses_crc32c"], plain["addresses_crc32c"]);
  const nlohmann::json bounded = with({"--cached-limit", "0", "--step-operations", "5"});
  EXPECT_EQ(bounded["given_back"], 2 << 20);
  EXPECT_EQ(bounded["reserved_at_end"], 2 << 20);
  EXPECT_EQ(with({"--cached-age", "1s", "--step-operations", "1"})["given_back"], 2 << 20);
  EXPECT_EQ(with({"--cached-age", "1min", "--step-operations", "1"})["given_back"], 0);
  const nlohmann::json limited = with({"--tag-limit", "untagged=1MiB"});
  EXPECT_EQ(limited["failures"]["count"], 1);
  EXPECT_EQ(limited["failures"]["by_tag_limit"], 1);
  EXPECT_EQ(with({"--backing", "malloc", "--capacity", "32MiB"})["reserved"], 32 << 20);
  EXPECT_EQ(with({"--granularity", "4MiB"})["reserved"], 4 << 20);
  EXPECT_GT(with({"--hardened"})["peak"]["rounding"], plain["peak"]["rounding"]);
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
