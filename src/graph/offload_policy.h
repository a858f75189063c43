// The offload decision: a pure function of what is known about a packed value.
#ifndef TIERLIB_SRC_GRAPH_OFFLOAD_POLICY_H_
#define TIERLIB_SRC_GRAPH_OFFLOAD_POLICY_H_

#include <cstdint>
#include <optional>

#include "tierlib/options.h"
#include "tierlib/storage_id.h"
#include "trace/event.h"

namespace tierlib {

// A snapshot of what the decision depends on.
struct PackQuestion {
  OffloadMode mode = OffloadMode::kMarshal;
  OffloadPolicy policy = OffloadPolicy::kAll;
  Holds holds = Holds::kTransient;
  std::uint64_t logical_bytes = 0;  // of the value
  std::uint64_t minimum_bytes = 0;  // options.minimum_bytes
  std::uint64_t missing_bytes = 0;  // of the value, not on the host and not replayable yet
  bool lineage_found = false;       // the missing bytes can be made again within the hop limit
  bool memory_short = false;        // device memory is being asked for right now
  // Whether the value is among those that lower the peak of the step before (graph/peak_plan.h). Nothing: not known.
  std::optional<bool> planned = std::nullopt;
  bool recompute_known = false;    // the program can compute the missing bytes again, and
  bool recompute_always = false;   // a checkpointed region of it owns them
  std::uint64_t recompute_ns = 0;  // what that takes; 0: not known
  std::uint64_t copies_ns = 0;     // what a copy out and in of the missing bytes takes; 0: not known
  bool host_full = false;          // it has no room for the missing bytes
  bool scattered = false;          // the value's bytes are in more ranges than a copy is made of (ByteRanges)
};

struct Decision {
  trace::DecisionAction action = trace::DecisionAction::kKeep;
  trace::DecisionReason reason = trace::DecisionReason::kMode;
};

// In the order of DESIGN's questions: may it move at all, would moving free anything, and lower the peak, is it there
// already, can it be made again; only then copy. Memory that is short now counts more than the plan.
Decision Decide(const PackQuestion& question);

// What a copy of `bytes` out of the device and one back take; 0: not known.
std::uint64_t CopiesNs(const DeviceOptions& device, std::uint64_t bytes);

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_OFFLOAD_POLICY_H_
