#include "view_command.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "exit_codes.h"
#include "numbers.h"
#include "output.h"
#include "page_data.h"
#include "ranks_json.h"
#include "read_trace.h"
#include "summary_command.h"

namespace tierlib::trace_viewer {
namespace {

int Fail(int code, const std::string& message) {
  std::fprintf(stderr, "tierlib-trace: %s\n", message.c_str());
  return code;
}

// The first bytes of every page, by which one is known again: up to the end of the first comment.
std::string_view PageStart() { return PageHtml().substr(0, PageHtml().find("-->") + 3); }

// Whether `path` is free or holds a page that this command wrote: what a name that nobody gave may replace.
bool MayReplace(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return errno == ENOENT;
  std::string start(PageStart().size(), '\0');
  const bool is_page = std::fread(start.data(), 1, start.size(), file) == start.size() && start == PageStart();
  std::fclose(file);
  return is_page;
}

bool HasDisplay() {
  for (const char* name : {"DISPLAY", "WAYLAND_DISPLAY"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') return true;
  }
  return false;
}

// Hands the page to the desktop's browser and does not wait for it.
bool OpenInBrowser(const std::string& path) {
  std::string name = path.front() == '-' ? "./" + path : path;
  char program[] = "xdg-open";
  char* arguments[] = {program, name.data(), nullptr};
  pid_t process = 0;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {  // whatever a browser has to say
    posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0);
  }
  const bool started = posix_spawnp(&process, program, &actions, nullptr, arguments, environ) == 0;
  posix_spawn_file_actions_destroy(&actions);
  return started;
}

// What was written.
struct ViewReport {
  struct Part {
    std::string file;
    std::int32_t rank = 0;
    std::uint64_t records = 0;
    std::uint64_t problem_count = 0;
  };
  std::string output;
  std::uint64_t bytes = 0;
  bool opened = false;
  std::vector<Part> traces;  // one, or two beside each other
};

std::string ReportText(const ViewReport& report) {
  return Printable(report.output, 200) + ": " + FormatCount(report.bytes) + " bytes" +
         (report.opened ? ", opened" : "; open it in a browser") + '\n';
}

std::string ReportJson(const ViewReport& report) {
  nlohmann::ordered_json traces = nlohmann::ordered_json::array();
  for (const ViewReport::Part& part : report.traces) {
    traces.push_back(
        {{"file", part.file}, {"rank", part.rank}, {"records", part.records}, {"problem_count", part.problem_count}});
  }
  return ObjectJson(
      {{"output", report.output}, {"bytes", report.bytes}, {"opened", report.opened}, {"traces", traces}});
}

// Appends the data of `trace`, which was read from `file`. Returns an exit code; kTruncated where parts of the trace
// are missing.
int AppendTrace(const std::string& file, const StatusOr<trace::Trace>& trace, std::string& data, ViewReport& report) {
  if (!trace.ok()) return trace.status().code() == StatusCode::kInvalidArgument ? kUsage : kUnreadable;
  PrintProblems(file, trace->problems, trace->problem_count);
  const StatusOr<std::string> elements = PageData(static_cast<int>(report.traces.size()), TraceName(file),
                                                  SummaryJson(file, trace::Summarize(*trace)), *trace);
  if (!elements.ok()) return Fail(kNotWritten, std::string(elements.status().message()));
  data += *elements;
  report.traces.push_back({file, trace->rank, trace->records.size(), trace->problem_count});
  return trace->problem_count > 0 ? kTruncated : kOk;
}

}  // namespace

int RunView(const ViewOptions& options) {
  if (options.file == "-" && options.output.empty()) {
    return Fail(kUsage, "a trace from standard input has no name: say with -o where the page goes");
  }
  if (options.file == "-" && options.compare == "-") {
    return Fail(kUsage, "both traces cannot come from standard input: name a file for one of them");
  }
  const std::string output = options.output.empty() ? options.file + ".html" : options.output;
  const std::string shown = Printable(output, 200);
  for (const std::string& input : {options.file, options.compare}) {
    if (output != "-" && input != "-" && !input.empty() && SameFile(input, output)) {
      return Fail(kUsage, shown + " is the trace itself: name another file with -o");
    }
  }
  if (options.output.empty() && !MayReplace(output)) {
    return Fail(kUsage, shown + " is there and is no page of a trace: name another file with -o");
  }

  if (options.json && !HasRoomForJson(output)) return kUsage;

  ViewReport report;
  std::string data;
  const StatusOr<trace::Trace> trace = ReadTraceArgument(options.file, options.rank);
  int code = AppendTrace(options.file, trace, data, report);
  if (code != kOk && code != kTruncated) return code;
  if (!options.compare.empty()) {
    const int other = AppendTrace(options.compare, ReadPartnerArgument(options.compare, trace->rank), data, report);
    if (other != kOk && other != kTruncated) return other;
    code = code == kOk ? other : code;
  }
  std::string html(PageHtml());
  html.replace(html.find(kPageDataMark), kPageDataMark.size(), data);
  if (!WriteOutput(output, html)) return kNotWritten;
  if (IsStandardOutput(output)) return code;
  report.output = output;
  report.bytes = html.size();
  report.opened = options.open && HasDisplay() && OpenInBrowser(output);
  return WriteOutput("-", options.json ? ReportJson(report) : ReportText(report)) ? code : kNotWritten;
}

}  // namespace tierlib::trace_viewer
