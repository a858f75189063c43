// CUDA's results as Status values.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_ERROR_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_ERROR_H_

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "tierlib/status.h"

namespace tierlib {

// OK for cudaSuccess; otherwise "what: CUDA's name: CUDA's words" under the code that fits: ResourceExhausted for
// memory, Unavailable ("device lost: ...") for errors after which the context is dead, InvalidArgument, Unimplemented
// where there is no driver or device, Internal for the rest. Clears the thread's last CUDA error, so that the program's
// own checks do not find ours.
Status CudaStatus(cudaError_t error, const char* what);

// The same for the driver's functions.
Status CudaDriverStatus(CUresult result, const char* what);

// True for errors that every later call on the context returns as well.
bool IsDeviceLost(cudaError_t error);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_ERROR_H_
