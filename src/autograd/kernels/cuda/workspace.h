// How much workspace the CUDA kernels take besides that of their arguments: the same in every build.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_WORKSPACE_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_WORKSPACE_H_

#include <cstddef>

#include "autograd/kernels/device_kernels.h"

namespace tierlib::autograd::cuda {

// But for matrix products, whose workspace the library decides on: 0.
std::size_t KernelWorkspaceBytes(const KernelArguments& arguments);

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_WORKSPACE_H_
