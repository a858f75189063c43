// The command line of tierlib-trace as a whole: completions that shells take, and a manual page that knows every
// option.
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

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

TEST(Manual, IsAPageThatMandocTakes) {
  if (!Has("mandoc")) GTEST_SKIP() << "no mandoc";
  const Ran ran = RunProgramAt("mandoc", {"-Tlint", "-Wwarning", TIERLIB_TRACE_MANUAL});
  EXPECT_EQ(ran.exit_code, 0) << ran.out << ran.errors;
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
