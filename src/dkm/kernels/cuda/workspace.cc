// How much workspace the CUDA launches of DKM take: the same in every build.
#include "dkm/kernels/cuda/exact_launches.h"
#include "dkm/kernels/cuda/tiled_launches.h"

namespace tierlib::dkm::cuda {

template <typename T>
std::size_t TiledWorkspaceBytes(const TiledShape& shape) {
  return TiledMemory<T>(shape, nullptr).carver.bytes();
}
template std::size_t TiledWorkspaceBytes<float>(const TiledShape&);
template std::size_t TiledWorkspaceBytes<double>(const TiledShape&);

std::size_t ExactForwardWorkspaceBytes(const ExactShape& shape) {
  return ExactForwardMemory(shape, nullptr).carver.bytes();
}
std::size_t ExactBackwardWorkspaceBytes(const ExactShape& shape) {
  return ExactBackwardMemory(shape, nullptr).carver.bytes();
}

std::size_t ExactForwardBatchBytes(std::size_t weights) { return weights * sizeof(ExactForwardKernels); }
std::size_t ExactBackwardBatchBytes(std::size_t weights) { return weights * sizeof(ExactBackwardKernels); }

}  // namespace tierlib::dkm::cuda
