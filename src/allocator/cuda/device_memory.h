// DeviceMemory: the memory of a CUDA device behind device_backend.h's Reserve, by the backing that was asked for.
//
// Thread-safety: Map and Unmap lock. REQUIRES everywhere, the destructor included: the device is the thread's current
// one.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_DEVICE_MEMORY_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_DEVICE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "allocator/cuda/cuda_driver.h"
#include "allocator/cuda/device_range.h"
#include "allocator/cuda/malloc_pieces.h"
#include "allocator/cuda/managed_range.h"
#include "allocator/cuda/memory_pool.h"
#include "tierlib/options.h"
#include "tierlib/status.h"

namespace tierlib {

// One of the first three is there, and with kMallocAsync the fourth beside `pieces`.
struct DeviceMemory {
  std::unique_ptr<DeviceRange> range;
  std::unique_ptr<MallocPieces> pieces;
  std::unique_ptr<ManagedRange> managed;
  std::unique_ptr<CudaMemoryPool> pool;

  // InvalidArgument for a capacity below the granularity; Unimplemented where the device has not what the backing
  // needs.
  static StatusOr<DeviceMemory> Create(const DeviceOptions& options, const CudaDriver& driver);

  StatusOr<void*> Map(std::size_t bytes);
  // REQUIRES: maps_to().
  Status MapTo(void* base, std::size_t bytes);
  bool maps_to() const { return range != nullptr || managed != nullptr; }
  Status Unmap(void* base, std::size_t bytes);
  std::uint64_t capacity() const;
  std::size_t granularity() const;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_DEVICE_MEMORY_H_
