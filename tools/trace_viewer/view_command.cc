#include "view_command.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "exit_codes.h"
#include "numbers.h"
#include "output.h"
#include "page_data.h"
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

// Appends the data of `trace`, which was read from `file`. Returns an exit code; kTruncated where parts of the trace
// are missing.
int AppendTrace(int number, const std::string& file, const StatusOr<trace::Trace>& trace, std::string& data) {
  if (!trace.ok()) return trace.status().code() == StatusCode::kInvalidArgument ? kUsage : kUnreadable;
  PrintProblems(file, trace->problems, trace->problem_count);
  const StatusOr<std::string> elements =
      PageData(number, TraceName(file), SummaryJson(file, trace::Summarize(*trace)), *trace);
  if (!elements.ok()) return Fail(kFindings, std::string(elements.status().message()));
  data += *elements;
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

  std::string data;
  const StatusOr<trace::Trace> trace = ReadTraceArgument(options.file, options.rank);
  int code = AppendTrace(0, options.file, trace, data);
  if (code != kOk && code != kTruncated) return code;
  if (!options.compare.empty()) {
    const int other = AppendTrace(1, options.compare, ReadPartnerArgument(options.compare, trace->rank), data);
    if (other != kOk && other != kTruncated) return other;
    code = code == kOk ? other : code;
  }
  std::string html(PageHtml());
  html.replace(html.find(kPageDataMark), kPageDataMark.size(), data);
  if (!WriteOutput(output, html)) return kFindings;
  if (output == "-") return code;
  const bool opened = options.open && HasDisplay() && OpenInBrowser(output);
  std::printf("%s: %s bytes%s\n", shown.c_str(), FormatCount(html.size()).c_str(),
              opened ? ", opened" : "; open it in a browser");
  return std::fflush(stdout) == 0 ? code : kFindings;
}

}  // namespace tierlib::trace_viewer
