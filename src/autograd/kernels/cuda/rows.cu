// Kernels that fold rows on a CUDA stream.
#include "autograd/kernels/cuda/cross_entropy_launches.h"
#include "autograd/kernels/cuda/enqueue.h"
#include "autograd/kernels/cuda/layer_norm_launches.h"
#include "autograd/kernels/cuda/reduce_launches.h"
#include "autograd/kernels/cuda/softmax_launches.h"
#include "base/cuda/run_kernel.h"

namespace tierlib::autograd::cuda {
namespace {

template <class Arguments>
Status RunOn(Stream stream, const Arguments& a, void* workspace) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return Run(grid, a, workspace);
}

}  // namespace

Status Enqueue(Stream stream, const host::SumToArguments& a, void* workspace) { return RunOn(stream, a, workspace); }
Status Enqueue(Stream stream, const host::SoftmaxForwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::SoftmaxBackwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::LayerNormForwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::LayerNormBackwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::CrossEntropyForwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::CrossEntropyBackwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}

}  // namespace tierlib::autograd::cuda
