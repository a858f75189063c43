// Hazards: finds work that touches the bytes of a copy in progress without having waited for it.
//
// Thread-safety: none; the deterministic schedule calls it under its lock.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_HAZARDS_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_HAZARDS_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "allocator/device_backend.h"
#include "allocator/emulated/arena.h"
#include "allocator/emulated/work.h"
#include "tierlib/status.h"

namespace tierlib::emulated {

class Hazards {
 public:
  explicit Hazards(const Arena& arena) : arena_(arena) {}

  // Between Begin and End a copy reads its sources and writes its destinations. REQUIRES: `copy` outlives End.
  void Begin(const CopyWork& copy) { in_progress_.push_back(&copy); }
  void End(const CopyWork& copy);

  // FailedPrecondition ("kernel add reads device bytes [256, 512) of a copy in progress") where one of the accesses
  // reads or writes what a copy in progress writes, or writes what it reads. `what` names the work: "kernel add".
  Status Check(std::string_view what, absl::Span<const Access> accesses) const;
  // The same for a copy that is about to begin, and for a fill.
  Status Check(const CopyWork& copy) const;
  Status Check(const FillWork& fill) const;

 private:
  Status CheckOne(std::string_view what, const Access& access) const;

  const Arena& arena_;
  std::vector<const CopyWork*> in_progress_;
};

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_HAZARDS_H_
