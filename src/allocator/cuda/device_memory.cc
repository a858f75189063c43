#include "allocator/cuda/device_memory.h"

#include "tierlib/bytes.h"

namespace tierlib {

StatusOr<DeviceMemory> DeviceMemory::Create(const DeviceOptions& options, const CudaDriver& driver) {
  DeviceMemory memory;
  if (options.backing == DeviceBacking::kVirtualMemory) {
    TIERLIB_ASSIGN_OR_RETURN(memory.range, DeviceRange::Create(driver, options.device, options.capacity));
    return memory;
  }
  if (options.backing == DeviceBacking::kManaged) {
    TIERLIB_ASSIGN_OR_RETURN(memory.managed, ManagedRange::Create(options.device, options.capacity));
    return memory;
  }
  memory.pieces = std::make_unique<MallocPieces>(options.capacity);
  if (memory.pieces->capacity() == 0) {
    return InvalidArgumentError("device capacity " + FormatBytes(options.capacity) + " asked, the smallest is " +
                                FormatBytes(MallocPieces::kGranularity));
  }
  if (options.backing == DeviceBacking::kMallocAsync) {
    TIERLIB_ASSIGN_OR_RETURN(memory.pool, CudaMemoryPool::Create(options.device));
  }
  return memory;
}

StatusOr<void*> DeviceMemory::Map(std::size_t bytes) {
  if (range != nullptr) return range->Map(bytes);
  return managed != nullptr ? managed->Map(bytes) : pieces->Map(bytes);
}

Status DeviceMemory::MapTo(void* base, std::size_t bytes) {
  return range != nullptr ? range->MapTo(base, bytes) : managed->MapTo(base, bytes);
}

Status DeviceMemory::Unmap(void* base, std::size_t bytes) {
  if (range != nullptr) return range->Unmap(base, bytes);
  return managed != nullptr ? managed->Unmap(base, bytes) : pieces->Unmap(base, bytes);
}

std::uint64_t DeviceMemory::capacity() const {
  if (range != nullptr) return range->capacity();
  return managed != nullptr ? managed->capacity() : pieces->capacity();
}

std::size_t DeviceMemory::granularity() const {
  if (range != nullptr) return range->granularity();
  return managed != nullptr ? ManagedRange::kGranularity : MallocPieces::kGranularity;
}

}  // namespace tierlib
