// tierlib-trace export --format rmm-csv|torch-snapshot FILE -o OUT: one tier's pool for the tools of others.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_EXPORT_COMMAND_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_EXPORT_COMMAND_H_

#include <string>

#include "pool_history.h"
#include "trace/event.h"

namespace tierlib::trace_viewer {

struct ExportOptions {
  std::string file;    // "-": standard input
  std::string output;  // "-": standard output
  std::string format;  // "rmm-csv" or "torch-snapshot"
  trace::TierCode tier = trace::TierCode::kDevice;
};

// Writes the output, and problems of the file to standard error. Returns an exit code.
int RunExport(const ExportOptions& options);

// The log that RMM's logging adaptor would have written, for RMM's replay benchmark: one thread, the default stream.
std::string RmmCsv(const PoolHistory& history);

// A snapshot as torch.cuda.memory._dump_snapshot() writes it, for pytorch.org/memory_viz and torch.cuda._memory_viz:
// one device with one segment, the blocks at the end of the trace, and the events before. Where PyTorch shows a stack,
// it has the block's tag.
std::string TorchSnapshot(const PoolHistory& history);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_EXPORT_COMMAND_H_
