// The MemorySource over memory that somebody else has: a block of another pool, for a pool within it.
#ifndef TIERLIB_SRC_ALLOCATOR_REGION_SOURCE_H_
#define TIERLIB_SRC_ALLOCATOR_REGION_SOURCE_H_

#include <cstddef>
#include <memory>

#include "allocator/device_backend.h"
#include "allocator/memory_source.h"

namespace tierlib {

struct Region {
  Tier tier = Tier::kDevice;
  void* base = nullptr;  // a multiple of the device's alignment
  std::size_t bytes = 0;
  int numa_node = -1;
};

// Grows over the region, and never gives any of it back: it stays its owner's. REQUIRES: region and device outlive it.
std::unique_ptr<MemorySource> MakeRegionSource(const Region& region, DeviceBackend& device);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_REGION_SOURCE_H_
