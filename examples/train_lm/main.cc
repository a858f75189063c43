// train_lm: trains a character language model with clustered weights on a device too small for it. A program that uses
// tierlib through its public headers; options.h lists what it takes, trainer.h what it does.
//
// Exit codes: 0 done; 1 something failed; 2 wrong usage; 128 + the signal that stopped it. Every failure is one line.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "train_lm/job_run.h"
#include "train_lm/options.h"

namespace {

using tierlib::Status;
using tierlib::StatusCode;

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

int Main(const std::vector<std::string>& arguments) {
  const tierlib::StatusOr<train_lm::Options> options = train_lm::ParseOptions(arguments);
  if (options.status().code() == StatusCode::kCancelled) {
    std::fputs(std::string(options.status().message()).c_str(), stdout);
    return 0;
  }
  if (!options.ok()) return FailWith(options.status(), options.status().code() == StatusCode::kInvalidArgument ? 2 : 1);
  // The option has it now. The runtimes of the memory plan, which write no trace, must not find it.
  unsetenv("TIERLIB_TRACE");
  InstallSignals();
  const Status status = train_lm::RunJob(*options);
  if (status.ok()) return 0;
  return FailWith(status, status.code() == StatusCode::kCancelled ? 128 + train_lm::stop_signal : 1);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::bad_alloc&) {
    return Fail("the machine has not enough memory for this model and text", 1);
  }
}
