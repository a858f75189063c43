// MakeDevice: the one place that knows which kinds of devices this build has.
#ifndef TIERLIB_SRC_ALLOCATOR_DEVICE_FACTORY_H_
#define TIERLIB_SRC_ALLOCATOR_DEVICE_FACTORY_H_

#include <memory>

#include "allocator/device_backend.h"
#include "tierlib/options.h"
#include "tierlib/status.h"

namespace tierlib {

// InvalidArgument for options that cannot hold; Unimplemented where the kind is not in this build ("built without
// CUDA") or the machine has no such device ("no CUDA driver").
StatusOr<std::unique_ptr<DeviceBackend>> MakeDevice(const DeviceOptions& options);

// True where MakeDevice can make a CUDA device with this ordinal.
bool CudaDevicePresent(int device);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_DEVICE_FACTORY_H_
