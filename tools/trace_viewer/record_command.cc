#include "record_command.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <tuple>

#include "exit_codes.h"
#include "numbers.h"
#include "output.h"
#include "ranks_json.h"

namespace tierlib::trace_viewer {
namespace {

constexpr int kCannotRun = 126;
constexpr int kNotFound = 127;
constexpr int kPassedOn[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

// Which files the pattern names, and which state each is in: a program replaces a trace that was there.
using Files = std::map<std::string, std::tuple<std::uint64_t, std::int64_t, std::int64_t, std::int64_t>>;

// "run.%p.tlt" as a pattern for glob: what tierlib puts in place of %p and %r may be anything.
std::string PatternOf(const std::string& path) {
  std::string pattern;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool replaced = path[i] == '%' && i + 1 < path.size() && (path[i + 1] == 'p' || path[i + 1] == 'r');
    if (replaced) {
      pattern += '*';
      ++i;
      continue;
    }
    if (path[i] == '%' && i + 1 < path.size() && path[i + 1] == '%') ++i;  // stands for one
    if (strchr("*?[\\", path[i]) != nullptr) pattern += '\\';
    pattern += path[i];
  }
  return pattern;
}

// The path from the root, as tierlib reads it: a % of the folder that we are in is none that it may replace.
std::string AbsolutePattern(const std::string& path) {
  if (std::filesystem::path(path).is_absolute()) return path;
  std::error_code error;
  std::string prefix;
  for (const char c : std::filesystem::current_path(error).string()) prefix += c == '%' ? "%%" : std::string(1, c);
  return error ? path : prefix + '/' + path;
}

Files FilesOf(const std::string& pattern) {
  Files files;
  glob_t found = {};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      struct stat info;
      if (stat(found.gl_pathv[i], &info) != 0) continue;
      files[found.gl_pathv[i]] = {info.st_ino, info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size};
    }
  }
  globfree(&found);
  return files;
}

// In the child: becomes the program, or tells the parent why not.
[[noreturn]] void Become(const RecordOptions& options, const sigset_t& signals, int tell) {
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  const std::vector<std::string>& command = options.command;
  if (options.json) (void)dup2(STDERR_FILENO, STDOUT_FILENO);  // ours has one object and nothing else
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  const int error = errno;
  (void)!write(tell, &error, sizeof error);
  _exit(error == ENOENT || error == ENOTDIR ? kNotFound : kCannotRun);
}

// Waits for the child and passes signals on. A terminal sends its own to both of us, so those stay here.
int Await(pid_t child, const sigset_t& awaited) {
  int status = 0;
  while (waitpid(child, &status, WNOHANG) != child) {
    siginfo_t info;
    const int signal = sigwaitinfo(&awaited, &info);
    if (signal > 0 && signal != SIGCHLD && info.si_code <= 0) kill(child, signal);
  }
  return status;
}

// As the program ended. What ends by a signal does so for whoever waits for us too, without a second core dump.
int PassOn(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  const int signal = WTERMSIG(status);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  ::signal(signal, SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  std::fflush(nullptr);
  sigprocmask(SIG_UNBLOCK, &one, nullptr);
  raise(signal);
  return 128 + signal;
}

// What was written.
struct RecordReport {
  struct Written {
    std::string file;
    std::uint64_t bytes = 0;
  };
  std::vector<Written> traces;
  int status = 0;  // of the program, as waitpid has it
};

// Of the files that are there after the run, those that are new or changed.
RecordReport ReportOf(const Files& before, const Files& after, int status) {
  RecordReport report;
  report.status = status;
  for (const auto& [file, state] : after) {
    const auto found = before.find(file);
    if (found != before.end() && found->second == state) continue;
    report.traces.push_back({file, static_cast<std::uint64_t>(std::get<3>(state))});
  }
  return report;
}

std::string ReportJson(const RecordOptions& options, const RecordReport& report) {
  using Json = nlohmann::ordered_json;
  Json traces = Json::array();
  for (const RecordReport::Written& one : report.traces) traces.push_back({{"file", one.file}, {"bytes", one.bytes}});
  const bool exited = WIFEXITED(report.status);
  return ObjectJson({{"output", options.output},
                     {"traces", traces},
                     {"exit_code", exited ? Json(WEXITSTATUS(report.status)) : Json(nullptr)},
                     {"signal", exited ? Json(nullptr) : Json(WTERMSIG(report.status))}});
}

// The exit code, after a message.
int ExplainNoTrace(const RecordOptions& options, int status) {
  const std::string program = Printable(options.command.front(), 200);
  std::fprintf(
      stderr,
      "tierlib-trace: %s was not written: %s made no tierlib runtime, is not linked with tierlib, or could not "
      "write there\n",
      Printable(options.output, 200).c_str(), program.c_str());
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? kFindings : PassOn(status);
}

}  // namespace

int RunRecord(const RecordOptions& options) {
  if (options.command.empty() || options.command.front().empty()) {
    std::fprintf(stderr, "tierlib-trace: record needs a command: tierlib-trace record -o run.tlt -- ./train\n");
    return kUsage;
  }
  if (options.output.empty() || options.output == "-") {
    std::fprintf(stderr, "tierlib-trace: record writes a file: name one with -o\n");
    return kUsage;
  }
  // The program may change its folder.
  const std::string path = AbsolutePattern(options.output);
  const std::string pattern = PatternOf(path);
  const Files before = FilesOf(pattern);
  setenv("TIERLIB_TRACE", path.c_str(), 1);

  sigset_t signals;
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGCHLD);
  for (const int signal : kPassedOn) sigaddset(&awaited, signal);
  signal(SIGCHLD, SIG_DFL);  // where it is ignored, nobody is told how a child ended
  sigprocmask(SIG_BLOCK, &awaited, &signals);
  int tell[2];
  if (pipe2(tell, O_CLOEXEC) != 0) {
    std::fprintf(stderr, "tierlib-trace: cannot run a program: %s\n", strerror(errno));
    return kCannotRun;
  }
  const pid_t child = fork();
  if (child < 0) {
    std::fprintf(stderr, "tierlib-trace: cannot run a program: %s\n", strerror(errno));
    return kCannotRun;
  }
  if (child == 0) Become(options, signals, tell[1]);
  close(tell[1]);
  int error = 0;
  const bool failed = read(tell[0], &error, sizeof error) == sizeof error;
  close(tell[0]);
  const int status = Await(child, awaited);
  if (failed) {
    std::fprintf(stderr, "tierlib-trace: cannot run %s: %s\n", Printable(options.command.front(), 200).c_str(),
                 error == ENOENT ? "there is no such program" : strerror(error));
    return WEXITSTATUS(status);
  }
  const RecordReport report = ReportOf(before, FilesOf(pattern), status);
  const bool told = !options.json || WriteOutput("-", ReportJson(options, report));
  if (report.traces.empty()) return ExplainNoTrace(options, status);
  if (!told && WIFEXITED(status) && WEXITSTATUS(status) == 0) return kNotWritten;
  return PassOn(status);
}

}  // namespace tierlib::trace_viewer
