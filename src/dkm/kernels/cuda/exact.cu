// The exact form on a CUDA stream. Reference: dkm/kernels/exact.h.
#include "base/cuda/run_kernel.h"
#include "dkm/kernels/cuda/exact_launches.h"

namespace tierlib::dkm::cuda {

Status ExactForward(const ExactForwardArguments& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunExactForward(grid, a);
}

Status ExactReplay(const ExactReplayArguments& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunExactReplay(grid, a);
}

Status ExactBackward(const ExactBackwardArguments& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunExactBackward(grid, a);
}

Status ExactForwardBatch(std::span<const ExactForwardArguments> batch, void* list, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunExactForwardBatch(grid, batch, list);
}

Status ExactBackwardBatch(std::span<const ExactBackwardArguments> batch, void* list, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunExactBackwardBatch(grid, batch, list);
}

}  // namespace tierlib::dkm::cuda
