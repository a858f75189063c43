// The tiled form on a CUDA stream. Reference: dkm/kernels/tiled.h.
#include "base/cuda/run_kernel.h"
#include "dkm/kernels/cuda/tiled_launches.h"

namespace tierlib::dkm::cuda {
namespace {

template <typename T>
Status Forward(const TiledForwardArguments<T>& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunTiledForward(grid, a);
}
template <typename T>
Status Replay(const TiledReplayArguments<T>& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunTiledReplay(grid, a);
}
template <typename T>
Status Backward(const TiledBackwardArguments<T>& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunTiledBackward(grid, a);
}

}  // namespace

Status TiledForward(const TiledForwardArguments<float>& a, Stream stream) { return Forward(a, stream); }
Status TiledForward(const TiledForwardArguments<double>& a, Stream stream) { return Forward(a, stream); }
Status TiledReplay(const TiledReplayArguments<float>& a, Stream stream) { return Replay(a, stream); }
Status TiledReplay(const TiledReplayArguments<double>& a, Stream stream) { return Replay(a, stream); }
Status TiledBackward(const TiledBackwardArguments<float>& a, Stream stream) { return Backward(a, stream); }
Status TiledBackward(const TiledBackwardArguments<double>& a, Stream stream) { return Backward(a, stream); }

}  // namespace tierlib::dkm::cuda
