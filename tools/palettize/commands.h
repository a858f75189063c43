// What tierlib-palettize does: one function each way.
#ifndef TIERLIB_TOOLS_PALETTIZE_COMMANDS_H_
#define TIERLIB_TOOLS_PALETTIZE_COMMANDS_H_

#include "palettize_options.h"
#include "tierlib/status.h"

namespace tierlib::palettize {

// Reads a model, writes its palettized form, and prints a report. Returns an exit code; where it is not 0 the output's
// path has what it had before, and standard error has one line.
int RunPack(const PalettizeOptions& options);

// Reads a palettized model and writes a dense one, each weight in the type that it had.
int RunUnpack(const PalettizeOptions& options);

// Prints "tierlib-palettize: WHAT" and returns `exit_code`.
int Fail(int exit_code, const std::string& what);

// Fail with why the output was not written: by a signal (stop.h), or because it could not be.
int FailWriting(const Status& status);

}  // namespace tierlib::palettize

#endif  // TIERLIB_TOOLS_PALETTIZE_COMMANDS_H_
