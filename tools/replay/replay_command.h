// tierlib-replay FILE: a recorded allocation trace against a pool of the given configuration.
#ifndef TIERLIB_TOOLS_REPLAY_REPLAY_COMMAND_H_
#define TIERLIB_TOOLS_REPLAY_REPLAY_COMMAND_H_

#include <string>

#include "allocation_trace.h"
#include "pool_replay.h"
#include "replay_program.h"
#include "trace_format.h"

namespace tierlib::trace_replay {

struct ReplayOptions {
  std::string file;  // "-": standard input
  std::string format = "auto";
  ReadOptions read;
  PoolConfiguration pool;
  bool json = false;
};

// Prints to standard output, and problems of the file to standard error. Returns an exit code.
int RunReplay(const ReplayOptions& options);

struct ReplayReport {
  std::string file;
  const TraceFormat* format = nullptr;
  PoolConfiguration pool;
  const AllocationTrace* trace = nullptr;
  const ReplayProgram* program = nullptr;
  ReplayResult result;

  // 1 - largest hole / free at the worst moment; 0 where nothing was free.
  double Fragmentation() const;
  // At peak live; 0 where nothing was live.
  double ReservedOverLive() const;
};

// The report for people, at most about 120 columns.
std::string ReportText(const ReplayReport& report);
// The same figures for programs. "schema_version" rises when a field changes its meaning or goes away.
std::string ReportJson(const ReplayReport& report);

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_REPLAY_COMMAND_H_
