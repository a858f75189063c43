// What the optimizer launches on a CUDA stream.
#include "autograd/kernels/cuda/enqueue.h"
#include "autograd/kernels/cuda/update_launches.h"
#include "base/cuda/run_kernel.h"

namespace tierlib::autograd::cuda {
namespace {

template <class Arguments>
Status RunOn(Stream stream, const Arguments& a, void* workspace) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return Run(grid, a, workspace);
}

}  // namespace

Status Enqueue(Stream stream, const host::AdamWArguments& a, void* workspace) { return RunOn(stream, a, workspace); }
Status Enqueue(Stream stream, const host::GradientNormArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::ScaleGradientsArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}

}  // namespace tierlib::autograd::cuda
