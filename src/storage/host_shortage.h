// Why a pool of host memory had no room for a block.
#ifndef TIERLIB_SRC_STORAGE_HOST_SHORTAGE_H_
#define TIERLIB_SRC_STORAGE_HOST_SHORTAGE_H_

#include <cstddef>
#include <cstdint>

#include "tierlib/shortage.h"
#include "tierlib/tier.h"
#include "trace/event.h"

namespace tierlib {

struct DeviceTier;

struct HostRequest {
  Tier tier = Tier::kPinned;
  std::size_t bytes = 0;
  trace::Tag tag = trace::Tag::kNone;
  std::size_t alignment = 1;
};

// The tier as it is now. Looks at every block of the device's pool, and waits for nothing. Throws std::bad_alloc.
// REQUIRES: the device has such a pool. Thread-safety: as BlockPool.
Shortage ExplainHostShortage(const DeviceTier& device, const HostRequest& request);

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_HOST_SHORTAGE_H_
