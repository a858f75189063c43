// TraceFormat: a kind of file that records allocations. One reader each, in a file of its own.
//
// To add one: a file with its two functions, and a row in trace_format.cc.
//
// What all readers keep: any bytes may come, and nothing in them is trusted; time and memory are in proportion to the
// file. A file that ends too early is used up to there, with a problem, where the format allows that. Other mistakes
// are InvalidArgument or DataLoss, with a message that names the line or byte and what would be right.
#ifndef TIERLIB_TOOLS_REPLAY_TRACE_FORMAT_H_
#define TIERLIB_TOOLS_REPLAY_TRACE_FORMAT_H_

#include <optional>
#include <string>
#include <string_view>

#include "allocation_trace.h"
#include "tierlib/status.h"
#include "tierlib/tier.h"

namespace tierlib::trace_replay {

// Which events of a file that has those of several pools.
struct ReadOptions {
  Tier tier = Tier::kDevice;  // of tierlib's traces
  std::optional<int> device;  // of PyTorch's snapshots; none: the only one that has events
};

struct TraceFormat {
  const char* name;                      // on the command line
  const char* description;               // for people
  bool (*recognises)(std::string_view);  // by the beginning of the file
  StatusOr<AllocationTrace> (*read)(std::string_view bytes, const ReadOptions& options);
};

// The format with this name, or with "auto" the one that recognises the bytes. InvalidArgument where there is none.
StatusOr<const TraceFormat*> FindFormat(std::string_view name, std::string_view bytes);
// "auto", and the names of all formats.
std::vector<std::string> FormatNames();

bool IsTierlibTrace(std::string_view bytes);
StatusOr<AllocationTrace> ReadTierlibTrace(std::string_view bytes, const ReadOptions& options);

// RMM's log: a header, then lines of Thread,Time,Action,Pointer,Size,Stream.
bool IsRmmLog(std::string_view bytes);
StatusOr<AllocationTrace> ReadRmmLog(std::string_view bytes, const ReadOptions& options);

// STAlloc's log: lines "1 pointer size stream" (allocate) and "0 pointer size stream" (free).
bool IsStallocLog(std::string_view bytes);
StatusOr<AllocationTrace> ReadStallocLog(std::string_view bytes, const ReadOptions& options);

// What torch.cuda.memory._dump_snapshot() writes.
bool IsTorchSnapshot(std::string_view bytes);
StatusOr<AllocationTrace> ReadTorchSnapshot(std::string_view bytes, const ReadOptions& options);

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_TRACE_FORMAT_H_
