// CudaMemoryPool: blocks of a CUDA device in stream order from a memory pool of the driver's (cudaMallocFromPoolAsync).
// What was freed stays with the pool, for later blocks.
//
// Thread-safety: all functions may be called from any thread. REQUIRES everywhere, the destructor included: the device
// is the thread's current one.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_MEMORY_POOL_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_MEMORY_POOL_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "tierlib/status.h"

namespace tierlib {

class CudaMemoryPool {
 public:
  // Unimplemented where the device has no memory pools.
  static StatusOr<std::unique_ptr<CudaMemoryPool>> Create(int ordinal);
  // REQUIRES: every block was freed, and no work that uses one is pending.
  ~CudaMemoryPool();
  CudaMemoryPool(const CudaMemoryPool&) = delete;
  CudaMemoryPool& operator=(const CudaMemoryPool&) = delete;

  // ResourceExhausted, without a message, where the device has no `bytes`.
  StatusOr<void*> Allocate(std::size_t bytes, cudaStream_t stream);
  Status Free(void* block, cudaStream_t stream);
  // What the pool has taken from the device.
  std::uint64_t reserved() const;

 private:
  explicit CudaMemoryPool(cudaMemPool_t pool) : pool_(pool) {}
  const cudaMemPool_t pool_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_MEMORY_POOL_H_
