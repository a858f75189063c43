#include "allocator/cuda/cuda_graphs.h"

#include <new>
#include <string>

#include "allocator/cuda/cuda_error.h"

namespace tierlib {
namespace {

// The capture that a stream is in.
struct Capture {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  unsigned long long id = 0;  // NOLINT: CUDA's type; 0 where the capture was spoilt too
};

Capture CaptureOf(cudaStream_t stream) {
  Capture capture;
#if CUDART_VERSION >= 13000
  const cudaError_t error =
      cudaStreamGetCaptureInfo(stream, &capture.status, &capture.id, nullptr, nullptr, nullptr, nullptr);
#else
  const cudaError_t error = cudaStreamGetCaptureInfo(stream, &capture.status, &capture.id);
#endif
  if (error != cudaSuccess) (void)cudaGetLastError();
  if (error != cudaSuccess) return {};
  if (capture.status != cudaStreamCaptureStatusActive) capture.id = 0;  // not set then
  return capture;
}

}  // namespace

CudaGraphs::~CudaGraphs() {
  MutexLock lock(mutex_);
  for (auto& [id, graph] : graphs_) (void)Free(graph);
}

bool CudaGraphs::InCapture(cudaStream_t stream) const {
  return any() && CaptureOf(stream).status != cudaStreamCaptureStatusNone;
}

Status CudaGraphs::Begin(cudaStream_t stream) {
  TIERLIB_RETURN_IF_ERROR(
      CudaStatus(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "cudaStreamBeginCapture"));
  const Capture capture = CaptureOf(stream);
  captures_.fetch_add(1, std::memory_order_release);
  try {
    MutexLock lock(mutex_);
    begun_[stream] = capture.id;
    copied_[capture.id] = {};
  } catch (const std::bad_alloc&) {
    Abandon(stream, capture.id);
    throw;
  }
  return OkStatus();
}

void CudaGraphs::Abandon(cudaStream_t stream, unsigned long long id) {  // NOLINT: CUDA's type
  cudaGraph_t captured = nullptr;
  if (cudaStreamEndCapture(stream, &captured) == cudaSuccess) (void)cudaGraphDestroy(captured);
  captures_.fetch_sub(1, std::memory_order_release);
  MutexLock lock(mutex_);
  begun_.erase(stream);
  copied_.erase(id);
}

StatusOr<GraphId> CudaGraphs::End(cudaStream_t stream) {
  MutexLock lock(mutex_);
  const auto begun = begun_.find(stream);
  if (begun == begun_.end()) return FailedPreconditionError("EndCapture: the stream has begun no capture");
  Graph graph;
  graph.copied = copied_[begun->second];
  copied_.erase(begun->second);
  begun_.erase(begun);
  cudaGraph_t captured = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream, &captured);
  captures_.fetch_sub(1, std::memory_order_release);
  TIERLIB_RETURN_IF_ERROR(CudaStatus(ended, "cudaStreamEndCapture"));
  Status made = CudaStatus(cudaGraphInstantiate(&graph.exec, captured, 0), "cudaGraphInstantiate");
  (void)cudaGraphDestroy(captured);
  if (made.ok()) {
    made = CudaStatus(cudaEventCreateWithFlags(&graph.launched, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  }
  if (!made.ok()) {
    (void)Free(graph);
    return made;
  }
  try {
    graphs_[next_] = graph;
  } catch (const std::bad_alloc&) {
    (void)Free(graph);
    throw;
  }
  return next_++;
}

bool CudaGraphs::NoteCopy(cudaStream_t stream, CopyDirection direction, std::uint64_t bytes) {
  if (!any()) return false;
  const Capture capture = CaptureOf(stream);
  if (capture.status == cudaStreamCaptureStatusNone) return false;
  MutexLock lock(mutex_);
  const auto copied = copied_.find(capture.id);
  if (copied != copied_.end()) copied->second[static_cast<std::size_t>(direction)] += bytes;
  return true;
}

StatusOr<CudaGraphs::Bytes> CudaGraphs::Launch(GraphId graph, cudaStream_t stream) {
  MutexLock lock(mutex_);
  const auto found = graphs_.find(graph);
  if (found == graphs_.end()) return UnknownGraph(graph);
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaGraphLaunch(found->second.exec, stream), "cudaGraphLaunch"));
  TIERLIB_RETURN_IF_ERROR(CudaStatus(cudaEventRecord(found->second.launched, stream), "cudaEventRecord"));
  return found->second.copied;
}

Status CudaGraphs::Destroy(GraphId graph) {
  Graph gone;
  {
    MutexLock lock(mutex_);
    const auto found = graphs_.find(graph);
    if (found == graphs_.end()) return UnknownGraph(graph);
    gone = found->second;
    graphs_.erase(found);
  }
  return Free(gone);
}

Status CudaGraphs::Free(Graph& graph) {
  Status first;
  const auto keep = [&first](cudaError_t error, const char* what) {
    const Status status = CudaStatus(error, what);
    if (first.ok()) first = status;
  };
  if (graph.launched != nullptr) {
    keep(cudaEventSynchronize(graph.launched), "cudaEventSynchronize");
    keep(cudaEventDestroy(graph.launched), "cudaEventDestroy");
  }
  if (graph.exec != nullptr) keep(cudaGraphExecDestroy(graph.exec), "cudaGraphExecDestroy");
  return first;
}

Status CudaGraphs::UnknownGraph(GraphId graph) const {
  return InvalidArgumentError("graph " + std::to_string(graph) + " does not exist: it is what EndCapture returns");
}

}  // namespace tierlib
