#include "allocator/cuda/malloc_pieces.h"

#include <cuda_runtime_api.h>

#include <string>

#include "allocator/cuda/cuda_error.h"

namespace tierlib {

MallocPieces::~MallocPieces() {
  // Nothing can be done about an error here, and after a lost device everything is one.
  MutexLock lock(mutex_);
  for (const auto& [base, bytes] : pieces_) (void)cudaFree(base);
}

StatusOr<void*> MallocPieces::Map(std::size_t bytes) {
  if (bytes == 0 || bytes % kGranularity != 0) {
    return InvalidArgumentError("device memory of " + std::to_string(bytes) + " bytes asked, not a multiple of " +
                                std::to_string(kGranularity));
  }
  MutexLock lock(mutex_);
  if (bytes > capacity_ - reserved_) return Status(StatusCode::kResourceExhausted);
  void* base = nullptr;
  const cudaError_t error = cudaMalloc(&base, bytes);
  if (error == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    return Status(StatusCode::kResourceExhausted);
  }
  TIERLIB_RETURN_IF_ERROR(CudaStatus(error, "cudaMalloc"));
  pieces_.emplace(base, bytes);
  reserved_ += bytes;
  return base;
}

Status MallocPieces::Unmap(void* base, std::size_t bytes) {
  MutexLock lock(mutex_);
  const auto piece = pieces_.find(base);
  if (piece == pieces_.end() || piece->second != bytes) {
    return InvalidArgumentError("device memory given back that was not reserved as one piece of " +
                                std::to_string(bytes) + " bytes");
  }
  pieces_.erase(piece);
  reserved_ -= bytes;
  return CudaStatus(cudaFree(base), "cudaFree");
}

}  // namespace tierlib
