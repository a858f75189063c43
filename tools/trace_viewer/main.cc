// tierlib-trace: the command line over trace files. One file for each command; this one only reads the arguments.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "exit_codes.h"
#include "export_command.h"
#include "summary_command.h"

namespace {

int Run(int argc, char** argv) {
  using namespace tierlib::trace_viewer;  // NOLINT
  CLI::App app(
      "Shows what a tierlib trace says: what moved between the tiers, what did not have to, and what that cost.",
      "tierlib-trace");
  app.set_version_flag("--version", std::string("tierlib-trace ") + TIERLIB_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 ok, 1 findings, 2 wrong usage, 3 unreadable input, 4 truncated or damaged but usable.\n"
      "A program that uses tierlib records a trace when TIERLIB_TRACE names a file (%p: process id, %r: rank).");

  SummaryOptions summary;
  CLI::App* summary_command =
      app.add_subcommand("summary", "Print bytes moved and avoided, peaks, transfers and stalls");
  summary_command->add_option("FILE", summary.file, "The trace; - is standard input")->required();
  summary_command->add_flag("--json", summary.json, "Print JSON with a schema_version instead of text");

  ExportOptions exported;
  std::string tier = "device";
  CLI::App* export_command = app.add_subcommand("export", "Write a tier's pool for the tools of others");
  export_command->add_option("FILE", exported.file, "The trace; - is standard input")->required();
  export_command->add_option("--format", exported.format, "RMM's log, or a snapshot for PyTorch's memory_viz")
      ->check(CLI::IsMember({"rmm-csv", "torch-snapshot"}))
      ->required();
  export_command->add_option("-o,--output", exported.output, "The file to write; - is standard output")->required();
  export_command->add_option("--tier", tier, "Whose pool")
      ->check(CLI::IsMember({"device", "pinned", "pageable", "file"}))
      ->capture_default_str();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      app.exit(error);
      return std::fflush(stdout) == 0 ? kOk : kFindings;
    }
    std::fprintf(stderr, "tierlib-trace: %s (see tierlib-trace --help)\n", error.what());
    return kUsage;
  }
  if (summary_command->parsed()) return RunSummary(summary);
  exported.tier = tier == "pinned"     ? tierlib::trace::TierCode::kPinned
                  : tier == "pageable" ? tierlib::trace::TierCode::kPageable
                  : tier == "file"     ? tierlib::trace::TierCode::kFile
                                       : tierlib::trace::TierCode::kDevice;
  return RunExport(exported);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {  // memory: nothing else here throws
    std::fprintf(stderr, "tierlib-trace: %s\n", error.what());
    return tierlib::trace_viewer::kUnreadable;
  }
}
