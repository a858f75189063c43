#include "allocator/cuda/host_kernels.h"

#include <memory>
#include <utility>

#include "allocator/cuda/cuda_error.h"

namespace tierlib {
namespace {

struct Call {
  HostKernel kernel;
  ThreadPool& pool;

  void Run() {
    KernelContext context{pool};
    kernel.run(context);
  }
};

void CUDART_CB RunOnce(void* given) {
  const std::unique_ptr<Call> call(static_cast<Call*>(given));
  call->Run();
}
void CUDART_CB RunInGraph(void* call) { static_cast<Call*>(call)->Run(); }
void CUDART_CB Destroy(void* call) { delete static_cast<Call*>(call); }

// The graph that the stream's work becomes a part of; null where it is in no capture.
StatusOr<cudaGraph_t> GraphOf(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cudaGraph_t graph = nullptr;
#if CUDART_VERSION >= 13000
  const cudaError_t error = cudaStreamGetCaptureInfo(stream, &status, nullptr, &graph, nullptr, nullptr, nullptr);
#else
  const cudaError_t error = cudaStreamGetCaptureInfo_v2(stream, &status, nullptr, &graph, nullptr, nullptr);
#endif
  TIERLIB_RETURN_IF_ERROR(CudaStatus(error, "cudaStreamGetCaptureInfo"));
  return status == cudaStreamCaptureStatusActive ? graph : nullptr;
}

// Makes the graph, and what is made of it, the owner of the call.
Status GiveTo(cudaGraph_t graph, std::unique_ptr<Call> call) {
  cudaUserObject_t object = nullptr;
  TIERLIB_RETURN_IF_ERROR(CudaStatus(
      cudaUserObjectCreate(&object, call.get(), Destroy, 1, cudaUserObjectNoDestructorSync), "cudaUserObjectCreate"));
  (void)call.release();  // the object's
  const Status retained =
      CudaStatus(cudaGraphRetainUserObject(graph, object, 1, cudaGraphUserObjectMove), "cudaGraphRetainUserObject");
  if (!retained.ok()) (void)cudaUserObjectRelease(object, 1);
  return retained;
}

}  // namespace

Status HostKernels::Launch(cudaStream_t stream, HostKernel kernel) {
  auto call = std::make_unique<Call>(Call{std::move(kernel), pool_});
  Call* const raw = call.get();
  TIERLIB_ASSIGN_OR_RETURN(cudaGraph_t const graph, GraphOf(stream));
  if (graph != nullptr) {
    TIERLIB_RETURN_IF_ERROR(GiveTo(graph, std::move(call)));
    return CudaStatus(cudaLaunchHostFunc(stream, RunInGraph, raw), "cudaLaunchHostFunc");
  }
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaLaunchHostFunc(stream, RunOnce, raw), "cudaLaunchHostFunc"));
  (void)call.release();  // RunOnce's
  return OkStatus();
}

}  // namespace tierlib
