#include "allocator/cuda/cuda_driver.h"

#include <cuda_runtime_api.h>

#include <string>

#include "allocator/cuda/cuda_error.h"

namespace tierlib {
namespace {

// All functions above are as they were in CUDA 10.2, the first with virtual memory management.
constexpr unsigned kFunctionVersion = 10020;

Status LoadFunction(const char* name, void** function) {
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(name, function, kFunctionVersion, cudaEnableDefault, &found);
#else
  const cudaError_t error = cudaGetDriverEntryPoint(name, function, cudaEnableDefault, &found);
#endif
  TIERLIB_RETURN_IF_ERROR(CudaStatus(error, name));
  if (found != cudaDriverEntryPointSuccess || *function == nullptr) {
    return UnimplementedError("the CUDA driver has no " + std::string(name) + ": CUDA 10.2 or later is needed");
  }
  return OkStatus();
}

}  // namespace

StatusOr<CudaDriver> CudaDriver::Load() {
  CudaDriver driver;
  const struct {
    const char* name;
    void** function;
  } wanted[] = {
      {"cuDeviceGet", reinterpret_cast<void**>(&driver.DeviceGet)},
      {"cuDeviceGetAttribute", reinterpret_cast<void**>(&driver.DeviceGetAttribute)},
      {"cuDevicePrimaryCtxRetain", reinterpret_cast<void**>(&driver.DevicePrimaryCtxRetain)},
      {"cuCtxPushCurrent", reinterpret_cast<void**>(&driver.CtxPushCurrent)},
      {"cuCtxPopCurrent", reinterpret_cast<void**>(&driver.CtxPopCurrent)},
      {"cuMemAddressReserve", reinterpret_cast<void**>(&driver.MemAddressReserve)},
      {"cuMemAddressFree", reinterpret_cast<void**>(&driver.MemAddressFree)},
      {"cuMemCreate", reinterpret_cast<void**>(&driver.MemCreate)},
      {"cuMemRelease", reinterpret_cast<void**>(&driver.MemRelease)},
      {"cuMemMap", reinterpret_cast<void**>(&driver.MemMap)},
      {"cuMemUnmap", reinterpret_cast<void**>(&driver.MemUnmap)},
      {"cuMemSetAccess", reinterpret_cast<void**>(&driver.MemSetAccess)},
      {"cuMemGetAllocationGranularity", reinterpret_cast<void**>(&driver.MemGetAllocationGranularity)},
  };
  for (const auto& entry : wanted) TIERLIB_RETURN_IF_ERROR(LoadFunction(entry.name, entry.function));
  return driver;
}

}  // namespace tierlib
