#include "allocator/cuda/copy_plan.h"

#include <cstdint>

namespace tierlib {
namespace {

std::uintptr_t Address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

// Extends a plain copy by a run that starts where it ends, at both ends.
bool Join(PitchedCopy& last, const CopyRun& run) {
  if (last.rows != 1) return false;
  if (Address(run.source) != Address(last.source) + last.row_bytes) return false;
  if (Address(run.destination) != Address(last.destination) + last.row_bytes) return false;
  last.row_bytes += run.bytes;
  last.source_pitch = last.destination_pitch = last.row_bytes;
  return true;
}

// Adds a run as the next row of `last`: the second row sets the pitches, the others must keep them.
bool AddRow(PitchedCopy& last, const CopyRun& run, std::size_t max_pitch) {
  if (run.bytes != last.row_bytes) return false;
  const std::uintptr_t source = Address(run.source);
  const std::uintptr_t destination = Address(run.destination);
  if (last.rows == 1) {
    // Unsigned differences: a run that lies before the first wraps to a distance beyond any pitch.
    const std::uintptr_t source_pitch = source - Address(last.source);
    const std::uintptr_t destination_pitch = destination - Address(last.destination);
    if (source_pitch < last.row_bytes || source_pitch > max_pitch) return false;
    if (destination_pitch < last.row_bytes || destination_pitch > max_pitch) return false;
    last.source_pitch = source_pitch;
    last.destination_pitch = destination_pitch;
  } else {
    if (source != Address(last.source) + last.rows * last.source_pitch) return false;
    if (destination != Address(last.destination) + last.rows * last.destination_pitch) return false;
  }
  ++last.rows;
  return true;
}

}  // namespace

absl::InlinedVector<PitchedCopy, 4> PlanCopy(absl::Span<const CopyRun> runs, std::size_t max_pitch) {
  absl::InlinedVector<PitchedCopy, 4> plan;
  for (const CopyRun& run : runs) {
    if (run.bytes == 0) continue;
    if (!plan.empty() && (Join(plan.back(), run) || AddRow(plan.back(), run, max_pitch))) continue;
    plan.push_back(PitchedCopy{run.destination, run.source, run.bytes, run.bytes, run.bytes, 1});
  }
  return plan;
}

}  // namespace tierlib
