// CudaDriver: the driver's functions for virtual memory and for contexts, asked of the driver at run time through the
// CUDA runtime, so that nothing links libcuda and a program starts on machines without a driver.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_DRIVER_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_DRIVER_H_

#include <cuda.h>
#include <cudaTypedefs.h>

#include "tierlib/status.h"

namespace tierlib {

struct CudaDriver {
  PFN_cuDeviceGet_v2000 DeviceGet = nullptr;
  PFN_cuDeviceGetAttribute_v2000 DeviceGetAttribute = nullptr;
  PFN_cuDevicePrimaryCtxRetain_v7000 DevicePrimaryCtxRetain = nullptr;
  PFN_cuCtxPushCurrent_v4000 CtxPushCurrent = nullptr;
  PFN_cuCtxPopCurrent_v4000 CtxPopCurrent = nullptr;
  PFN_cuMemAddressReserve_v10020 MemAddressReserve = nullptr;
  PFN_cuMemAddressFree_v10020 MemAddressFree = nullptr;
  PFN_cuMemCreate_v10020 MemCreate = nullptr;
  PFN_cuMemRelease_v10020 MemRelease = nullptr;
  PFN_cuMemMap_v10020 MemMap = nullptr;
  PFN_cuMemUnmap_v10020 MemUnmap = nullptr;
  PFN_cuMemSetAccess_v10020 MemSetAccess = nullptr;
  PFN_cuMemGetAllocationGranularity_v10020 MemGetAllocationGranularity = nullptr;

  // Unimplemented naming the function that the driver lacks.
  static StatusOr<CudaDriver> Load();
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_DRIVER_H_
