// Elementwise operations, casts, copies and activations on a CUDA stream.
#include "autograd/kernels/cuda/elementwise_launches.h"
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

Status Enqueue(Stream stream, const host::FillArguments& a, void* workspace) { return RunOn(stream, a, workspace); }
Status Enqueue(Stream stream, const host::CastArguments& a, void* workspace) { return RunOn(stream, a, workspace); }
Status Enqueue(Stream stream, const host::RoundArguments& a, void* workspace) { return RunOn(stream, a, workspace); }
Status Enqueue(Stream stream, const host::UnaryArguments& a, void* workspace) { return RunOn(stream, a, workspace); }
Status Enqueue(Stream stream, const host::BinaryArguments& a, void* workspace) { return RunOn(stream, a, workspace); }
Status Enqueue(Stream stream, const host::DivisorGradientArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::MaskedFillArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::ActivationForwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}
Status Enqueue(Stream stream, const host::ActivationBackwardArguments& a, void* workspace) {
  return RunOn(stream, a, workspace);
}

}  // namespace tierlib::autograd::cuda
