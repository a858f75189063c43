// The CUDA implementation of device_backend.h. In a build without CUDA these functions say so (no_cuda.cc), so callers
// need no preprocessor.
//
// It stands on the CUDA runtime, linked statically, and on the driver's virtual memory functions, asked for at run
// time: a program built with it starts on machines without a driver.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_DEVICE_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_DEVICE_H_

#include <memory>

#include "allocator/device_backend.h"
#include "tierlib/options.h"
#include "tierlib/status.h"

namespace tierlib {

// Unimplemented where this build has no CUDA, the machine no driver or no device of this number, or the device no
// virtual memory management; InvalidArgument for a capacity beyond the device's memory.
StatusOr<std::unique_ptr<DeviceBackend>> MakeCudaDevice(const DeviceOptions& options);

// CUDA devices that this process sees; 0 without a driver or in a build without CUDA.
int CudaDeviceCount();

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_DEVICE_H_
