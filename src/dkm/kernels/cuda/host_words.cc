#include "dkm/kernels/cuda/host_words.h"

#include <cuda_runtime_api.h>

#include <new>
#include <string>

namespace tierlib::dkm::cuda {

StatusOr<std::shared_ptr<HostWords>> MakeHostWords() {
  void* memory = nullptr;
  int device = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaHostAlloc(&memory, sizeof(HostWords), cudaHostAllocPortable | cudaHostAllocMapped);
  }
  if (error != cudaSuccess) {
    (void)cudaGetLastError();
    return ResourceExhaustedError(std::string("no pinned memory for a word to the host: ") + cudaGetErrorName(error));
  }
  return std::shared_ptr<HostWords>(new (memory) HostWords(), [device](HostWords* words) {
    int current = device;
    (void)cudaGetDevice(&current);  // the last owner's thread may be at another one
    if (current != device) (void)cudaSetDevice(device);
    (void)cudaDeviceSynchronize();  // a kernel may still write to them
    (void)cudaFreeHost(words);
    if (current != device) (void)cudaSetDevice(current);
  });
}

}  // namespace tierlib::dkm::cuda
