// Attention backward on a CUDA stream.
#include "autograd/kernels/cuda/attention_launches.h"
#include "autograd/kernels/cuda/enqueue.h"
#include "base/cuda/run_kernel.h"

namespace tierlib::autograd::cuda {
namespace {

template <class Arguments>
Status RunOn(Stream stream, const Arguments& a, void* workspace) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return Run(grid, a, workspace);
}

}  // namespace

Status Enqueue(Stream stream, const host::AttentionBackwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}

}  // namespace tierlib::autograd::cuda
