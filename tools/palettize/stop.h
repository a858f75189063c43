// Signals that end the program early: the work in hand is given up where nothing is half done, so that no temporary
// stays.
#ifndef TIERLIB_TOOLS_PALETTIZE_STOP_H_
#define TIERLIB_TOOLS_PALETTIZE_STOP_H_

#include <string>

#include "tierlib/status.h"

namespace tierlib::palettize {

// From here on SIGINT, SIGTERM and SIGHUP (unless it was ignored, as under nohup) are noted, a second one of them ends
// the program at once, and a file size limit and a closed pipe come as errors of write. Once, from the main thread,
// before others are there.
void InstallSignals();

// Cancelled where one of them came; the message says so and `where`, which ends with the name of `tensor`. For
// the places between tensors and between pieces of one. Thread-safety: from any thread.
Status CheckNotStopped(const char* where, const std::string& tensor = "");

// 128 + the signal that came, as a shell has it. REQUIRES: one did.
int StoppedExitCode();

}  // namespace tierlib::palettize

#endif  // TIERLIB_TOOLS_PALETTIZE_STOP_H_
