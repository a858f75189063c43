// tierlib-trace export --format perfetto|chrome|rmm-csv|torch-snapshot FILE -o OUT: a trace for the viewers of others,
// or one tier's pool for their tools.
#ifndef TIERLIB_TOOLS_TRACE_VIEWER_EXPORT_COMMAND_H_
#define TIERLIB_TOOLS_TRACE_VIEWER_EXPORT_COMMAND_H_

#include <optional>
#include <string>
#include <vector>

#include "pool_history.h"
#include "timeline.h"
#include "trace/event.h"

namespace tierlib::trace_viewer {

struct ExportOptions {
  std::string file;                     // "-": standard input
  std::string output;                   // "-": standard output
  std::string format;                   // "perfetto", "chrome", "rmm-csv" or "torch-snapshot"
  std::optional<trace::TierCode> tier;  // of the last two alone; none: the device's
  bool json = false;
  std::optional<int> rank;  // of a merged file; the first two have all where none is named
};

// Writes the output, and problems of the file to standard error; with `json` what it wrote to standard output. Returns
// an exit code.
int RunExport(const ExportOptions& options);

// The log that RMM's logging adaptor would have written, for RMM's replay benchmark: one thread, the default stream.
std::string RmmCsv(const PoolHistory& history);

// A snapshot as torch.cuda.memory._dump_snapshot() writes it, for pytorch.org/memory_viz and torch.cuda._memory_viz:
// one device with one segment, the blocks at the end of the trace, and the events before. Where PyTorch shows a stack,
// it has the block's tag.
std::string TorchSnapshot(const PoolHistory& history);

// A trace of Perfetto's (protobuf), for ui.perfetto.dev and trace_processor: each rank is a process, copies point to
// the stalls that they ended, live and reserved bytes of tiers are counters.
std::string PerfettoTrace(const std::vector<Timeline>& timelines);

// The same as JSON, for chrome://tracing and whatever else reads that format.
std::string ChromeTrace(const std::vector<Timeline>& timelines);

}  // namespace tierlib::trace_viewer

#endif  // TIERLIB_TOOLS_TRACE_VIEWER_EXPORT_COMMAND_H_
