// Where commands write: standard output, or a file named with -o.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_OUTPUT_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_OUTPUT_H_

#include <cstdio>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"

namespace tierlib::trace_viewer {

// Whether two paths name one file.
bool SameFile(const std::string& a, const std::string& b);

// Whether that is where standard output goes: "-", or a name of the same file.
bool IsStandardOutput(const std::string& path);

// Whether there is room for --json: standard output has not the output itself. Otherwise said on standard error.
bool HasRoomForJson(const std::string& output);

// Whether a program writes a trace there: it holds a lock on the file for as long.
bool IsBeingWritten(const std::string& file);

// Writes all of it to the file, or for "-" to standard output. A file gets its name once it is whole, is readable by
// its owner alone, and never takes the place of a trace that is being written. Where that fails it was said on standard
// error.
bool WriteOutput(const std::string& path, std::string_view bytes);
// The same of what `write` puts into the file, piece by piece: it need not look for errors of the file. Where it gives
// false after a message of its own, there is no output.
bool WriteOutputPieces(const std::string& path, absl::FunctionRef<bool(std::FILE*)> write);

// Whether what goes to the descriptor may have colours: it is a terminal, and NO_COLOR is not set (no-color.org).
bool MayColour(int descriptor);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_OUTPUT_H_
