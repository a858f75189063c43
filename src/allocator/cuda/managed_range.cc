#include "allocator/cuda/managed_range.h"

#include <cuda_runtime_api.h>

#include <string>

#include "allocator/cuda/cuda_error.h"
#include "tierlib/bytes.h"

namespace tierlib {

namespace {

Status CheckBytes(std::size_t bytes) {
  if (bytes != 0 && bytes % ManagedRange::kGranularity == 0) return OkStatus();
  return InvalidArgumentError("device memory of " + std::to_string(bytes) + " bytes asked, not a multiple of " +
                              std::to_string(ManagedRange::kGranularity));
}

}  // namespace

StatusOr<std::unique_ptr<ManagedRange>> ManagedRange::Create(int ordinal, std::uint64_t capacity) {
  int concurrent = 0;
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaDeviceGetAttribute(&concurrent, cudaDevAttrConcurrentManagedAccess, ordinal),
                                     "cudaDeviceGetAttribute"));
  if (concurrent == 0) {
    return UnimplementedError("CUDA device " + std::to_string(ordinal) +
                              " and the host cannot use managed memory at the same time");
  }
  const std::uint64_t bytes = capacity / kGranularity * kGranularity;
  if (bytes == 0) {
    return InvalidArgumentError("device capacity " + FormatBytes(capacity) + " asked, the smallest is " +
                                FormatBytes(kGranularity));
  }
  void* base = nullptr;
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaMallocManaged(&base, bytes, cudaMemAttachGlobal), "cudaMallocManaged"));
  return std::unique_ptr<ManagedRange>(new ManagedRange(static_cast<std::byte*>(base), bytes));
}

// Nothing can be done about an error here, and after a lost device everything is one.
ManagedRange::~ManagedRange() { (void)cudaFree(base_); }

StatusOr<void*> ManagedRange::Map(std::size_t bytes) {
  TIERLIB_RETURN_IF_ERROR(CheckBytes(bytes));
  MutexLock lock(mutex_);
  const std::optional<std::uint64_t> offset = pieces_.FindGap(bytes);
  if (!offset.has_value()) return Status(StatusCode::kResourceExhausted);
  pieces_.Take(*offset, bytes, /*handle=*/0);
  return static_cast<void*>(base_ + *offset);
}

Status ManagedRange::MapTo(void* base, std::size_t bytes) {
  TIERLIB_RETURN_IF_ERROR(CheckBytes(bytes));
  auto* const begin = static_cast<std::byte*>(base);
  if (begin < base_ || static_cast<std::uint64_t>(begin - base_) % kGranularity != 0) {
    return InvalidArgumentError("device memory asked at an address that is no multiple of " +
                                std::to_string(kGranularity) + " bytes into the device's range");
  }
  const auto offset = static_cast<std::uint64_t>(begin - base_);
  MutexLock lock(mutex_);
  if (!pieces_.IsFree(offset, bytes)) return Status(StatusCode::kResourceExhausted);
  pieces_.Take(offset, bytes, /*handle=*/0);
  return OkStatus();
}

Status ManagedRange::Unmap(void* base, std::size_t bytes) {
  auto* const begin = static_cast<std::byte*>(base);
  MutexLock lock(mutex_);
  if (begin >= base_ && pieces_.Remove(static_cast<std::uint64_t>(begin - base_), bytes).has_value()) return OkStatus();
  return InvalidArgumentError("device memory given back that was not reserved as one piece of " +
                              std::to_string(bytes) + " bytes");
}

}  // namespace tierlib
