#include "train_lm/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "io/temporary_folder.h"

namespace train_lm {
namespace {

// Replaces this process by the command, whose first word is a path; in the program's place, where it is a descriptor.
[[noreturn]] void Execute(std::vector<std::string> command, int program) {
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (program >= 0) {
    fexecve(program, argv.data(), environ);
  } else {
    execvp(argv[0], argv.data());
  }
  _exit(127);
}

// In the child: never returns.
[[noreturn]] void Become(const std::vector<std::string>& arguments, const ProcessLimits& limits, const std::string& out,
                         const std::string& err) {
  const int out_fd = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int err_fd = open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int null = open("/dev/null", O_RDONLY);
  // By descriptor: after dropping root the path may lead through a folder that is closed to others, such as /root.
  const int program = open(TRAIN_LM_PROGRAM, O_RDONLY | O_CLOEXEC);
  if (dup2(null, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0) _exit(126);
  unsetenv("TIERLIB_TRACE");
  if (limits.file_bytes > 0) {
    const rlimit limit{limits.file_bytes, limits.file_bytes};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(126);
  }
  if (limits.as_nobody && geteuid() == 0 && setuid(65534) != 0) _exit(126);
  std::vector<std::string> command = {"train_lm"};
  if (limits.processes > 0) {
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);  // Open MPI keeps what it allocates
    command = {TIERLIB_MPIRUN,
               "--oversubscribe",
               "--allow-run-as-root",
               "-n",
               std::to_string(limits.processes),
               TRAIN_LM_PROGRAM,
               "--mpi"};
  }
  command.insert(command.end(), arguments.begin(), arguments.end());
  Execute(std::move(command), limits.processes > 0 ? -1 : program);
}

}  // namespace

ProcessResult RunTrainLm(const std::vector<std::string>& arguments, const ProcessLimits& limits) {
  tierlib::TemporaryFolder folder;
  const std::string out = folder / "out";
  const std::string err = folder / "err";
  const pid_t child = fork();
  if (child == 0) Become(arguments, limits, out, err);
  int status = 0;
  if (!limits.terminate_at.empty()) {
    siginfo_t ended{};  // si_pid stays 0 while it runs
    while (waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0 &&
           access(limits.terminate_at.c_str(), F_OK) != 0) {
      usleep(500);
    }
    kill(child, SIGTERM);
  }
  waitpid(child, &status, 0);
  ProcessResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = tierlib::ReadWhole(out);
  result.err = tierlib::ReadWhole(err);
  return result;
}

nlohmann::json ReportOf(const std::string& folder, std::vector<std::string> arguments, const ProcessLimits& limits) {
  const std::string path = folder + "/report.json";
  arguments.insert(arguments.end(), {"--report", path});
  const ProcessResult result = RunTrainLm(arguments, limits);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  nlohmann::json report = nlohmann::json::parse(tierlib::ReadWhole(path), nullptr, false);
  EXPECT_TRUE(report.is_object()) << path;
  if (!report.is_object()) report = nlohmann::json::object();
  std::remove(path.c_str());
  return report;
}

std::string OneLineOf(const ProcessResult& result, int exit_code) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_THAT(result.err, ::testing::StartsWith("train_lm: "));
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  return result.err;
}

}  // namespace train_lm
