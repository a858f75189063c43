#include "graph/offload_policy.h"

#include <algorithm>

namespace tierlib {

Decision Decide(const PackQuestion& q) {
  using Action = trace::DecisionAction;
  using Reason = trace::DecisionReason;
  if (q.mode == OffloadMode::kOff) return {Action::kKeep, Reason::kMode};
  if (q.mode == OffloadMode::kNaive) return {Action::kMove, Reason::kMode};
  if (q.holds == Holds::kPersistent) return {Action::kFreesNothing, Reason::kPersistent};
  const bool missing = q.missing_bytes > 0;
  if (q.recompute_always) {
    return missing ? Decision{Action::kRecompute, Reason::kClaimed}
                   : Decision{Action::kReference, Reason::kSameStorage};
  }
  const bool in_vain = !q.memory_short && q.planned == false;
  if (q.policy == OffloadPolicy::kFit && !q.memory_short && q.planned != true) {
    return {Action::kKeep, in_vain ? Reason::kPeak : Reason::kPolicy};
  }
  if (!missing) return {Action::kReference, Reason::kSameStorage};
  if (q.logical_bytes < q.minimum_bytes) return {Action::kKeep, Reason::kTooSmall};
  if (q.scattered) return {Action::kKeep, Reason::kScattered};
  if (in_vain) return {Action::kKeep, Reason::kPeak};
  if (q.lineage_found) return {Action::kReplay, Reason::kLineage};
  if (q.recompute_known && q.recompute_ns > 0 && q.recompute_ns < q.copies_ns) {
    return {Action::kRecompute, Reason::kCheaper};
  }
  if (q.host_full) return {q.recompute_known ? Action::kRecompute : Action::kKeep, Reason::kHostFull};
  if (q.memory_short) return {Action::kMove, Reason::kMemoryShort};
  return {Action::kMove, q.planned == true ? Reason::kPeak : Reason::kPolicy};
}

std::uint64_t CopiesNs(const DeviceOptions& device, std::uint64_t bytes) {
  double out = device.copy_bytes_per_s;
  double in = device.copy_bytes_per_s;
  double latency_ns = 0;
  if (out == 0 && device.kind == DeviceKind::kEmulated) {
    out = device.emulated.copy_out_bytes_per_s;
    in = device.emulated.copy_in_bytes_per_s;
    latency_ns = 2 * static_cast<double>(device.emulated.copy_latency_ns);
  }
  if (out <= 0 || in <= 0) return 0;
  const double ns = latency_ns + static_cast<double>(bytes) * (1e9 / out + 1e9 / in);
  constexpr double kMost = 9e18;  // centuries
  return static_cast<std::uint64_t>(std::min(ns, kMost));
}

}  // namespace tierlib
