#include "graph/offload_policy.h"

namespace tierlib {

Decision Decide(const PackQuestion& q) {
  using Action = trace::DecisionAction;
  using Reason = trace::DecisionReason;
  if (q.mode == OffloadMode::kOff) return {Action::kKeep, Reason::kMode};
  if (q.mode == OffloadMode::kNaive) return {Action::kMove, Reason::kMode};
  if (q.holds == Holds::kPersistent) return {Action::kFreesNothing, Reason::kPersistent};
  if (q.policy == OffloadPolicy::kFit && !q.memory_short) return {Action::kKeep, Reason::kPolicy};
  if (q.missing_bytes == 0) return {Action::kReference, Reason::kSameStorage};
  if (q.logical_bytes < q.minimum_bytes) return {Action::kKeep, Reason::kTooSmall};
  if (q.lineage_found) return {Action::kReplay, Reason::kLineage};
  return {Action::kMove, q.memory_short ? Reason::kMemoryShort : Reason::kPolicy};
}

}  // namespace tierlib
