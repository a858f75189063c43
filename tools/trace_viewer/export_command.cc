#include "export_command.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "exit_codes.h"
#include "numbers.h"
#include "read_trace.h"

namespace tierlib::trace_viewer {
namespace {

bool SameFile(const std::string& a, const std::string& b) {
  struct stat first;
  struct stat second;
  return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

bool WriteOutput(const std::string& path, const std::string& bytes) {
  std::FILE* const file = path == "-" ? stdout : std::fopen(path.c_str(), "wb");
  bool written = file != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  written = written && std::fflush(file) == 0;
  const int error = errno;
  if (file != nullptr && file != stdout) std::fclose(file);
  if (written) return true;
  std::fprintf(stderr, "tierlib-trace: cannot write %s: %s\n",
               path == "-" ? "to standard output" : Printable(path, 200).c_str(), strerror(error));
  return false;
}

}  // namespace

int RunExport(const ExportOptions& options) {
  if (options.file != "-" && options.output != "-" && SameFile(options.file, options.output)) {
    std::fprintf(stderr, "tierlib-trace: %s is the trace itself: name another file with -o\n",
                 Printable(options.output, 200).c_str());
    return kUsage;
  }
  const StatusOr<trace::Trace> trace = ReadTraceArgument(options.file);
  if (!trace.ok()) return kUnreadable;
  const PoolHistory history = CollectPoolHistory(*trace, options.tier);
  const std::string bytes = options.format == "rmm-csv" ? RmmCsv(history) : TorchSnapshot(history);
  if (!WriteOutput(options.output, bytes)) return kFindings;
  PrintProblems(options.file, trace->problems, trace->problem_count);
  if (history.left_out > 0) {
    std::fprintf(stderr, "tierlib-trace: %s: %s beyond 1 PiB left out\n", TraceName(options.file).c_str(),
                 FormatCount(history.left_out, "pool record").c_str());
  }
  return trace->problem_count + history.left_out > 0 ? kTruncated : kOk;
}

}  // namespace tierlib::trace_viewer
