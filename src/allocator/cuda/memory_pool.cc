#include "allocator/cuda/memory_pool.h"

#include <limits>
#include <string>

#include "allocator/cuda/cuda_error.h"

namespace tierlib {

StatusOr<std::unique_ptr<CudaMemoryPool>> CudaMemoryPool::Create(int ordinal) {
  int supported = 0;
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, ordinal),
                                     "cudaDeviceGetAttribute"));
  if (supported == 0) return UnimplementedError("CUDA device " + std::to_string(ordinal) + " has no memory pools");
  cudaMemPoolProps properties = {};
  properties.allocType = cudaMemAllocationTypePinned;  // the only type there is: it does not move
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = ordinal;
  cudaMemPool_t made = nullptr;
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaMemPoolCreate(&made, &properties), "cudaMemPoolCreate"));
  std::unique_ptr<CudaMemoryPool> pool(new CudaMemoryPool(made));
  // By default a pool gives all that is free back to the device at every synchronisation.
  std::uint64_t keep = std::numeric_limits<std::uint64_t>::max();
  TIERLIB_RETURN_IF_ERROR(
      CudaStatus(cudaMemPoolSetAttribute(made, cudaMemPoolAttrReleaseThreshold, &keep), "cudaMemPoolSetAttribute"));
  return pool;
}

CudaMemoryPool::~CudaMemoryPool() { (void)cudaMemPoolDestroy(pool_); }

StatusOr<void*> CudaMemoryPool::Allocate(std::size_t bytes, cudaStream_t stream) {
  void* block = nullptr;
  cudaError_t error = cudaMallocFromPoolAsync(&block, bytes, pool_, stream);
  if (error == cudaErrorMemoryAllocation) {  // what the pool keeps may be in the way, in pieces
    (void)cudaGetLastError();
    TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaStreamSynchronize(stream), "cudaStreamSynchronize"));
    TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaMemPoolTrimTo(pool_, 0), "cudaMemPoolTrimTo"));
    error = cudaMallocFromPoolAsync(&block, bytes, pool_, stream);
  }
  if (error == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    return Status(StatusCode::kResourceExhausted);
  }
  TIERLIB_RETURN_IF_ERROR(CudaStatus(error, "cudaMallocFromPoolAsync"));
  return block;
}

Status CudaMemoryPool::Free(void* block, cudaStream_t stream) {
  return CudaStatus(cudaFreeAsync(block, stream), "cudaFreeAsync");
}

std::uint64_t CudaMemoryPool::reserved() const {
  std::uint64_t bytes = 0;
  return cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &bytes) == cudaSuccess ? bytes : 0;
}

}  // namespace tierlib
