// The readers: what each makes of a good file, and what it says of a bad one.
#include "trace_format.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "io/temporary_folder.h"
#include "replay/snapshot_pickles.h"
#include "trace/recorder.h"

namespace tierlib::trace_replay {
namespace {

using Kind = AllocationEvent::Kind;
using Events = std::vector<AllocationEvent>;

const std::string kRmmHeader = "Thread,Time,Action,Pointer,Size,Stream\n";

std::string DetectedAs(const std::string& bytes) {
  const StatusOr<const TraceFormat*> format = FindFormat("auto", bytes);
  return format.ok() ? (*format)->name : std::string(format.status().message());
}

TEST(TraceFormat, IsFoundByContent) {
  EXPECT_EQ(DetectedAs(kRmmHeader), "rmm");
  EXPECT_EQ(DetectedAs("\xEF\xBB\xBFThread,Time,Action,Pointer,Size,Stream\r\n"), "rmm");
  EXPECT_EQ(DetectedAs("1 0x7f00 512 0\n"), "stalloc");
  EXPECT_EQ(DetectedAs("Iteration Index : head\n\n1 0x7f00 512 0\n"), "stalloc");
  EXPECT_EQ(DetectedAs(FromHexadecimal(kSnapshotPickles[2])), "torch");
  EXPECT_EQ(DetectedAs("\x89TLT\r\n\x1a\n and what follows"), "tierlib");
  for (const std::string bytes :
       {"", "\n", "hello\n", "Thread,Time,Action\n", "\x80\x01N.", "10 20 30 40\n", "1 2 3\n"}) {
    EXPECT_EQ(DetectedAs(bytes).find("byte 0: not a trace that this program knows"), 0u) << bytes;
  }
  EXPECT_STREQ(FindFormat("stalloc", "hello").value()->name, "stalloc");
  EXPECT_FALSE(FindFormat("perfetto", "hello").ok());
}

TEST(RmmLog, IsRead) {
  const auto trace = ReadRmmLog(kRmmHeader +
                                    "140,10:00:00.000001,allocate,0x7f0000000200,4096,0x0\n"
                                    "140,10:00:00.000002,allocate,7F0000000400,18446744073709551615,55d0c0ffee\n"
                                    "\n"
                                    "141,10:00:00.000003,allocate failure,(nil),1000,0x2\r\n"
                                    "141,10:00:00.000004,free,0x7f0000000200,4096,0\n"
                                    "141,10:00:00.000004,free,(nil),0,0\n",
                                {});
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->events, (Events{{Kind::kAllocate, 0x7f0000000200, 4096, 0},
                                   {Kind::kAllocate, 0x7f0000000400, ~std::uint64_t{0}, 0x55d0c0ffee},
                                   {Kind::kFailure, 0, 1000, 2},
                                   {Kind::kFree, 0x7f0000000200, 4096, 0}}));
  EXPECT_EQ(trace->null_pointers, 1u);
  EXPECT_EQ(trace->problem_count, 0u);
}

TEST(RmmLog, WrongLinesAreNamed) {
  const std::pair<std::string, std::string> cases[] = {
      {"1,t,allocate,0x7f00,4096\n",
       "line 3: line \"1,t,allocate,0x7f00,4096\" should be six fields: "
       "Thread,Time,Action,Pointer,Size,Stream"},
      {"1,t,allocate,0x7f00,4096,0,0\n",
       "line 3: line \"1,t,allocate,0x7f00,4096,0,0\" should be six fields: "
       "Thread,Time,Action,Pointer,Size,Stream"},
      {"1,t,grow,0x7f00,4096,0\n", "line 3: action \"grow\" should be allocate, allocate failure or free"},
      {"1,t,free,pointer,4096,0\n", "line 3: pointer \"pointer\" should be hexadecimal, as 0x7f0000000200"},
      {"1,t,free,0x7f00,-1,0\n", "line 3: size \"-1\" should be a number of bytes, as 4096"},
      {"1,t,free,0x7f00,18446744073709551616,0\n",
       "line 3: size \"18446744073709551616\" should be a number of bytes, as 4096"},
      {"1,t,free,0x7f00,1e3,0\n", "line 3: size \"1e3\" should be a number of bytes, as 4096"},
      {"1,t,free,0x12345678901234567,1,0\n",
       "line 3: pointer \"0x12345678901234567\" should be hexadecimal, as 0x7f0000000200"},
      {"1,t,free,0x7f00,4096,default\n", "line 3: stream \"default\" should be hexadecimal, as 0x0"},
      {std::string("\0\x1b[2J", 5) + "\n",
       "line 3: line \"??[2J\" should be six fields: Thread,Time,Action,Pointer,Size,Stream"}};
  for (const auto& [line, message] : cases) {
    const auto trace = ReadRmmLog(kRmmHeader + "1,t,allocate,0x100,1,0\n" + line + "1,t,free,0x100,1,0\n", {});
    EXPECT_EQ(trace.status().message(), message);
  }
  EXPECT_EQ(ReadRmmLog("Thread,Time\n", {}).status().message(),
            "line 1: header \"Thread,Time\" should be Thread,Time,Action,Pointer,Size,Stream");
  EXPECT_FALSE(ReadRmmLog("", {}).ok());
}

TEST(RmmLog, LinesOfMegabytesAreShortInMessages) {
  const auto trace = ReadRmmLog(kRmmHeader + std::string(20 << 20, 'x') + "\n", {});
  ASSERT_FALSE(trace.ok());
  EXPECT_LT(trace.status().message().size(), 200u);
  const auto wide = ReadRmmLog(kRmmHeader + std::string(20 << 20, '1') + ",t,allocate,0x100,1,0\n", {});
  EXPECT_TRUE(wide.ok()) << wide.status();
}

TEST(RmmLog, IsUsedUpToWhereItIsCut) {
  const auto trace = ReadRmmLog(kRmmHeader + "1,t,allocate,0x100,1,0\n1,t,free,0x10", {});
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(trace->events.size(), 1u);
  ASSERT_EQ(trace->problems.size(), 1u);
  EXPECT_EQ(trace->problems[0], "line 3: cut off, the file should go on; the lines before it are used");
  EXPECT_EQ(ReadRmmLog(kRmmHeader + "1,t,allocate,0x100,1,0", {}).value().problem_count, 0u) << "no end, but whole";
}

TEST(StallocLog, IsRead) {
  const auto trace = ReadStallocLog(
      "Iteration Index : head\n1 0x7f00 512 0\r\nmicro-batch : F\nm.mlp->ParallelMLP Layer : F-start\n"
      "1 0x8000 0 0x55d0\n0 0x7f00 512 0\n1 0 64 0\n",
      {});
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_EQ(
      trace->events,
      (Events{{Kind::kAllocate, 0x7f00, 512, 0}, {Kind::kAllocate, 0x8000, 0, 0x55d0}, {Kind::kFree, 0x7f00, 512, 0}}));
  EXPECT_EQ(trace->null_pointers, 1u);
}

TEST(StallocLog, WrongLinesAreNamed) {
  const std::string right = "\"1 pointer size stream\" (allocate) or \"0 pointer size stream\" (free)";
  const std::pair<std::string, std::string> cases[] = {
      {"2 0x7f00 512 0", "line 2: line \"2 0x7f00 512 0\" should be " + right},
      {"1 0x7f00 512", "line 2: line \"1 0x7f00 512\" should be " + right},
      {"1 0x7f00 512 0 0", "line 2: line \"1 0x7f00 512 0 0\" should be " + right},
      {"1 7g 512 0", "line 2: pointer \"7g\" should be hexadecimal, as 0x7f0000000200"},
      {"1 0x7f00 0x512 0", "line 2: size \"0x512\" should be a number of bytes, as 4096"},
      {"1 0x7f00 512 s", "line 2: stream \"s\" should be hexadecimal, as 0"}};
  for (const auto& [line, message] : cases) {
    EXPECT_EQ(ReadStallocLog("1 0x100 1 0\n" + line + "\n", {}).status().message(), message);
    const auto cut = ReadStallocLog("1 0x100 1 0\n" + line, {});
    ASSERT_TRUE(cut.ok());
    EXPECT_EQ(cut->problem_count, 1u);
  }
}

TEST(TorchSnapshot, IsReadInEveryProtocol) {
  for (const std::string_view text : kSnapshotPickles) {
    const auto trace = ReadTorchSnapshot(FromHexadecimal(text), {});
    ASSERT_TRUE(trace.ok()) << trace.status();
    EXPECT_EQ(trace->events, (Events{{Kind::kAllocate, 140000000000000, 500, 0},
                                     {Kind::kAllocate, 140000000000512, 70000, 94000000000000},
                                     {Kind::kFailure, 0, std::uint64_t{1} << 33, 0},
                                     {Kind::kFree, 140000000000000, 500, 0}}));
  }
}

TEST(TorchSnapshot, DevicesAreChosen) {
  const std::string bytes = FromHexadecimal(kSnapshotPickles[0]);
  EXPECT_EQ(ReadTorchSnapshot(bytes, {.device = 0}).value().events.size(), 4u);
  EXPECT_EQ(ReadTorchSnapshot(bytes, {.device = 1}).value().events.size(), 0u);
  EXPECT_EQ(ReadTorchSnapshot(bytes, {.device = 2}).status().message(),
            "device 2 is not in the snapshot, which has 2 devices");
  const std::string both =
      "\x80\x04}\x8c\x0d"
      "device_traces]((}\x8c\x06"
      "action\x8c\x04snaps"
      "l(Nle"
      "s.";
  EXPECT_EQ(ReadTorchSnapshot(both, {}).status().message(), "devices 0 and 1 have events: choose one with --device");
}

TEST(TorchSnapshot, WrongEventsAreNamed) {
  const auto error = [](const std::string& event) {
    return std::string(ReadTorchSnapshot("\x80\x04}\x8c\x0d"
                                         "device_traces]](" +
                                             event + "eas.",
                                         {})
                           .status()
                           .message());
  };
  const std::string action =
      "\x8c\x06"
      "action";
  const std::string alloc = action +
                            "\x8c\x05"
                            "alloc";
  EXPECT_EQ(error("N"), "device_traces[0][0]: an event is a dict whose 'action' is a text");
  EXPECT_EQ(error("}}"), "device_traces[0][0]: an event is a dict whose 'action' is a text");
  EXPECT_EQ(error("(" + action +
                  "K\x01"
                  "d"),
            "device_traces[0][0]: an event is a dict whose 'action' is a text");
  EXPECT_EQ(error("(" + alloc + "d"), "device_traces[0][0]: 'size' should be an integer from 0 to 2^63 - 1");
  EXPECT_EQ(error("(" + alloc +
                  "\x8c\x04sizeK\x01"
                  "d"),
            "device_traces[0][0]: 'addr' should be an integer from 0 to 2^63 - 1");
  EXPECT_EQ(error("(" + alloc +
                  "\x8c\x04sizeJ\xff\xff\xff\xff"
                  "d"),
            "device_traces[0][0]: 'size' should be an integer from 0 to 2^63 - 1");
  std::string large = "(";
  for (int i = 0; i < 65; ++i) large += "NN";
  EXPECT_EQ(error(large + "d"), "device_traces[0][0]: an event has at most 64 fields");
  EXPECT_EQ(ReadTorchSnapshot("\x80\x04].", {}).status().message().find("a snapshot is a dict with a list"), 0u);
  EXPECT_EQ(ReadTorchSnapshot("\x80\x04}\x8c\x0d"
                              "device_traces]s.",
                              {})
                .status()
                .message()
                .find("no device has"),
            0u);
}

// Any bytes: each reader answers, whatever the file was.
TEST(TraceFormat, ReadersSurviveRandomMutations) {
  Random random(20261129);
  const std::string files[] = {
      kRmmHeader + "1,t,allocate,0x7f0000000200,4096,0x0\r\n1,t,allocate failure,(nil),9,0x0\n",
      "Iteration Index : 0\n1 0x7f00 512 0\n0 0x7f00 512 0x55\n"};
  for (int round = 0; round < 50'000 / TIERLIB_RANDOM_SCALE; ++round) {
    std::string bytes = files[random.UniformInt(2)];
    for (std::uint64_t i = 1 + random.UniformInt(4); i > 0; --i) {
      const std::size_t at = random.UniformInt(bytes.size());
      if (random.UniformInt(2) == 0) {
        bytes[at] = static_cast<char>(random.NextU32());
      } else {
        bytes.insert(at, bytes.substr(random.UniformInt(bytes.size()), random.UniformInt(20)));
      }
    }
    for (const std::string& name : FormatNames()) {
      const StatusOr<const TraceFormat*> format = FindFormat(name, bytes);
      if (!format.ok()) continue;
      const StatusOr<AllocationTrace> trace = (*format)->read(bytes, {});
      EXPECT_TRUE(trace.ok() || !trace.status().message().empty());
    }
  }
}

// A trace of two tiers.
std::string WriteTrace(const std::string& path) {
  {
    const auto recorder = trace::Recorder::Open({.path = path}).value();
    recorder->Write(trace::Event::kStepBegin, trace::Tag::kNone, 0, 0, 1, 0);
    recorder->Write(trace::Event::kPoolAllocate, trace::Tag::kSaved, 0, 0, 0, 512);
    recorder->Write(trace::Event::kPoolAllocate, trace::Tag::kSaved, 1, 0, 0, 4096);
    recorder->Write(trace::Event::kPoolFull, trace::Tag::kSaved, 0, 0, 256, 1024);
    recorder->Write(trace::Event::kPoolFree, trace::Tag::kSaved, 0, 0, 0, 512);
  }
  return ReadWhole(path);
}

TEST(TierlibTrace, GivesTheEventsOfOneTier) {
  TemporaryFolder folder;
  const std::string bytes = WriteTrace(folder / "run.tlt");
  EXPECT_EQ(ReadTierlibTrace(bytes, {}).value().events, (Events{{Kind::kAllocate, 0, 512, 0, trace::Tag::kSaved},
                                                                {Kind::kFailure, 0, 1024, 0, trace::Tag::kSaved},
                                                                {Kind::kFree, 0, 512, 0}}));
  EXPECT_EQ(ReadTierlibTrace(bytes, {.tier = Tier::kPinned}).value().events,
            (Events{{Kind::kAllocate, 0, 4096, 0, trace::Tag::kSaved}}));
  EXPECT_EQ(ReadTierlibTrace(bytes, {.tier = Tier::kPageable}).value().events, Events());
  EXPECT_FALSE(ReadTierlibTrace("hello", {}).ok());
}

TEST(TierlibTrace, PassesProblemsOn) {
  TemporaryFolder folder;
  const std::string bytes = WriteTrace(folder / "run.tlt");
  const auto trace = ReadTierlibTrace(bytes.substr(0, bytes.size() - (bytes.size() - 4096) / 2), {});
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_GE(trace->problem_count, 1u);
  ASSERT_FALSE(trace->problems.empty());
  EXPECT_EQ(trace->problems[0].find("byte "), 0u);
}

}  // namespace
}  // namespace tierlib::trace_replay
