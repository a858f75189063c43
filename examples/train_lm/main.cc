// train_lm: trains a character language model with clustered weights on a device too small for it. A program that uses
// tierlib through its public headers; options.h lists what it takes, trainer.h what it does.
//
// Exit codes: 0 done; 1 something failed; 2 wrong usage; 128 + the signal that stopped it. Every failure is one line.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "train_lm/job_run.h"
#include "train_lm/learner_processes.h"
#include "train_lm/options.h"

namespace {

using tierlib::Status;
using tierlib::StatusCode;
using tierlib::StatusOr;

bool HasOption(const std::vector<std::string>& arguments, const std::string& option) {
  for (const std::string& argument : arguments) {
    if (argument == option || argument.starts_with(option + "=")) return true;
  }
  return false;
}

// Names out of files and paths may hold anything; a message stays one line.
int Fail(std::string_view message, int code) {
  std::string line;
  for (const char c : message) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  std::fprintf(stderr, "train_lm: %s\n", line.c_str());
  return code;
}

int FailWith(const Status& status, int code) {
  return Fail(status.message().empty() ? status.ToString() : std::string(status.message()), code);
}

void InstallSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) { train_lm::stop_signal = signal; };
  action.sa_flags = SA_RESETHAND;  // a second one ends the program at once
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A full disk, a file size limit and a closed pipe come as errors of write.
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

// Reads the arguments. Cancelled where they ask for help, which is printed then.
StatusOr<train_lm::Options> ReadOptions(const std::vector<std::string>& arguments, bool prints) {
  StatusOr<train_lm::Options> options = train_lm::ParseOptions(arguments);
  if (options.ok()) {
    // The option has it now. The runtimes of the memory plan, which write no trace, must not find it.
    unsetenv("TIERLIB_TRACE");
    InstallSignals();
  } else if (options.status().code() == StatusCode::kCancelled && prints) {
    std::fputs(std::string(options.status().message()).c_str(), stdout);
  }
  return options;
}

int ExitCodeOf(const Status& status) {
  return status.ok() ? 0 : status.code() == StatusCode::kCancelled ? 128 + train_lm::stop_signal : 1;
}

int ExitCodeOfReading(const Status& status) {
  return status.code() == StatusCode::kCancelled ? 0 : status.code() == StatusCode::kInvalidArgument ? 2 : 1;
}

int RunAlone(const std::vector<std::string>& arguments) {
  const StatusOr<train_lm::Options> options = ReadOptions(arguments, /*prints=*/true);
  if (options.status().code() == StatusCode::kCancelled) return 0;
  if (!options.ok()) return FailWith(options.status(), ExitCodeOfReading(options.status()));
  const Status status = train_lm::RunJob(*options);
  return status.ok() ? 0 : FailWith(status, ExitCodeOf(status));
}

// --mpi: every process comes here, and learner 0's tells how it ended.
int RunAsProcess(std::vector<std::string> arguments) {
  const auto processes = train_lm::LearnerProcesses::Start();
  if (!processes.ok()) return FailWith(processes.status(), 1);
  const int count = (*processes)->count();
  const bool leads = (*processes)->rank() == 0;
  if (!HasOption(arguments, "--learners")) arguments.push_back("--learners=" + std::to_string(count));
  bool was_read = false;
  const Status status = (*processes)->Run([&](train_lm::Learner learner) -> Status {
    TIERLIB_ASSIGN_OR_RETURN(const train_lm::Options options, ReadOptions(arguments, leads));
    if (options.learners != count) {
      return tierlib::InvalidArgumentError("--learners " + std::to_string(options.learners) + ", but mpirun started " +
                                           std::to_string(count) + ": leave the option out");
    }
    was_read = true;
    return train_lm::RunJobAs(options, learner);
  });
  const int code = was_read ? ExitCodeOf(status) : ExitCodeOfReading(status);
  return leads && code != 0 ? FailWith(status, code) : code;
}

int Main(const std::vector<std::string>& arguments) {
  return HasOption(arguments, "--mpi") ? RunAsProcess(arguments) : RunAlone(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::bad_alloc&) {
    return Fail("the machine has not enough memory for this model and text", 1);
  }
}
