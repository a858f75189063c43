// tierlib-trace: the command line over trace files. One file for each command; this one only reads the arguments.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "check_command.h"
#include "completions.h"
#include "cut_command.h"
#include "diff_command.h"
#include "exit_codes.h"
#include "export_command.h"
#include "merge_command.h"
#include "output.h"
#include "record_command.h"
#include "summary_command.h"
#include "top_command.h"
#include "view_command.h"

namespace {

using namespace tierlib::trace_viewer;  // NOLINT

constexpr const char* kProgram = "tierlib-trace";
constexpr const char* kInput = "The trace; - is standard input";
constexpr const char* kOutput = "The file to write; - is standard output";
constexpr const char* kJson = "Print JSON with a schema_version instead of text";
constexpr const char* kWrittenJson = "Say as JSON with a schema_version what was written; not with -o -";

// A command with options of this kind, which `run` gets where the command is given.
template <typename Options>
CLI::App* Add(CLI::App& app, std::function<int()>* chosen, const char* name, const char* help,
              const std::shared_ptr<Options>& options, int (*run)(const Options&)) {
  CLI::App* const command = app.add_subcommand(name, help);
  command->callback([chosen, options, run] { *chosen = [options, run] { return run(*options); }; });
  return command;
}

void AddRecord(CLI::App& app, std::function<int()>* chosen) {
  const auto record = std::make_shared<RecordOptions>();
  CLI::App* const command =
      Add(app, chosen, "record", "Run a program that uses tierlib, and record its trace", record, RunRecord);
  command->add_option("-o,--output", record->output, "The trace, a file; %p is the process id, %r the rank")
      ->type_name("FILE")
      ->required();
  command->add_option("COMMAND", record->command, "The program and its arguments, after --")->required();
  command->add_flag(
      "--json", record->json,
      "Say as JSON with a schema_version what was written; the program's standard output goes to standard "
      "error");
  command->footer(
      "These variables go on to the program:\n"
      "  TIERLIB_TRACE_LAST=64MiB     keep the newest bytes alone (a flight recorder)\n"
      "  TIERLIB_TRACE_SLOW_STEP=2.5  and copy them to FILE.1, FILE.2 ... where a step takes so many times the median\n"
      "  TIERLIB_TRACE_STACKS=1       record where allocations and values come from\n"
      "  TIERLIB_TRACE_NVTX=1         tell NVIDIA's profilers of steps and operators, in builds with CUDA\n"
      "TIERLIB_TRACE itself is set to FILE. - is no FILE here: the program writes into a file as it runs.");
}

void AddSummary(CLI::App& app, std::function<int()>* chosen) {
  const auto summary = std::make_shared<SummaryOptions>();
  CLI::App* const command =
      Add(app, chosen, "summary", "Print bytes moved and avoided, peaks, transfers and stalls", summary, RunSummary);
  command->add_option("FILE", summary->file, kInput)->required();
  command->add_flag("--json", summary->json, kJson);
}

void AddCheck(CLI::App& app, std::function<int()>* chosen) {
  const auto check = std::make_shared<CheckOptions>();
  CLI::App* const command = Add(app, chosen, "check", "Say where a trace contradicts itself", check, RunCheck);
  command->add_option("FILE", check->file, kInput)->required();
  command->add_flag("--json", check->json, kJson);
}

void AddDiff(CLI::App& app, std::function<int()>* chosen) {
  const auto diff = std::make_shared<DiffOptions>();
  CLI::App* const command =
      Add(app, chosen, "diff", "Say what changed between two runs, aligned by step", diff, RunDiff);
  command->add_option("BEFORE", diff->before, kInput)->required();
  command->add_option("AFTER", diff->after, "Another one")->required();
  command
      ->add_option("--fail-on", diff->fail_on,
                   "Exit with 1 where this holds, as 'bytes_moved>+5%', 'stall_ns>+2ms' or 'steps<100'")
      ->type_name("EXPR")
      ->allow_extra_args(false);
  command->add_flag("--json", diff->json, kJson);
}

tierlib::trace::TierCode TierOf(const std::string& name) {
  for (std::size_t i = 0; i < tierlib::trace::kTierCodeCount; ++i) {
    const auto tier = static_cast<tierlib::trace::TierCode>(i);
    if (name == tierlib::trace::TierCodeName(tier)) return tier;
  }
  return tierlib::trace::TierCode::kDevice;
}

void AddExport(CLI::App& app, std::function<int()>* chosen) {
  const auto exported = std::make_shared<ExportOptions>();
  CLI::App* const command =
      Add(app, chosen, "export", "Write a trace, or a tier's pool, for the tools of others", exported, RunExport);
  command->add_option("FILE", exported->file, kInput)->required();
  command->add_option("--format", exported->format, "For ui.perfetto.dev, chrome://tracing, RMM or memory_viz")
      ->check(CLI::IsMember({"perfetto", "chrome", "rmm-csv", "torch-snapshot"}))
      ->required();
  command->add_option("-o,--output", exported->output, kOutput)->type_name("FILE")->required();
  command->add_flag("--json", exported->json, kWrittenJson);
  command->add_option("--rank", exported->rank, "Of a merged trace; perfetto and chrome have all where none is named");
  command
      ->add_option_function<std::string>(
          "--tier", [exported](const std::string& name) { exported->tier = TierOf(name); },
          "Whose pool, for rmm-csv and torch-snapshot; default device")
      ->check(CLI::IsMember({"device", "pinned", "pageable", "file"}));
}

void AddTop(CLI::App& app, std::function<int()>* chosen) {
  const auto top = std::make_shared<TopOptions>();
  CLI::App* const command =
      Add(app, chosen, "top", "Show what a running program does, until it ends or q is pressed", top, RunTop);
  command->add_option("TARGET", top->target, "A trace that is being written, or the id of a process; not -")
      ->required();
  command->add_option("--interval", top->interval_s, "Seconds between two pictures, default 1");
  command->add_option("--window", top->window_s, "Seconds that count as now, default 5");
  command->add_option("--count", top->count, "Leave after so many pictures, default 0: when the program ends");
  command->add_option("--rank", top->rank, "Of a merged trace");
  command->add_flag("--json", top->json, "Print a line of JSON with a schema_version for each picture");
}

void AddCut(CLI::App& app, std::function<int()>* chosen) {
  const auto cut = std::make_shared<CutOptions>();
  CLI::App* const command = Add(app, chosen, "cut", "Write a part of a trace as a trace", cut, RunCut);
  command->add_option("FILE", cut->file, kInput)->required();
  command->add_option("--range", cut->range, "As step:100-120, step:100-, 1.5s-2.0s or -300ms")->required();
  command->add_option("-o,--output", cut->output, kOutput)->type_name("FILE")->required();
  command->add_flag("--json", cut->json, kWrittenJson);
}

void AddMerge(CLI::App& app, std::function<int()>* chosen) {
  const auto merge = std::make_shared<MergeOptions>();
  CLI::App* const command = Add(app, chosen, "merge", "Write the traces of a job's ranks as one file", merge, RunMerge);
  command->add_option("FILE", merge->files, "Traces, of one rank each or merged")->required();
  command->add_option("-o,--output", merge->output, kOutput)->type_name("FILE")->required();
  command->add_flag("--json", merge->json, kWrittenJson);
  command->add_flag("--renumber", merge->renumber, "Ranks are 0, 1, 2 ... in the order of the files");
}

void AddView(CLI::App& app, std::function<int()>* chosen) {
  const auto view = std::make_shared<ViewOptions>();
  CLI::App* const command =
      Add(app, chosen, "view", "Write one HTML file that shows the trace, and open it", view, RunView);
  command->add_option("FILE", view->file, kInput)->required();
  command->add_option("--compare", view->compare, "Another trace, aligned with this one by step")->type_name("FILE");
  command->add_option("-o,--output", view->output, "The file to write (FILE.html); - is standard output")
      ->type_name("FILE");
  command->add_option("--rank", view->rank, "Of a merged trace");
  command->add_flag("--json", view->json, kWrittenJson);
  command->add_flag("!--no-open", view->open, "Do not open it, even where there is a display");
}

// What the command line says of itself. Choices and files are named in the type of an option: "TEXT:{a,b}", "FILE".
CompletedOption Describe(const CLI::Option& option) {
  CompletedOption described;
  for (const std::string& name : option.get_snames()) described.names.push_back('-' + name);
  for (const std::string& name : option.get_lnames()) described.names.push_back("--" + name);
  described.help = option.get_description();
  described.takes_value = option.get_items_expected_max() > 0 && option.get_type_size() > 0;
  const std::string type = option.get_type_name();
  described.names_file = type == "FILE";
  const std::size_t begin = type.find('{');
  const std::size_t end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return described;
  for (std::size_t at = begin + 1; at < end;) {
    const std::size_t comma = std::min(type.find(',', at), end);
    described.choices.push_back(type.substr(at, comma - at));
    at = comma + 1;
  }
  return described;
}

std::vector<CompletedCommand> Describe(const CLI::App& app) {
  std::vector<CompletedCommand> commands;
  for (const CLI::App* command : app.get_subcommands({})) {
    CompletedCommand described{command->get_name(), command->get_description(), {}, {}};
    for (const CLI::Option* option : command->get_options()) {
      CompletedOption one = Describe(*option);
      if (one.names.empty()) {
        described.choices.insert(described.choices.end(), one.choices.begin(), one.choices.end());
      } else {
        described.options.push_back(std::move(one));
      }
    }
    commands.push_back(std::move(described));
  }
  return commands;
}

void AddCompletions(CLI::App& app, std::function<int()>* chosen) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* const command = app.add_subcommand("completions", "Print a script that completes this command line");
  command->add_option("SHELL", *shell, "For which shell")->check(CLI::IsMember({"bash", "zsh", "fish"}))->required();
  command->callback([&app, chosen, shell] {
    *chosen = [&app, shell] {
      return WriteOutput("-", CompletionScript(*shell, kProgram, Describe(app))) ? kOk : kNotWritten;
    };
  });
}

int Run(int argc, char** argv) {
  CLI::App app(
      "Shows what a tierlib trace says: what moved between the tiers, what did not have to, and what that cost.",
      kProgram);
  app.set_version_flag("--version", std::string("tierlib-trace ") + TIERLIB_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 ok, 1 findings, 2 wrong usage, 3 unreadable input, 4 truncated or damaged but usable,\n"
      "5 the output could not be written.\n"
      "A program that uses tierlib records a trace when TIERLIB_TRACE names a file (%p: process id, %r: rank).");
  std::function<int()> chosen;
  for (const auto add :
       {AddRecord, AddSummary, AddView, AddCheck, AddDiff, AddExport, AddTop, AddCut, AddMerge, AddCompletions}) {
    add(app, &chosen);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      app.exit(error);
      return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 ? kOk : kNotWritten;
    }
    std::fprintf(stderr, "tierlib-trace: %s (see tierlib-trace --help)\n", error.what());
    return kUsage;
  }
  return chosen();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {  // memory: nothing else here throws
    std::fprintf(stderr, "tierlib-trace: %s\n", error.what());
    return kUnreadable;
  }
}
