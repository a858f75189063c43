// The command line of tierlib-trace as a whole: completions that shells take, and a manual page that knows every
// option.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "exit_codes.h"
#include "trace/reader.h"
#include "trace_viewer/recorded_run.h"

namespace tierlib::trace_viewer {
namespace {

std::vector<std::string> Commands() {
  const std::string help = RunTrace({"--help"}).out;
  std::vector<std::string> commands;
  const std::regex line("\n  ([a-z]+) +[A-Z]");
  for (std::sregex_iterator found(help.begin(), help.end(), line), end; found != end; ++found) {
    commands.push_back((*found)[1]);
  }
  return commands;
}

std::set<std::string> OptionsOf(const std::string& command) {
  const std::string help = RunTrace({command, "--help"}).out;
  std::set<std::string> options;
  const std::regex option("(--[a-z-]+)");
  for (std::sregex_iterator found(help.begin(), help.end(), option), end; found != end; ++found) {
    options.insert((*found)[1]);
  }
  options.erase("--");
  return options;
}

bool Has(const std::string& program) { return RunProgramAt("sh", {"-c", "command -v " + program}).exit_code == 0; }

TEST(CommandLine, HelpKnowsTheCommands) {
  const std::vector<std::string> commands = Commands();
  for (const char* command : {"record", "summary", "check", "diff", "export", "top", "cut", "merge", "completions"}) {
    EXPECT_EQ(std::count(commands.begin(), commands.end(), command), 1) << command;
  }
}

// What bash would offer for a line.
std::set<std::string> BashCompletions(const std::vector<std::string>& words) {
  TemporaryFolder folder;
  WriteWhole(folder / "completions", RunTrace({"completions", "bash"}).out);
  std::string line;
  for (const std::string& word : words) line += " '" + word + '\'';
  const Ran ran =
      RunProgramAt("bash", {"-c", "cd " + folder.path() + " && . ./completions && COMP_WORDS=(tierlib-trace" + line +
                                      ") && COMP_CWORD=" + std::to_string(words.size()) +
                                      " && _tierlib_trace; printf '%s\\n' \"${COMPREPLY[@]}\""});
  EXPECT_EQ(ran.errors, "");
  std::set<std::string> offered;
  std::string word;
  for (const char c : ran.out) {
    if (c != '\n') {
      word += c;
      continue;
    }
    if (!word.empty()) offered.insert(word);
    word.clear();
  }
  return offered;
}

TEST(Completions, BashOffersCommandsOptionsChoicesAndFiles) {
  if (!Has("bash")) GTEST_SKIP() << "no bash";
  const std::set<std::string> commands = BashCompletions({""});
  for (const std::string& command : Commands()) EXPECT_EQ(commands.count(command), 1u) << command;
  EXPECT_EQ(BashCompletions({"su"}), (std::set<std::string>{"summary"}));
  EXPECT_EQ(BashCompletions({"export", "--for"}), (std::set<std::string>{"--format"}));
  EXPECT_EQ(BashCompletions({"export", "--format", ""}),
            (std::set<std::string>{"chrome", "perfetto", "rmm-csv", "torch-snapshot"}));
  EXPECT_EQ(BashCompletions({"export", "--tier", "p"}), (std::set<std::string>{"pageable", "pinned"}));
  EXPECT_EQ(BashCompletions({"completions", ""}), (std::set<std::string>{"bash", "fish", "zsh"}));
  EXPECT_EQ(BashCompletions({"summary", "compl"}), (std::set<std::string>{"completions"}));  // a file of the folder
  for (const std::string& command : Commands()) {
    const std::set<std::string> offered = BashCompletions({command, "--"});
    for (const std::string& option : OptionsOf(command))
      EXPECT_EQ(offered.count(option), 1u) << command << ' ' << option;
  }
}

TEST(Completions, ZshTakesTheScript) {
  const Ran script = RunTrace({"completions", "zsh"});
  EXPECT_EQ(script.exit_code, 0);
  EXPECT_EQ(script.out.find("#compdef tierlib-trace\n"), 0u);
  EXPECT_NE(script.out.find(":value:(perfetto chrome rmm-csv torch-snapshot)"), std::string::npos) << script.out;
  if (!Has("zsh")) GTEST_SKIP() << "no zsh: it is not asked";
  TemporaryFolder folder;
  WriteWhole(folder / "_tierlib-trace", script.out);
  const Ran ran = RunProgramAt("zsh", {"-f", "-n", folder / "_tierlib-trace"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
}

TEST(Completions, FishOffersCommandsOptionsAndChoices) {
  const Ran script = RunTrace({"completions", "fish"});
  EXPECT_EQ(script.exit_code, 0);
  EXPECT_NE(script.out.find("__fish_seen_subcommand_from export' -l format -x -a 'perfetto chrome "), std::string::npos)
      << script.out;
  if (!Has("fish")) GTEST_SKIP() << "no fish: it is not asked";
  TemporaryFolder folder;
  WriteWhole(folder / "completions", script.out);
  const auto offered = [&](const std::string& line) {
    const Ran ran = RunProgramAt("env", {"HOME=" + folder.path(), "fish", "-c",
                                         "source " + folder / "completions" + "; complete -C '" + line + "'"});
    EXPECT_EQ(ran.errors, "");
    return ran.out;
  };
  const std::string commands = offered("tierlib-trace ");
  for (const std::string& command : Commands()) EXPECT_NE(commands.find(command + '\t'), std::string::npos) << commands;
  EXPECT_NE(offered("tierlib-trace export --format ").find("perfetto"), std::string::npos);
  EXPECT_NE(offered("tierlib-trace diff --").find("--fail-on"), std::string::npos);
}

TEST(Completions, OtherShellsAreWrongUsage) {
  const Ran ran = RunTrace({"completions", "tcsh"});
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_NE(ran.errors.find("tcsh not in {bash,zsh,fish}"), std::string::npos) << ran.errors;
}

TEST(Manual, KnowsEveryCommandAndOption) {
  std::string page = ReadWhole(TIERLIB_TRACE_MANUAL);
  ASSERT_FALSE(page.empty());
  for (const std::string& command : Commands()) {
    EXPECT_NE(page.find(".Cm " + command + '\n'), std::string::npos) << command;
    for (const std::string& option : OptionsOf(command)) {
      EXPECT_NE(page.find("Fl " + option.substr(1)), std::string::npos) << command << ' ' << option;
    }
  }
}

// The variables that the library reads, from where it reads them.
std::set<std::string> Variables() {
  const std::string source = ReadWhole(TIERLIB_SOURCES "/src/runtime/core.cc");
  std::set<std::string> names;
  const std::regex name("\"(TIERLIB_TRACE[A-Z_]*)\"");
  for (std::sregex_iterator found(source.begin(), source.end(), name), end; found != end; ++found) {
    names.insert((*found)[1]);
  }
  return names;
}

TEST(Manual, KnowsEveryVariable) {
  const std::set<std::string> variables = Variables();
  ASSERT_GE(variables.size(), 5u);
  const std::string page = ReadWhole(TIERLIB_TRACE_MANUAL);
  const std::string readme = ReadWhole(TIERLIB_SOURCES "/README.md");
  const std::string help = RunTrace({"record", "--help"}).out;
  for (const std::string& name : variables) {
    EXPECT_NE(page.find(".It Ev " + name + '\n'), std::string::npos) << name;
    EXPECT_TRUE(std::regex_search(readme, std::regex(name + "[=`]"))) << name;
    EXPECT_TRUE(std::regex_search(help, std::regex(name + "[= ]"))) << name;
  }
}

// Each option stands once in each synopsis, and those of the whole program too.
TEST(Manual, HasASynopsisOfEveryCommand) {
  const std::string page = ReadWhole(TIERLIB_TRACE_MANUAL);
  const std::string synopsis = page.substr(page.find(".Sh SYNOPSIS"), page.find(".Sh DESCRIPTION"));
  EXPECT_NE(synopsis.find(".Nm\n.Fl -version\n"), std::string::npos);
  for (const std::string& command : Commands()) {
    const std::size_t begin = synopsis.find(".Nm\n.Cm " + command + '\n');
    ASSERT_NE(begin, std::string::npos) << command;
    const std::string of_command = synopsis.substr(begin, synopsis.find(".Nm\n", begin + 1) - begin);
    for (const std::string& option : OptionsOf(command)) {
      if (option == "--help" || option == "--output") continue;  // in all, and by its short name
      const std::regex name("Fl " + option.substr(1) + "[ \n]");
      EXPECT_EQ(std::distance(std::sregex_iterator(of_command.begin(), of_command.end(), name), {}), 1)
          << command << ' ' << option;
    }
  }
}

TEST(Manual, KnowsEveryExitCode) {
  const std::string page = ReadWhole(TIERLIB_TRACE_MANUAL);
  const std::string codes = page.substr(page.find(".Sh EXIT STATUS"));
  const std::string help = RunTrace({"--help"}).out;
  for (const int code : {kOk, kFindings, kUsage, kUnreadable, kTruncated, kNotWritten}) {
    EXPECT_NE(codes.find(".It " + std::to_string(code) + '\n'), std::string::npos) << code;
    EXPECT_TRUE(std::regex_search(help, std::regex("[:,]\\s+" + std::to_string(code) + " [a-z]"))) << code << help;
  }
}

TEST(Manual, IsAPageThatMandocTakes) {
  if (!Has("mandoc")) GTEST_SKIP() << "no mandoc";
  const Ran ran = RunProgramAt("mandoc", {"-Tlint", "-Wwarning", TIERLIB_TRACE_MANUAL});
  EXPECT_EQ(ran.exit_code, 0) << ran.out << ran.errors;
}

// What cannot be written is told apart from what was found.
TEST(CommandLine, AnOutputThatCannotBeWrittenHasItsOwnExitCode) {
  TemporaryFolder folder;
  RecordRun(folder / "run.tlt", {.steps = 1});
  const std::string run = folder / "run.tlt";
  const std::string nowhere = folder / "no/such/folder";
  const std::vector<std::vector<std::string>> to_nowhere = {
      {"cut", "--range", "0s-100s", "-o", nowhere, run},
      {"merge", "-o", nowhere, run},
      {"export", "--format", "chrome", "-o", nowhere, run},
      {"export", "--format", "rmm-csv", "-o", nowhere, run},
      {"view", "-o", nowhere, run},
  };
  for (const std::vector<std::string>& command : to_nowhere) {
    const Ran ran = RunTrace(command);
    EXPECT_EQ(ran.exit_code, kNotWritten) << command.front();
    EXPECT_NE(ran.errors.find("cannot write"), std::string::npos) << ran.errors;
    EXPECT_EQ(ran.out, "");
  }
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  WriteWhole(folder / "other.tlt", ReadWhole(run));
  const std::vector<std::vector<std::string>> to_full = {
      {"summary", run},
      {"summary", "--json", run},
      {"check", run},
      {"diff", "--json", run, folder / "other.tlt"},
      {"top", "--count", "1", run},
      {"completions", "bash"},
      {"--help"},
      {"--version"},
      {"cut", "--range", "0s-100s", "-o", "-", run},
      {"cut", "--json", "--range", "0s-100s", "-o", folder / "out", run},
      {"view", "--no-open", "-o", folder / "out", run},
      {"record", "--json", "-o", folder / "new.tlt", "--", TIERLIB_RECORDING_PROGRAM, "trace", "0"},
  };
  for (const std::vector<std::string>& command : to_full) {
    EXPECT_EQ(RunTrace(command, "/dev/null", "/dev/full").exit_code, kNotWritten) << command.front();
  }
}

nlohmann::json Told(const std::vector<std::string>& command, const std::string& input = "/dev/null") {
  const Ran ran = RunTrace(command, input);
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  const nlohmann::json told = nlohmann::json::parse(ran.out, nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(told.is_object()) << ran.out;
  if (!told.is_object()) return nlohmann::json::object();
  EXPECT_EQ(told.value("schema_version", 0), 1);
  return told;
}

TEST(WrittenJson, SaysWhatIsInTheFile) {
  TemporaryFolder folder;
  const std::string run = folder / "run.tlt";
  const std::string out = folder / "out";
  RecordRun(run, {.steps = 2});
  const trace::Trace whole = trace::ReadTraceFile(run).value();
  const auto expect_file = [&](const nlohmann::json& told) {
    EXPECT_EQ(told["output"], out);
    EXPECT_EQ(told["bytes"], ReadWhole(out).size());
  };
  const nlohmann::json cut = Told({"cut", "--json", "--range", "step:1", "-o", out, run});
  expect_file(cut);
  EXPECT_EQ(cut["file"], run);
  EXPECT_EQ(cut["rank"], 0);
  EXPECT_EQ(cut["records"], trace::ReadTraceFile(out).value().records.size());
  EXPECT_LT(cut["begin_ns"], cut["end_ns"]);
  EXPECT_LE(cut["end_ns"], whole.records.back().time_ns - whole.records.front().time_ns);

  const nlohmann::json merged = Told({"merge", "--json", "--renumber", "-o", out, run, run});
  expect_file(merged);
  ASSERT_EQ(merged["ranks"].size(), 2u);
  EXPECT_EQ(merged["ranks"][1]["rank"], 1);
  EXPECT_EQ(merged["ranks"][1]["file"], run);
  EXPECT_EQ(merged["ranks"][1]["bytes"], ReadWhole(run).size());
  EXPECT_EQ(merged["ranks"][1]["records"], whole.records.size());
  const std::string job = folder / "job.tlt";
  WriteWhole(job, ReadWhole(out));
  const nlohmann::json both = Told({"cut", "--json", "--range", "0s-", "-o", out, job});
  ASSERT_EQ(both["ranks"].size(), 2u);
  EXPECT_EQ(both["ranks"][1]["rank"], 1);
  EXPECT_EQ(both["ranks"][1]["begin_ns"], 0);

  const nlohmann::json chrome = Told({"export", "--json", "--format", "chrome", "-o", out, run});
  expect_file(chrome);
  EXPECT_EQ(chrome["format"], "chrome");
  EXPECT_TRUE(chrome["tier"].is_null());
  std::size_t events = 0;
  const nlohmann::json written = nlohmann::json::parse(ReadWhole(out));
  for (const nlohmann::json& event : written["traceEvents"]) {
    const std::string phase = event["ph"];
    events += phase == "X" || phase == "i" || phase == "C" ? 1 : 0;
  }
  EXPECT_EQ(chrome["events"], events);
  const nlohmann::json pool =
      Told({"export", "--json", "--format", "torch-snapshot", "--tier", "pinned", "-o", out, run});
  expect_file(pool);
  EXPECT_EQ(pool["tier"], "pinned");
  EXPECT_GT(pool["events"], 0);

  const nlohmann::json view = Told({"view", "--json", "--no-open", "--compare", job, "-o", out, run});
  expect_file(view);
  EXPECT_EQ(view["opened"], false);
  ASSERT_EQ(view["traces"].size(), 2u);
  EXPECT_EQ(view["traces"][0]["records"], whole.records.size());
  EXPECT_EQ(view["traces"][1]["file"], job);
}

// The page's text has the same figures; the others say nothing without --json.
TEST(WrittenJson, HasTheFiguresOfTheText) {
  TemporaryFolder folder;
  const std::string run = folder / "run.tlt";
  RecordRun(run, {.steps = 1});
  const nlohmann::json told = Told({"view", "--no-open", "--json", "-o", folder / "out", run});
  std::string bytes = std::to_string(told["bytes"].get<std::uint64_t>());
  for (std::size_t at = bytes.size(); at > 3;) bytes.insert(at -= 3, ",");
  EXPECT_EQ(RunTrace({"view", "--no-open", "-o", folder / "out", run}).out,
            folder / "out" + ": " + bytes + " bytes; open it in a browser\n");
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"cut", "--range", "0s-100s"}, {"merge"}, {"export", "--format", "perfetto"}}) {
    std::vector<std::string> text = command;
    text.insert(text.end(), {"-o", folder / "out", run});
    EXPECT_EQ(RunTrace(text).out, "") << command.front();
  }
}

TEST(WrittenJson, IsRefusedWhereStandardOutputHasTheFile) {
  TemporaryFolder folder;
  const std::string run = folder / "run.tlt";
  RecordRun(run, {.steps = 1});
  WriteWhole(folder / "out", "");
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"cut", "--range", "0s-100s"}, {"merge"}, {"export", "--format", "perfetto"}, {"view", "--no-open"}}) {
    std::vector<std::string> json = command;
    json.insert(json.end(), {"--json", run, "-o"});
    json.push_back("-");
    const Ran ran = RunTrace(json);
    EXPECT_EQ(ran.exit_code, kUsage) << command.front();
    EXPECT_NE(ran.errors.find("--json says what was written"), std::string::npos) << ran.errors;
    EXPECT_EQ(ran.out, "");
    json.back() = folder / "out";
    EXPECT_EQ(RunTrace(json, "/dev/null", folder / "out").exit_code, kUsage) << "by its name";
    EXPECT_EQ(ReadWhole(folder / "out"), "");
    // Without it standard output has the file, and nothing else.
    std::vector<std::string> plain = command;
    plain.insert(plain.end(), {"-o", folder / "whole", run});
    EXPECT_EQ(RunTrace(plain).exit_code, 0);
    plain[plain.size() - 2] = "-";
    EXPECT_EQ(RunTrace(plain).out, ReadWhole(folder / "whole")) << command.front();
  }
}

// The rules that all commands share.
TEST(CommandLine, EveryCommandThatReadsATraceHasTheExitCodes) {
  TemporaryFolder folder;
  RecordRun(folder / "run.tlt", {.steps = 1});
  WriteWhole(folder / "text", "no trace");
  const std::string whole = ReadWhole(folder / "run.tlt");
  std::string early = whole;
  early[324] = 0;  // not closed
  WriteWhole(folder / "early.tlt", early);
  const std::vector<std::vector<std::string>> commands = {
      {"summary"},
      {"summary", "--json"},
      {"check"},
      {"check", "--json"},
      {"diff", folder / "run.tlt"},
      {"export", "--format", "perfetto", "-o", folder / "out"},
      {"export", "--format", "chrome", "-o", folder / "out"},
      {"export", "--format", "rmm-csv", "-o", folder / "out"},
      {"export", "--format", "torch-snapshot", "-o", folder / "out"},
      {"cut", "--range", "0s-100s", "-o", folder / "out"},
      {"merge", "-o", folder / "out"},
  };
  for (const std::vector<std::string>& command : commands) {
    SCOPED_TRACE(command.front() + ' ' + command.back());
    const auto of = [&](const std::string& file, const std::string& input = "/dev/null") {
      std::vector<std::string> arguments = command;
      arguments.push_back(file);
      return RunTrace(arguments, input).exit_code;
    };
    EXPECT_EQ(of(folder / "run.tlt"), 0);
    EXPECT_EQ(of("-", folder / "run.tlt"), 0);
    EXPECT_EQ(of(folder / "text"), 3);
    EXPECT_EQ(of(folder / "none"), 3);
    EXPECT_EQ(of(folder / "early.tlt"), 4);
    std::vector<std::string> wrong = command;
    wrong.push_back("--no-such-option");
    EXPECT_EQ(RunTrace(wrong).exit_code, 2);
    EXPECT_EQ(RunTrace({command.front(), "--help"}).exit_code, 0);
  }
}

}  // namespace
}  // namespace tierlib::trace_viewer
