#include "allocator/cuda/device_range.h"

#include <new>
#include <string>

#include "allocator/cuda/cuda_error.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

CUmemAllocationProp MemoryOf(int ordinal) {
  CUmemAllocationProp memory = {};
  memory.type = CU_MEM_ALLOCATION_TYPE_PINNED;  // the only type there is: it does not move
  memory.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  memory.location.id = ordinal;
  return memory;
}

Status RequireVirtualMemory(const CudaDriver& driver, int ordinal) {
  CUdevice device = 0;
  TIERLIB_RETURN_IF_ERROR(CudaDriverStatus(driver.DeviceGet(&device, ordinal), "cuDeviceGet"));
  int supported = 0;
  TIERLIB_RETURN_IF_ERROR(CudaDriverStatus(
      driver.DeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, device),
      "cuDeviceGetAttribute"));
  if (supported != 0) return OkStatus();
  return UnimplementedError("CUDA device " + std::to_string(ordinal) + " has no virtual memory management");
}

}  // namespace

StatusOr<std::unique_ptr<DeviceRange>> DeviceRange::Create(const CudaDriver& driver, int ordinal,
                                                           std::uint64_t capacity) {
  TIERLIB_RETURN_IF_ERROR(RequireVirtualMemory(driver, ordinal));
  std::unique_ptr<DeviceRange> range(new DeviceRange(driver, ordinal));
  const CUmemAllocationProp memory = MemoryOf(ordinal);
  TIERLIB_RETURN_IF_ERROR(CudaDriverStatus(
      driver.MemGetAllocationGranularity(&range->granularity_, &memory, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED),
      "cuMemGetAllocationGranularity"));
  range->capacity_ = capacity / range->granularity_ * range->granularity_;
  if (range->capacity_ == 0) {
    return InvalidArgumentError("device capacity " + FormatBytes(capacity) + " asked, the smallest is " +
                                FormatBytes(range->granularity_));
  }
  TIERLIB_RETURN_IF_ERROR(CudaDriverStatus(
      driver.MemAddressReserve(&range->base_, range->capacity_, range->granularity_, 0, 0), "cuMemAddressReserve"));
  {
    MutexLock lock(range->mutex_);
    range->pieces_ = PieceMap(range->capacity_);
  }
  return range;
}

DeviceRange::~DeviceRange() {
  if (base_ == 0) return;
  // Nothing can be done about an error here, and after a lost device everything is one.
  MutexLock lock(mutex_);
  for (const auto& [offset, piece] : pieces_.pieces()) {
    (void)driver_.MemUnmap(base_ + offset, piece.bytes);
    (void)driver_.MemRelease(piece.handle);
  }
  (void)driver_.MemAddressFree(base_, capacity_);
}

// Puts fresh physical memory at `address`; leaves nothing behind where a part fails.
Status DeviceRange::MapAt(CUdeviceptr address, std::size_t bytes, CUmemGenericAllocationHandle* handle) {
  const CUmemAllocationProp memory = MemoryOf(ordinal_);
  const CUresult created = driver_.MemCreate(handle, bytes, &memory, 0);
  if (created == CUDA_ERROR_OUT_OF_MEMORY) return Status(StatusCode::kResourceExhausted);
  TIERLIB_RETURN_IF_ERROR(CudaDriverStatus(created, "cuMemCreate"));
  Status status = CudaDriverStatus(driver_.MemMap(address, bytes, 0, *handle, 0), "cuMemMap");
  if (status.ok()) {
    CUmemAccessDesc access = {};
    access.location = memory.location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    status = CudaDriverStatus(driver_.MemSetAccess(address, bytes, &access, 1), "cuMemSetAccess");
    if (!status.ok()) (void)driver_.MemUnmap(address, bytes);
  }
  if (!status.ok()) (void)driver_.MemRelease(*handle);
  return status;
}

Status DeviceRange::CheckBytes(std::size_t bytes) const {
  if (bytes != 0 && bytes % granularity_ == 0) return OkStatus();
  return InvalidArgumentError("device memory of " + std::to_string(bytes) + " bytes asked, not a multiple of " +
                              std::to_string(granularity_));
}

// The same, listed.
Status DeviceRange::MapPiece(std::uint64_t offset, std::size_t bytes) {
  CUmemGenericAllocationHandle handle = 0;
  TIERLIB_RETURN_IF_ERROR(MapAt(base_ + offset, bytes, &handle));
  try {
    pieces_.Take(offset, bytes, handle);
  } catch (const std::bad_alloc&) {
    (void)driver_.MemUnmap(base_ + offset, bytes);
    (void)driver_.MemRelease(handle);
    throw;
  }
  return OkStatus();
}

StatusOr<void*> DeviceRange::Map(std::size_t bytes) {
  TIERLIB_RETURN_IF_ERROR(CheckBytes(bytes));
  MutexLock lock(mutex_);
  const std::optional<std::uint64_t> offset = pieces_.FindGap(bytes);
  if (!offset.has_value()) return Status(StatusCode::kResourceExhausted);
  TIERLIB_RETURN_IF_ERROR(MapPiece(*offset, bytes));
  return reinterpret_cast<void*>(base_ + *offset);
}

Status DeviceRange::MapTo(void* base, std::size_t bytes) {
  TIERLIB_RETURN_IF_ERROR(CheckBytes(bytes));
  const CUdeviceptr address = reinterpret_cast<CUdeviceptr>(base);
  if (address < base_ || (address - base_) % granularity_ != 0) {
    return InvalidArgumentError("device memory asked at an address that is no multiple of " +
                                std::to_string(granularity_) + " bytes into the device's range");
  }
  MutexLock lock(mutex_);
  if (!pieces_.IsFree(address - base_, bytes)) return Status(StatusCode::kResourceExhausted);
  return MapPiece(address - base_, bytes);
}

Status DeviceRange::Unmap(void* base, std::size_t bytes) {
  const CUdeviceptr address = reinterpret_cast<CUdeviceptr>(base);
  MutexLock lock(mutex_);
  const std::optional<std::uint64_t> handle = address < base_ ? std::nullopt : pieces_.Remove(address - base_, bytes);
  if (!handle.has_value()) {
    return InvalidArgumentError("device memory given back that was not reserved as one piece of " +
                                std::to_string(bytes) + " bytes");
  }
  const Status unmapped = CudaDriverStatus(driver_.MemUnmap(address, bytes), "cuMemUnmap");
  const Status released = CudaDriverStatus(driver_.MemRelease(*handle), "cuMemRelease");
  return unmapped.ok() ? released : unmapped;
}

}  // namespace tierlib
