// CurrentContext: makes a device's primary context, the one that the CUDA runtime uses, a thread's current one for a
// scope, and puts back what was current before, none included.
//
// Not by cudaSetDevice: it cannot put "none" back. A thread that chose no device would be left with device 0, and the
// process with a context there, some hundred megabytes on a device that it may never use.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_CURRENT_CONTEXT_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_CURRENT_CONTEXT_H_

#include "allocator/cuda/cuda_driver.h"
#include "allocator/cuda/cuda_error.h"
#include "tierlib/status.h"

namespace tierlib {

// Makes the context where there is none yet. It is not given back: the CUDA runtime keeps it as long as the process
// lives, too.
inline StatusOr<CUcontext> RetainPrimaryContext(const CudaDriver& driver, int ordinal) {
  CUdevice device = 0;
  TIERLIB_RETURN_IF_ERROR(CudaDriverStatus(driver.DeviceGet(&device, ordinal), "cuDeviceGet"));
  CUcontext context = nullptr;
  TIERLIB_RETURN_IF_ERROR(
      CudaDriverStatus(driver.DevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain"));
  return context;
}

class CurrentContext {
 public:
  // `driver` outlives the scope. An error shows in the next CUDA call.
  CurrentContext(const CudaDriver& driver, CUcontext context)
      : driver_(driver), pushed_(driver.CtxPushCurrent(context) == CUDA_SUCCESS) {}
  ~CurrentContext() {
    CUcontext ours = nullptr;
    if (pushed_) (void)driver_.CtxPopCurrent(&ours);
  }
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;

 private:
  const CudaDriver& driver_;
  const bool pushed_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_CURRENT_CONTEXT_H_
