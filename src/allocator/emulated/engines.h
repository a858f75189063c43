// Engines of an emulated device: one that computes and one per direction that copies. Streams take turns for each.
//
// Thread-safety: every function may be called from several threads.
#ifndef TIERLIB_SRC_ALLOCATOR_EMULATED_ENGINES_H_
#define TIERLIB_SRC_ALLOCATOR_EMULATED_ENGINES_H_

#include <cstdint>

#include "allocator/device_backend.h"
#include "allocator/emulated/kernel_scope.h"
#include "allocator/emulated/work.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "tierlib/options.h"

namespace tierlib::emulated {

// Copies one operation's runs, without any throttle.
void MoveBytes(const CopyWork& copy);

// Runs kernels one at a time, each on all threads of its pool.
class ComputeEngine {
 public:
  explicit ComputeEngine(int threads) : pool_(threads, KernelScope::MarkThread) {}
  // For how long the kernel ran; waiting for its turn is left out.
  std::int64_t Run(HostKernel& kernel);
  void Run(const CopyWork& copy);  // within the device
  void Run(const FillWork& fill);

 private:
  Mutex turn_;
  ThreadPool pool_;
};

// Copies of one direction, one at a time, each taking at least latency + bytes / bandwidth, and its share of the
// jitter.
class CopyEngine {
 public:
  // bytes_per_s 0: as fast as memory goes.
  CopyEngine(double bytes_per_s, const EmulatedOptions& options)
      : bytes_per_s_(bytes_per_s),
        latency_ns_(options.copy_latency_ns),
        jitter_ns_(options.copy_jitter_ns),
        random_(options.seed) {}
  void Run(const CopyWork& copy);

 private:
  const double bytes_per_s_;
  const std::uint64_t latency_ns_;
  const std::uint64_t jitter_ns_;
  Mutex turn_;
  Random random_ ABSL_GUARDED_BY(turn_);  // one draw a copy
};

struct Engines {
  explicit Engines(const EmulatedOptions& options)
      : compute(options.kernel_threads),
        out(options.copy_out_bytes_per_s, options),
        in(options.copy_in_bytes_per_s, options) {}
  // Runs one operation to its end on the engine that it needs.
  void Run(const CopyWork& copy);

  ComputeEngine compute;
  CopyEngine out;
  CopyEngine in;
};

}  // namespace tierlib::emulated

#endif  // TIERLIB_SRC_ALLOCATOR_EMULATED_ENGINES_H_
