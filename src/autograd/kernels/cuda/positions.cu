// Kernels that go by positions on a CUDA stream.
#include "autograd/kernels/cuda/dropout_launches.h"
#include "autograd/kernels/cuda/embedding_launches.h"
#include "autograd/kernels/cuda/enqueue.h"
#include "autograd/kernels/cuda/rotary_launches.h"
#include "base/cuda/run_kernel.h"

namespace tierlib::autograd::cuda {
namespace {

template <class Arguments>
Status RunOn(Stream stream, const Arguments& a, void* workspace) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return Run(grid, a, workspace);
}

}  // namespace

Status Enqueue(Stream stream, const host::DropoutArguments& a, void* workspace) { return RunOn(stream, a, workspace); }
Status Enqueue(Stream stream, const host::EmbeddingForwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::EmbeddingBackwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::RotaryArguments& a, void* workspace) { return RunOn(stream, a, workspace); }
Status Enqueue(Stream stream, const host::CausalMaskArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}

}  // namespace tierlib::autograd::cuda
