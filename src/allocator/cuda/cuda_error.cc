#include "allocator/cuda/cuda_error.h"

#include <string>

namespace tierlib {
namespace {

StatusCode CodeFor(cudaError_t error) {
  if (IsDeviceLost(error)) return StatusCode::kUnavailable;
  switch (error) {
    case cudaErrorMemoryAllocation: return StatusCode::kResourceExhausted;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidDevice:
    case cudaErrorInvalidResourceHandle:
    case cudaErrorInvalidPitchValue:
    case cudaErrorInvalidMemcpyDirection: return StatusCode::kInvalidArgument;
    case cudaErrorHostMemoryAlreadyRegistered: return StatusCode::kAlreadyExists;
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureMerge:
    case cudaErrorStreamCaptureUnmatched:
    case cudaErrorStreamCaptureUnjoined:
    case cudaErrorStreamCaptureIsolation:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorStreamCaptureWrongThread:
    case cudaErrorCapturedEvent:
    case cudaErrorHostMemoryNotRegistered: return StatusCode::kFailedPrecondition;
    case cudaErrorNotPermitted: return StatusCode::kPermissionDenied;
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorStubLibrary:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorSystemNotReady:
    case cudaErrorNotSupported: return StatusCode::kUnimplemented;
    default: return StatusCode::kInternal;
  }
}

}  // namespace

bool IsDeviceLost(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorContextIsDestroyed:
    case cudaErrorDevicesUnavailable:
    case cudaErrorMpsClientTerminated: return true;
    default: return false;
  }
}

Status CudaStatus(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return OkStatus();
  (void)cudaGetLastError();
  std::string message = IsDeviceLost(error) ? "device lost: " : "";
  message += what;
  message += ": ";
  message += cudaGetErrorName(error);
  message += ": ";
  message += cudaGetErrorString(error);
  return Status(CodeFor(error), message);
}

Status CudaDriverStatus(CUresult result, const char* what) {
  // The runtime's error numbers are the driver's for every error that both have.
  return CudaStatus(static_cast<cudaError_t>(result), what);
}

}  // namespace tierlib
