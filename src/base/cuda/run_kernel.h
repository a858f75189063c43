// CudaGrid: enqueues kernels on a CUDA stream. Read by nvcc alone.
//
// Nothing waits and nothing allocates, so that launches may be captured into a CUDA graph.
#ifndef TIERLIB_SRC_BASE_CUDA_RUN_KERNEL_H_
#define TIERLIB_SRC_BASE_CUDA_RUN_KERNEL_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

#include "base/cuda/grid.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib {

// This thread of a block, and the barrier.
struct DeviceThreads {
  template <class Body>
  TIERLIB_HOST_DEVICE void operator()(const Body& body) const {
#if defined(__CUDA_ARCH__)
    body(static_cast<int>(threadIdx.x));
    __syncthreads();
#else
    (void)body;
#endif
  }
};

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads) RunKernel(const Kernel kernel) {
  extern __shared__ __align__(128) unsigned char shared[];
  RunBlock(kernel, static_cast<int>(blockIdx.x), reinterpret_cast<typename Kernel::Shared*>(shared), DeviceThreads());
}

inline Status KernelStatus(cudaError_t error) {
  if (error == cudaSuccess) return OkStatus();
  const std::string words = std::string("kernel: ") + cudaGetErrorName(error) + ": " + cudaGetErrorString(error);
  const bool lost =
      error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure || error == cudaErrorECCUncorrectable;
  return lost ? UnavailableError("device lost: " + words) : InternalError(words);
}

class CudaGrid {
 public:
  // REQUIRES: the stream's device is the thread's current one.
  static StatusOr<CudaGrid> On(Stream stream) {
    int device = 0;
    DeviceLimits limits;
    TIERLIB_RETURN_IF_ERROR(KernelStatus(cudaGetDevice(&device)));
    TIERLIB_RETURN_IF_ERROR(
        KernelStatus(cudaDeviceGetAttribute(&limits.processors, cudaDevAttrMultiProcessorCount, device)));
    TIERLIB_RETURN_IF_ERROR(
        KernelStatus(cudaDeviceGetAttribute(&limits.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device)));
    return CudaGrid(limits, reinterpret_cast<cudaStream_t>(stream.handle));
  }

  const DeviceLimits& limits() const { return limits_; }

  template <class Kernel>
  Status Run(const Kernel& kernel, int blocks, std::size_t shared_bytes = sizeof(typename Kernel::Shared)) {
    constexpr std::size_t kWithoutAsking = 48 * 1024;
    if (shared_bytes > kWithoutAsking) {
      TIERLIB_RETURN_IF_ERROR(KernelStatus(cudaFuncSetAttribute(
          RunKernel<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes))));
    }
    RunKernel<Kernel><<<static_cast<unsigned>(blocks), Kernel::kThreads, shared_bytes, queue_>>>(kernel);
    return KernelStatus(cudaGetLastError());
  }

  // Zeroes.
  Status Clear(void* memory, std::size_t bytes) { return KernelStatus(cudaMemsetAsync(memory, 0, bytes, queue_)); }

 private:
  CudaGrid(DeviceLimits limits, cudaStream_t queue) : limits_(limits), queue_(queue) {}

  DeviceLimits limits_;
  cudaStream_t queue_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_CUDA_RUN_KERNEL_H_
