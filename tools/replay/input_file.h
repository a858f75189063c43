// ReadInput: the whole of a file, or of standard input.
#ifndef TIERLIB_TOOLS_REPLAY_INPUT_FILE_H_
#define TIERLIB_TOOLS_REPLAY_INPUT_FILE_H_

#include <string>

#include "tierlib/status.h"

namespace tierlib::trace_replay {

// "-" is standard input. The message does not name the file.
StatusOr<std::string> ReadInput(const std::string& path);

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_INPUT_FILE_H_
