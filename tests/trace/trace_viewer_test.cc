// tierlib-trace as a user meets it: a process with arguments, output and an exit code.
#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "numbers.h"
#include "text_table.h"
#include "trace/format.h"
#include "trace/recorder.h"

namespace tierlib::trace_viewer {
namespace {

using trace::DecisionAction;
using trace::DecisionDetail;
using trace::DecisionReason;
using trace::Event;
using trace::Tag;

Ran RunProgram(std::vector<std::string> arguments, const std::string& input = "/dev/null",
               const std::string& output = "") {
  return RunProgramAt(TIERLIB_TRACE_PROGRAM, std::move(arguments), input, output);
}

// Two steps of a small run; its figures are known. Returns the file as it was before its end.
std::string WriteRun(const std::string& path, const std::string& label = "block.3.attn.probs") {
  constexpr std::uint64_t kMiB = 1 << 20;
  trace::RecorderOptions options;
  options.path = path;
  options.device = "emulated:0";
  options.device_capacity = 512 * kMiB;
  options.pinned_capacity = 2048 * kMiB;
  const auto recorder = std::move(trace::Recorder::Open(options)).value();
  const std::uint32_t block = recorder->Intern(label);
  std::int64_t time = 1'000'000'000;
  const auto write = [&](std::int64_t after_ms, Event event, Tag tag, std::uint16_t detail, std::uint64_t subject,
                         std::uint64_t value) {
    time += after_ms * 1'000'000;
    recorder->WriteAt(time, event, tag, detail, block, subject, value);
  };
  write(0, Event::kPoolAllocate, Tag::kParameter, 0, 0, 100 * kMiB);
  for (std::uint64_t step = 1; step <= 2; ++step) {
    write(1, Event::kStepBegin, Tag::kNone, 0, step, 0);
    write(1, Event::kPoolAllocate, Tag::kActivation, 0, 0, 300 * kMiB);
    write(0, Event::kPack, Tag::kSaved, 0, 9, 64 * kMiB);
    write(0, Event::kDecision, Tag::kSaved, DecisionDetail(DecisionAction::kMove, DecisionReason::kPolicy), 9,
          64 * kMiB);
    write(0, Event::kPack, Tag::kSaved, 0, 9, 192 * kMiB);
    write(0, Event::kDecision, Tag::kSaved, DecisionDetail(DecisionAction::kReference, DecisionReason::kSameStorage), 9,
          192 * kMiB);
    write(0, Event::kPoolAllocate, Tag::kSaved, 1, 0, 64 * kMiB);
    write(0, Event::kTransferAsk, Tag::kSaved, 0, step * 2, 64 * kMiB);
    write(1, Event::kTransferBegin, Tag::kSaved, 0, step * 2, 64 * kMiB);
    write(10, Event::kTransferEnd, Tag::kSaved, 0, step * 2, 64 * kMiB);
    write(0, Event::kTransferAsk, Tag::kSaved, 1, step * 2 + 1, 64 * kMiB);
    write(1, Event::kTransferBegin, Tag::kSaved, 1, step * 2 + 1, 64 * kMiB);
    write(20, Event::kTransferEnd, Tag::kSaved, 1, step * 2 + 1, 64 * kMiB);
    write(0, Event::kStallEnd, Tag::kReload, 2, 9, step * 5'000'000);
    write(0, Event::kPoolFree, Tag::kSaved, 1, 0, 64 * kMiB);
    write(static_cast<std::int64_t>(step) * 10, Event::kPoolFree, Tag::kActivation, 0, 0, 300 * kMiB);
    write(0, Event::kStepEnd, Tag::kNone, 0, step, 0);
  }
  return ReadWhole(path);
}

TEST(TierlibTrace, ShowsHelpAndVersion) {
  const Ran help = RunProgram({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.out.find("summary"), std::string::npos);
  EXPECT_NE(help.out.find("Exit codes"), std::string::npos);
  EXPECT_EQ(help.errors, "");
  const Ran version = RunProgram({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out.find("tierlib-trace "), 0u) << version.out;
  EXPECT_EQ(RunProgram({"summary", "--help"}).exit_code, 0);
}

TEST(TierlibTrace, WrongUsageIsOneLineAndExitCode2) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {}, {"summary"}, {"frobnicate"}, {"summary", "a", "b"}, {"summary", "--jsn", "a"}, {"--wrong"}}) {
    const Ran ran = RunProgram(arguments);
    EXPECT_EQ(ran.exit_code, 2);
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(ran.errors.find("tierlib-trace: "), 0u) << ran.errors;
    EXPECT_EQ(ran.errors.find('\n'), ran.errors.size() - 1) << ran.errors;
  }
}

TEST(TierlibTrace, SummarisesARun) {
  TemporaryFolder folder;
  WriteRun(folder / "run.tlt");
  const Ran ran = RunProgram({"summary", folder / "run.tlt"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.errors, "");
  EXPECT_EQ(ran.out, folder / "run.tlt" + R"(  2 steps, 98 ms, device emulated:0 (512 MiB), host pinned 2 GiB

         peak      moved out   moved in   avoided            exposed
device   400 MiB   128 MiB     128 MiB    384 MiB (75 %)     15 ms (15 %)
pinned   64 MiB                           identity 384 MiB
packed 512 MiB in 4 values: moved 128 MiB, avoided 384 MiB, kept on the device 0 B
transfers
  out   2 copies   128 MiB   20 ms busy   6.25 GiB/s
  in    2 copies   128 MiB   40 ms busy   3.12 GiB/s
copies under way 60 ms, hidden 45 ms (75 %), waited for 15 ms
largest stalls
  block.3.attn.probs   15 ms   late copy in, 2 times
median step 48 ms; slowest step 2: 1.10x of the median, 5 ms more, of which 2.5 ms late copy in
slowest steps, and what they had more of than the median one
  step 2   53 ms   at 45 ms   late copy in 2.5 ms
device peak at 2 ms: activations 75 %, parameters 25 %
pinned peak at 2 ms: saved 100 %
)");
}

TEST(TierlibTrace, JsonHasTheSameFigures) {
  TemporaryFolder folder;
  WriteRun(folder / "run.tlt");
  const Ran ran = RunProgram({"summary", "--json", folder / "run.tlt"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  const nlohmann::json json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["schema_version"], 1);
  EXPECT_EQ(json["device"], "emulated:0");
  EXPECT_EQ(json["steps"]["count"], 2);
  EXPECT_EQ(json["steps"]["median_ns"], 48'000'000);
  EXPECT_EQ(json["steps"]["slowest"]["step"], 2);
  EXPECT_EQ(json["bytes"]["naive"], 512 << 20);
  EXPECT_EQ(json["bytes"]["moved"], 128 << 20);
  EXPECT_EQ(json["bytes"]["avoided"]["identity"], 384 << 20);
  EXPECT_EQ(json["transfers"]["out"]["bytes"], 128 << 20);
  EXPECT_DOUBLE_EQ(json["transfers"]["in"]["bytes_per_second"].get<double>(), (128 << 20) / 0.04);
  EXPECT_EQ(json["time"]["transfer_ns"], 60'000'000);
  EXPECT_EQ(json["time"]["hidden_ns"], 45'000'000);
  EXPECT_EQ(json["time"]["exposed_ns"], 15'000'000);
  EXPECT_EQ(json["stalls"]["by_storage"][0]["storage"], "block.3.attn.probs");
  EXPECT_EQ(json["tiers"][0]["peak_by_tag"]["activations"], 300 << 20);
  EXPECT_EQ(json["problems"]["count"], 0);
}

TEST(TierlibTrace, SaysWhereValuesWentThatPinnedMemoryHadNoRoomFor) {
  TemporaryFolder folder;
  {
    const auto recorder = std::move(trace::Recorder::Open({.path = folder / "run.tlt"})).value();
    for (const std::uint16_t tier : {2, 3, 3, 254, 255})
      recorder->Write(Event::kHostFallback, Tag::kSaved, tier, 0, 0, 1024);
  }
  const std::string text = RunProgram({"summary", folder / "run.tlt"}).out;
  EXPECT_NE(text.find("pinned memory had no room: 1 KiB to pageable 1 time, 2 KiB to file 2 times, "
                      "1 KiB to be computed again 1 time, 1 KiB nowhere 1 time\n"),
            std::string::npos)
      << text;
  const nlohmann::json json = nlohmann::json::parse(RunProgram({"summary", "--json", folder / "run.tlt"}).out);
  EXPECT_EQ(json["host_fallbacks"].dump(),
            R"([{"bytes":1024,"count":1,"to":"pageable"},{"bytes":2048,"count":2,"to":"file"},)"
            R"({"bytes":1024,"count":1,"to":"recompute"},{"bytes":1024,"count":1,"to":"none"}])");
}

TEST(TierlibTrace, ReadsStandardInput) {
  TemporaryFolder folder;
  WriteRun(folder / "run.tlt");
  const Ran ran = RunProgram({"summary", "-"}, folder / "run.tlt");
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.out.find("standard input  2 steps"), 0u) << ran.out;
}

TEST(TierlibTrace, UnreadableInputIsExitCode3) {
  TemporaryFolder folder;
  WriteWhole(folder / "text", "no trace");
  for (const std::string& path : {folder / "none", folder / "text", folder.path()}) {
    const Ran ran = RunProgram({"summary", path});
    EXPECT_EQ(ran.exit_code, 3);
    EXPECT_EQ(ran.out, "");
    EXPECT_NE(ran.errors.find(path), std::string::npos) << ran.errors;
    EXPECT_EQ(ran.errors.find('\n'), ran.errors.size() - 1) << ran.errors;
  }
  EXPECT_EQ(RunProgram({"summary", "-"}).errors,
            "tierlib-trace: standard input: not a tierlib trace: it does not begin with the magic bytes\n");
}

TEST(TierlibTrace, TruncatedInputIsUsedWithExitCode4) {
  TemporaryFolder folder;
  // A chunk of texts, and one of records that is cut behind the seventh.
  const std::string killed = WriteRun(folder / "run.tlt");
  WriteWhole(folder / "cut.tlt", killed.substr(0, trace::kHeaderBytes + trace::kChunkBytes + 32 + 7 * 32));
  const Ran ran = RunProgram({"summary", folder / "cut.tlt"});
  EXPECT_EQ(ran.exit_code, 4);
  EXPECT_NE(ran.out.find("packed 256 MiB in 2 values"), std::string::npos) << ran.out;
  EXPECT_NE(ran.errors.find("the program did not end the trace"), std::string::npos) << ran.errors;
  const Ran json = RunProgram({"summary", "--json", folder / "cut.tlt"});
  EXPECT_EQ(json.exit_code, 4);
  EXPECT_GE(nlohmann::json::parse(json.out)["problems"]["count"], 1);
}

TEST(TierlibTrace, HostileLabelsStayText) {
  TemporaryFolder folder;
  WriteRun(folder / "run.tlt",
           "\x1b[2J\x9b"
           "31m\"</script>\n\xff\xe2\x80\xae");
  const Ran text = RunProgram({"summary", folder / "run.tlt"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_EQ(text.out.find('\x1b'), std::string::npos);
  EXPECT_NE(text.out.find("?[2J?31m\"</script>????"), std::string::npos) << text.out;
  const Ran json = RunProgram({"summary", "--json", folder / "run.tlt"});
  EXPECT_EQ(json.exit_code, 0);
  EXPECT_TRUE(nlohmann::json::accept(json.out)) << json.out;
}

TEST(TierlibTrace, SaysWhereItCannotWrite) {
  TemporaryFolder folder;
  WriteRun(folder / "run.tlt");
  const Ran ran = RunProgram({"summary", folder / "run.tlt"}, "/dev/null", "/dev/full");
  EXPECT_EQ(ran.exit_code, 5);
  EXPECT_NE(ran.errors.find("cannot write to standard output"), std::string::npos) << ran.errors;
}

TEST(Numbers, AreFormattedForPeople) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(48213), "48,213");
  EXPECT_EQ(FormatCount(1234567, "step"), "1,234,567 steps");
  EXPECT_EQ(FormatCount(1, "step"), "1 step");
  EXPECT_EQ(FormatCount(2, "copy"), "2 copies");
  EXPECT_EQ(FormatDuration(0), "0 s");
  EXPECT_EQ(FormatDuration(17), "17 ns");
  EXPECT_EQ(FormatDuration(1'500), "1.5 us");
  EXPECT_EQ(FormatDuration(214'000'000), "214 ms");
  EXPECT_EQ(FormatDuration(999'999'999), "1 s");
  EXPECT_EQ(FormatDuration(58'300'000'000), "58.3 s");
  EXPECT_EQ(FormatDuration(90'000'000'000), "90 s");
  EXPECT_EQ(FormatDuration(744'000'000'000), "12.4 min");
  EXPECT_EQ(FormatDuration(12'600'000'000'000), "3.5 h");
  EXPECT_EQ(FormatPercent(1, 3), "33 %");
  EXPECT_EQ(FormatPercent(1, 1000), "<1 %");
  EXPECT_EQ(FormatPercent(0, 0), "0 %");
  EXPECT_EQ(FormatRate(2.5e9), "2.33 GiB/s");
}

TEST(Numbers, PrintableKeepsTextAndNothingElse) {
  EXPECT_EQ(Printable("block.3 \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"),
            "block.3 \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
  EXPECT_EQ(Printable("a\nb\tc\x7f"), "a?b?c?");
  EXPECT_EQ(Printable("\xC0\xAF"), "??");       // overlong
  EXPECT_EQ(Printable("\xED\xA0\x80"), "???");  // surrogate
  EXPECT_EQ(Printable("x\xE2\x82"), "x??");     // cut
  EXPECT_EQ(Printable("\xC2\x9B"), "??");       // C1
  EXPECT_EQ(Printable(std::string(10, 'x'), 4), "xxxx...");
}

TEST(TextTable, AlignsColumnsByCharacters) {
  TextTable table(2);
  table.AddRow({"a", "bb", "c"});
  table.AddRow({"\xC3\xA9\xC3\xA9\xC3\xA9", "", "d"});
  table.AddRow({"x"});
  EXPECT_EQ(table.ToString(), "  a     bb   c\n  \xC3\xA9\xC3\xA9\xC3\xA9        d\n  x\n");
}

}  // namespace
}  // namespace tierlib::trace_viewer
