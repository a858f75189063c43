#include "allocator/device_factory.h"

#include <string>

#include "allocator/cuda/cuda_device.h"
#include "allocator/emulated/emulated_device.h"

namespace tierlib {

StatusOr<std::unique_ptr<DeviceBackend>> MakeDevice(const DeviceOptions& options) {
  if (options.device < 0) {
    return InvalidArgumentError("device " + std::to_string(options.device) + ": devices are numbered from 0");
  }
  switch (options.kind) {
    case DeviceKind::kEmulated: return MakeEmulatedDevice(options);
    case DeviceKind::kCuda: return MakeCudaDevice(options);
  }
  return InvalidArgumentError("device " + std::to_string(options.device) + ": unknown kind");
}

bool CudaDevicePresent(int device) { return device >= 0 && device < CudaDeviceCount(); }

}  // namespace tierlib
