#include "replay_command.h"

#include <cstdio>

#include "input_file.h"
#include "trace_viewer/exit_codes.h"
#include "trace_viewer/numbers.h"

namespace tierlib::trace_replay {
namespace {

using namespace trace_viewer;  // NOLINT: exit codes and numbers, which the commands have in common

int Unreadable(const std::string& name, const Status& status) {
  std::fprintf(stderr, "tierlib-replay: %s: %s\n", name.c_str(), std::string(status.message()).c_str());
  return kUnreadable;
}

void PrintProblems(const std::string& name, const AllocationTrace& trace) {
  for (const std::string& problem : trace.problems) {
    std::fprintf(stderr, "tierlib-replay: %s: %s\n", name.c_str(), problem.c_str());
  }
  if (trace.problem_count > trace.problems.size()) {
    std::fprintf(stderr, "tierlib-replay: %s: %s more\n", name.c_str(),
                 FormatCount(trace.problem_count - trace.problems.size(), "problem").c_str());
  }
}

}  // namespace

double ReplayReport::Fragmentation() const {
  if (result.worst.free == 0) return 0;
  return 1 - static_cast<double>(result.worst.largest_hole) / static_cast<double>(result.worst.free);
}

double ReplayReport::ReservedOverLive() const {
  if (result.peak.live == 0) return 0;
  return static_cast<double>(result.peak.reserved) / static_cast<double>(result.peak.live);
}

int RunReplay(const ReplayOptions& options) {
  const std::string name = options.file == "-" ? "standard input" : Printable(options.file, 200);
  const StatusOr<std::string> bytes = ReadInput(options.file);
  if (!bytes.ok()) return Unreadable(name, bytes.status());
  const StatusOr<const TraceFormat*> format = FindFormat(options.format, *bytes);
  if (!format.ok()) return Unreadable(name, format.status());
  if (options.read.device.has_value() && (*format)->read != ReadTorchSnapshot) {
    std::fprintf(stderr, "tierlib-replay: %s: --device is for PyTorch snapshots, this is %s\n", name.c_str(),
                 (*format)->description);
    return kUsage;
  }
  const StatusOr<AllocationTrace> trace = (*format)->read(*bytes, options.read);
  if (!trace.ok()) return Unreadable(name, trace.status());
  const ReplayProgram program = MakeProgram(*trace);
  const StatusOr<ReplayResult> result = Replay(program, options.pool);
  if (!result.ok()) {
    std::fprintf(stderr, "tierlib-replay: %s\n", std::string(result.status().message()).c_str());
    return kUsage;
  }
  const ReplayReport report{name, *format, options.pool, &*trace, &program, *result};
  const std::string text = options.json ? ReportJson(report) : ReportText(report);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    std::fprintf(stderr, "tierlib-replay: cannot write to standard output\n");
    return kFindings;
  }
  PrintProblems(name, *trace);
  if (!result->repeated_equally) {
    std::fprintf(stderr,
                 "tierlib-replay: %s: two runs differ in their addresses or figures, which is a mistake of tierlib\n",
                 name.c_str());
    return kFindings;
  }
  return trace->problem_count > 0 ? kTruncated : kOk;
}

}  // namespace tierlib::trace_replay
