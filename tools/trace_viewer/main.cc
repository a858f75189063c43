// tierlib-trace: the command line over trace files. One file for each command; this one only reads the arguments.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "exit_codes.h"
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
  return RunSummary(summary);
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
