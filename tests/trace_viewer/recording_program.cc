// A program for the tests of `tierlib-trace record` and `top`: says which signals it got, and writes a trace where
// TIERLIB_TRACE names a file.
//
//   recording_program trace CODE     writes a trace of one step, exits with CODE
//   recording_program hold           begins a trace, prints "ready", writes a step every 10 ms until standard input
//   ends recording_program wait           prints "ready" and waits for SIGTERM, which it answers with exit code 7
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "trace/recorder.h"

namespace {

using tierlib::trace::Event;
using tierlib::trace::Recorder;
using tierlib::trace::Tag;

std::unique_ptr<Recorder> OpenTrace() {
  const char* const path = std::getenv("TIERLIB_TRACE");
  if (path == nullptr) return nullptr;
  tierlib::trace::RecorderOptions options;
  options.path = path;
  options.rank = 3;
  tierlib::StatusOr<std::unique_ptr<Recorder>> recorder = Recorder::Open(options);
  return recorder.ok() ? *std::move(recorder) : nullptr;
}

void WriteStep(Recorder* recorder, std::uint64_t number) {
  if (recorder == nullptr) return;
  recorder->Write(Event::kStepBegin, Tag::kNone, 0, 0, number, 0);
  recorder->Write(Event::kPoolAllocate, Tag::kActivation, 0, 0, 0, 4096);
  recorder->Write(Event::kPoolFree, Tag::kActivation, 0, 0, 0, 4096);
  recorder->Write(Event::kStepEnd, Tag::kNone, 0, 0, number, 0);
}

void Ready() {
  std::puts("ready");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "trace" && argc > 2) {
    WriteStep(OpenTrace().get(), 1);
    return std::atoi(argv[2]);
  }
  if (what == "hold") {
    const std::unique_ptr<Recorder> recorder = OpenTrace();
    WriteStep(recorder.get(), 1);
    Ready();
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    for (std::uint64_t step = 2; poll(&input, 1, 10) == 0; ++step) WriteStep(recorder.get(), step);
    return 0;
  }
  if (what == "wait") {
    signal(SIGTERM, [](int) { _exit(7); });
    Ready();
    for (;;) pause();
  }
  return 64;
}
