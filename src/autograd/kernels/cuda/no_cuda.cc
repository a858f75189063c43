// What a build without CUDA answers.
#include "autograd/kernels/device_kernels.h"

namespace tierlib::autograd {

std::shared_ptr<DeviceKernels> MakeCudaKernels() { return nullptr; }

}  // namespace tierlib::autograd
