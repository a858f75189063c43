// ReplayProgram: a trace made ready to run: blocks by number, streams by number, and nothing left that can go wrong but
// an allocation that does not fit.
#ifndef TIERLIB_TOOLS_REPLAY_REPLAY_PROGRAM_H_
#define TIERLIB_TOOLS_REPLAY_REPLAY_PROGRAM_H_

#include <cstdint>
#include <vector>

#include "allocation_trace.h"

namespace tierlib::trace_replay {

// Invariant: each block is allocated once, by the step whose turn it is among the allocations (0, 1, 2 ...), and freed
// at most once, later. Times never fall.
struct ReplayProgram {
  struct Step {
    AllocationEvent::Kind kind = AllocationEvent::Kind::kAllocate;
    trace::Tag tag = trace::Tag::kNone;
    std::uint32_t stream = 0;  // below `streams`; of allocations and frees
    std::uint64_t block = 0;   // its number; of allocations and frees
    std::uint64_t bytes = 0;   // as asked; of allocations and failures
    std::int64_t time_ns = 0;  // since the first step; 0 where the trace does not tell
  };
  struct FurtherStream {
    std::uint64_t step = 0;
    std::uint32_t stream = 0;
  };
  std::vector<Step> steps;
  std::vector<FurtherStream> further;  // by step: what a free comes after beside its own stream
  std::uint64_t allocations = 0;       // steps of each kind
  std::uint64_t frees = 0;
  std::uint64_t recorded_failures = 0;
  std::uint64_t step_ends = 0;
  std::uint32_t streams = 0;
  bool has_times = false;

  // What the trace does not say, and what was made of it.
  std::uint64_t unknown_frees = 0;  // of blocks that were allocated before the trace began: left out
  std::uint64_t missing_frees = 0;  // a pointer was handed out again: its block is freed first (counted in `frees`)
};

// Streams beyond the first 1,024 share their numbers: they wait for each other less than they would.
inline constexpr std::uint32_t kStreamsMost = 1024;

ReplayProgram MakeProgram(const AllocationTrace& trace);

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_REPLAY_PROGRAM_H_
