// tierlib-replay: the command line over recorded allocations. This file only reads the arguments, with those of the
// pool in pool_flags.cc.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "pool_flags.h"
#include "replay_command.h"
#include "trace_viewer/exit_codes.h"

namespace {

using namespace tierlib;                // NOLINT
using namespace tierlib::trace_replay;  // NOLINT

constexpr const char* kFooter =
    "SIZE: as 4096, 64K, 96MiB or 1.5GiB.\n"
    "Formats: tierlib (TIERLIB_TRACE), rmm (its logging adaptor's CSV), stalloc (1|0 pointer size stream),\n"
    "torch (torch.cuda.memory._dump_snapshot). All figures but the time are the same whenever the same file is\n"
    "replayed with the same options.\n"
    "Examples:\n"
    "  tierlib-replay run.tlt --capacity 24GiB --granularity 2MiB   would it fit on a smaller card?\n"
    "  tierlib-replay run.tlt --lag 200 --spare 1GiB                which waits does spare memory spare?\n"
    "  tierlib-replay snapshot.pickle --cached-limit 512MiB --step-operations 5000 --json\n"
    "Exit codes: 0 ok, 1 findings, 2 wrong usage, 3 unreadable input, 4 truncated or damaged but usable.";

int Usage(const std::string& what) {
  std::fprintf(stderr, "tierlib-replay: %s (see tierlib-replay --help)\n", what.c_str());
  return trace_viewer::kUsage;
}

int RunProgram(int argc, char** argv) {
  CLI::App app("Replays a recorded allocation trace against tierlib's block pool, without a GPU and without memory.",
               "tierlib-replay");
  app.set_version_flag("--version", std::string("tierlib-replay ") + TIERLIB_VERSION);
  app.footer(kFooter);

  ReplayOptions options;
  int device = 0;
  app.add_option("FILE", options.file, "The trace; - is standard input")->required();
  app.add_option("--format", options.format, "Who recorded it")
      ->check(CLI::IsMember(FormatNames()))
      ->capture_default_str();
  app.add_flag("--json", options.json, "Print JSON with a schema_version instead of text");
  CLI::Option* const device_option =
      app.add_option("--device", device, "Which device of a PyTorch snapshot; default: the one that has events")
          ->check(CLI::Range(0, 65535));
  PoolFlags flags(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return Usage(error.what());
    app.exit(error);  // --help, --version
    return std::fflush(stdout) == 0 ? trace_viewer::kOk : trace_viewer::kFindings;
  }
  const StatusOr<PoolConfiguration> pool = flags.Configuration();
  if (!pool.ok()) return Usage(std::string(pool.status().message()));
  options.pool = *pool;
  options.read.tier = pool->tier;
  if (device_option->count() > 0) options.read.device = device;
  return RunReplay(options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return RunProgram(argc, argv);
  } catch (const std::exception& error) {  // memory: nothing else here throws
    std::fprintf(stderr, "tierlib-replay: %s\n", error.what());
    return tierlib::trace_viewer::kUnreadable;
  }
}
