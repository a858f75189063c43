// HostKernels: runs host kernels in the order of a CUDA stream (cudaLaunchHostFunc), on threads of the driver: for
// devices whose memory the host reaches (ManagedRange). Each runs beside the work of other streams, as a kernel of the
// device would. In a capture it becomes a part of the graph, which owns it.
//
// A kernel that the device does not come to any more, as it was lost, is not destroyed.
//
// Thread-safety: Launch may be called from any thread. REQUIRES of Launch: the device is the thread's current one; of
// the destructor: no kernel is pending.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_HOST_KERNELS_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_HOST_KERNELS_H_

#include <cuda_runtime_api.h>

#include "allocator/device_backend.h"
#include "base/thread_pool.h"
#include "tierlib/status.h"

namespace tierlib {

class HostKernels {
 public:
  // `threads`: that one kernel may use; 0: all processors.
  explicit HostKernels(int threads) : pool_(threads) {}
  HostKernels(const HostKernels&) = delete;
  HostKernels& operator=(const HostKernels&) = delete;

  Status Launch(cudaStream_t stream, HostKernel kernel);

 private:
  ThreadPool pool_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_HOST_KERNELS_H_
