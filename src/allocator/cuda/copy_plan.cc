#include "allocator/cuda/copy_plan.h"

#include <algorithm>
#include <cstddef>
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

// One end of the copies: the stretch from where the last copy begins to the next border above that. What lies inside
// may be added to the last copy; runs of a slice mostly do, so that borders are looked up once.
struct Stretch {
  std::uintptr_t begin = 1;
  std::uintptr_t end = 0;

  bool Holds(std::uintptr_t from, std::size_t bytes) const {
    return begin <= from && from < end && bytes <= end - from;
  }
  void StartAt(std::uintptr_t from, const RegisteredRanges& registered) {
    begin = from;
    end = registered.NextBorder(from);
  }
};

}  // namespace

absl::InlinedVector<PitchedCopy, 4> PlanCopy(absl::Span<const CopyRun> runs, std::size_t max_pitch,
                                             const RegisteredRanges& registered) {
  absl::InlinedVector<PitchedCopy, 4> plan;
  Stretch source;
  Stretch destination;
  for (CopyRun run : runs) {
    while (run.bytes > 0) {
      CopyRun piece = run;
      const bool inside =
          source.Holds(Address(run.source), run.bytes) && destination.Holds(Address(run.destination), run.bytes);
      if (!inside) {
        source.StartAt(Address(run.source), registered);
        destination.StartAt(Address(run.destination), registered);
        piece.bytes = std::min({run.bytes, source.end - source.begin, destination.end - destination.begin});
      }
      if (!inside || !(Join(plan.back(), piece) || AddRow(plan.back(), piece, max_pitch))) {
        plan.push_back(PitchedCopy{piece.destination, piece.source, piece.bytes, piece.bytes, piece.bytes, 1});
      }
      run.source = static_cast<const std::byte*>(run.source) + piece.bytes;
      run.destination = static_cast<std::byte*>(run.destination) + piece.bytes;
      run.bytes -= piece.bytes;
    }
  }
  return plan;
}

}  // namespace tierlib
