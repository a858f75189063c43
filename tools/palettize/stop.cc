#include "stop.h"

#include <string.h>

#include <csignal>

#include "trace_viewer/numbers.h"

namespace tierlib::palettize {
namespace {

volatile std::sig_atomic_t stop_signal = 0;

}  // namespace

void InstallSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) { stop_signal = signal; };
  action.sa_flags = SA_RESETHAND | SA_RESTART;  // no call is to fail for it
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A terminal that is closed; unless it was ignored (nohup).
  struct sigaction before = {};
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
}

Status CheckNotStopped(const char* where, const std::string& tensor) {
  const int signal = stop_signal;
  if (signal == 0) return OkStatus();
  std::string message = "stopped by SIG";
  message.append(sigabbrev_np(signal))
      .append(" ")
      .append(where)
      .append(trace_viewer::Printable(tensor, 200))
      .append("; nothing was written");
  return Status(StatusCode::kCancelled, message);
}

int StoppedExitCode() { return 128 + stop_signal; }

}  // namespace tierlib::palettize
