// What a build without CUDA answers.
#include "allocator/cuda/cuda_device.h"

namespace tierlib {

StatusOr<std::unique_ptr<DeviceBackend>> MakeCudaDevice(const DeviceOptions&) {
  return UnimplementedError("tierlib was built without CUDA: build with -DTIERLIB_CUDA=ON, or use the emulated device");
}

int CudaDeviceCount() { return 0; }

}  // namespace tierlib
