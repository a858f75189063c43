// A pool of threads for data-parallel loops with results that do not depend on the number of threads.
#ifndef TIERLIB_SRC_BASE_THREAD_POOL_H_
#define TIERLIB_SRC_BASE_THREAD_POOL_H_

#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"

namespace tierlib {

// Thread-safety: ParallelFor may be called from one thread at a time; a call from inside a loop body runs inline.
class ThreadPool {
 public:
  // `threads` counts the caller of ParallelFor; 0 means all processors.
  // `on_worker_start`, where there is one, is called first thing on each thread of the pool, not on the caller's.
  explicit ThreadPool(int threads, void (*on_worker_start)() = nullptr);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(begin, end) for the tiles [0, grain), [grain, 2 grain), ... of [0, count). Tile boundaries depend on `count`
  // and `grain` alone, and which thread runs a tile is open: a body that writes only what belongs to its tile gives the
  // same bits for any number of threads. Returns when all tiles are done; allocates nothing. REQUIRES: grain > 0.
  void ParallelFor(std::int64_t count, std::int64_t grain, absl::FunctionRef<void(std::int64_t, std::int64_t)> body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_THREAD_POOL_H_
