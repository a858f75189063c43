// CudaGraphs: captures under way on a CUDA device, and the executable graphs that they became.
//
// Captures are relaxed: calls that are unsafe in other modes (queries of other streams' events, mapping memory) are
// those of this library for work that is not captured. CUDA itself refuses what a captured stream cannot do.
//
// Thread-safety: all functions lock. REQUIRES everywhere, the destructor included: the device is the thread's current
// one.
#ifndef TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_GRAPHS_H_
#define TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_GRAPHS_H_

#include <cuda_runtime_api.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "allocator/device_backend.h"
#include "base/mutex.h"
#include "tierlib/status.h"

namespace tierlib {

class CudaGraphs {
 public:
  CudaGraphs() = default;
  ~CudaGraphs();
  CudaGraphs(const CudaGraphs&) = delete;
  CudaGraphs& operator=(const CudaGraphs&) = delete;

  // By CopyDirection.
  using Bytes = std::array<std::uint64_t, 3>;

  // Whether any stream is in a capture, and whether this one is.
  bool any() const { return captures_.load(std::memory_order_acquire) > 0; }
  bool InCapture(cudaStream_t stream) const;
  Status Begin(cudaStream_t stream);
  StatusOr<GraphId> End(cudaStream_t stream);
  // A copy was enqueued on the stream; true where it is a part of a graph.
  bool NoteCopy(cudaStream_t stream, CopyDirection direction, std::uint64_t bytes);
  // The bytes that the graph copies.
  StatusOr<Bytes> Launch(GraphId graph, cudaStream_t stream);
  Status Destroy(GraphId graph);

 private:
  struct Graph {
    cudaGraphExec_t exec = nullptr;
    cudaEvent_t launched = nullptr;  // recorded after the last launch: launches of one graph follow each other
    Bytes copied = {};
  };
  // Ends a capture that nobody was told of.
  void Abandon(cudaStream_t stream, unsigned long long id);  // NOLINT: CUDA's type
  static Status Free(Graph& graph);
  Status UnknownGraph(GraphId graph) const;

  std::atomic<int> captures_{0};
  mutable Mutex mutex_;
  GraphId next_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<cudaStream_t, unsigned long long> begun_ ABSL_GUARDED_BY(mutex_);  // NOLINT: CUDA's capture id
  absl::flat_hash_map<unsigned long long, Bytes> copied_ ABSL_GUARDED_BY(mutex_);        // NOLINT: by that
  absl::flat_hash_map<GraphId, Graph> graphs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_CUDA_CUDA_GRAPHS_H_
