// tierlib-replay: the command line over recorded allocations. This file only reads the arguments.
#include <CLI/CLI.hpp>
#include <bit>
#include <cstdio>
#include <exception>
#include <string>

#include "replay_command.h"
#include "trace_viewer/exit_codes.h"

namespace {

using namespace tierlib;                // NOLINT
using namespace tierlib::trace_replay;  // NOLINT

constexpr const char* kFooter =
    "Formats: tierlib (TIERLIB_TRACE), rmm (its logging adaptor's CSV), stalloc (1|0 pointer size stream),\n"
    "torch (torch.cuda.memory._dump_snapshot). All figures but the time are the same whenever the same file is\n"
    "replayed with the same options.\n"
    "Exit codes: 0 ok, 1 findings, 2 wrong usage, 3 unreadable input, 4 truncated or damaged but usable.";

// A check for CLI11: the text is a size, which goes to `bytes`.
CLI::Validator Size(std::uint64_t* bytes) {
  return CLI::Validator(
      [bytes](std::string& text) {
        const StatusOr<std::uint64_t> parsed = ParseBytes(text);
        if (!parsed.ok()) return std::string(parsed.status().message());
        *bytes = *parsed;
        return std::string();
      },
      "SIZE");
}

int Usage(const std::string& what) {
  std::fprintf(stderr, "tierlib-replay: %s (see tierlib-replay --help)\n", what.c_str());
  return trace_viewer::kUsage;
}

// What each option alone does not show.
std::string WhyWrong(const ReplayOptions& options) {
  if (!std::has_single_bit(options.pool.alignment) || options.pool.alignment > GiB(1)) {
    return "--alignment: a power of two up to 1 GiB is needed";
  }
  if (options.pool.growth > kCapacityMost) return "--growth: at most 8 TiB";
  if (options.pool.capacity.value_or(kCapacityMost) > kCapacityMost) return "--capacity: at most 8 TiB";
  if (options.pool.capacity.value_or(kCapacityMost) < KiB(4)) return "--capacity: at least 4 KiB are needed";
  return "";
}

int RunProgram(int argc, char** argv) {
  CLI::App app("Replays a recorded allocation trace against tierlib's block pool, without a GPU and without memory.",
               "tierlib-replay");
  app.set_version_flag("--version", std::string("tierlib-replay ") + TIERLIB_VERSION);
  app.footer(kFooter);

  ReplayOptions options;
  std::string tier = "device";
  std::string capacity_text;
  std::string alignment_text;
  std::string growth_text;
  std::uint64_t capacity = 0;
  std::uint64_t alignment = options.pool.alignment;
  std::uint64_t growth = options.pool.growth;
  int device = 0;
  app.add_option("FILE", options.file, "The trace; - is standard input")->required();
  app.add_option("--format", options.format, "Who recorded it")
      ->check(CLI::IsMember(FormatNames()))
      ->capture_default_str();
  app.add_option("--tier", tier, "The kind of pool; of a tierlib trace, also whose events")
      ->check(CLI::IsMember({"device", "pinned", "pageable", "file"}))
      ->capture_default_str();
  CLI::Option* const capacity_option =
      app.add_option("--capacity", capacity_text, "Of the pool, as 80GiB; default: what the trace needs")
          ->check(Size(&capacity));
  app.add_option("--alignment", alignment_text, "Of every block, a power of two; default: 256")
      ->check(Size(&alignment));
  app.add_option("--growth", growth_text, "The pool grows by at least this; default: 2MiB")->check(Size(&growth));
  app.add_flag("--json", options.json, "Print JSON with a schema_version instead of text");
  CLI::Option* const device_option =
      app.add_option("--device", device, "Which device of a PyTorch snapshot; default: the one that has events")
          ->check(CLI::Range(0, 65535));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return Usage(error.what());
    app.exit(error);  // --help, --version
    return std::fflush(stdout) == 0 ? trace_viewer::kOk : trace_viewer::kFindings;
  }
  options.read.tier = options.pool.tier = tier == "pinned"     ? Tier::kPinned
                                          : tier == "pageable" ? Tier::kPageable
                                          : tier == "file"     ? Tier::kFile
                                                               : Tier::kDevice;
  if (capacity_option->count() > 0) options.pool.capacity = capacity;
  if (device_option->count() > 0) options.read.device = device;
  options.pool.alignment = alignment;
  options.pool.growth = growth;
  const std::string wrong = WhyWrong(options);
  return wrong.empty() ? RunReplay(options) : Usage(wrong);
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
