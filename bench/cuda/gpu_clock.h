// What benchmarks on a GPU share: device memory, a stream with a clock, and the word that there is no GPU.
#ifndef TIERLIB_BENCH_CUDA_GPU_CLOCK_H_
#define TIERLIB_BENCH_CUDA_GPU_CLOCK_H_

#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "tierlib/stream.h"

namespace tierlib::bench {

// Device memory that goes with the benchmark.
class Memory {
 public:
  explicit Memory(std::size_t bytes) { ok_ = cudaMalloc(&data_, bytes) == cudaSuccess; }
  ~Memory() { (void)cudaFree(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data() const { return data_; }
  bool ok() const { return ok_; }

 private:
  void* data_ = nullptr;
  bool ok_ = false;
};

// A stream and two events around what is timed.
class Clock {
 public:
  Clock() {
    (void)cudaStreamCreateWithFlags(&queue_, cudaStreamNonBlocking);
    (void)cudaEventCreate(&begin_);
    (void)cudaEventCreate(&end_);
  }
  ~Clock() {
    (void)cudaEventDestroy(begin_);
    (void)cudaEventDestroy(end_);
    (void)cudaStreamDestroy(queue_);
  }
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  cudaStream_t queue() const { return queue_; }
  Stream stream() const { return {0, reinterpret_cast<std::uintptr_t>(queue_)}; }

  // Seconds; negative where something failed.
  template <typename Enqueue>
  double Time(const Enqueue& enqueue) {
    (void)cudaEventRecord(begin_, queue_);
    if (!enqueue()) return -1;
    (void)cudaEventRecord(end_, queue_);
    float milliseconds = 0;
    if (cudaEventSynchronize(end_) != cudaSuccess) return -1;
    if (cudaEventElapsedTime(&milliseconds, begin_, end_) != cudaSuccess) return -1;
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  cudaStream_t queue_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

inline bool HasGpu(benchmark::State& state) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0) return true;
  state.SkipWithError("no CUDA device on this machine");
  return false;
}

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_CUDA_GPU_CLOCK_H_
