// SequentialGrid: runs the CUDA kernels on the host, block after block and thread after thread. It is what the
// tests hold against the plain reference where there is no GPU, and what a GPU's results are compared with to the bit.
//
// Shared memory is full of rubbish when a block begins. Blocks, and the threads of each phase, can run in another order
// by a seed: results must not change.
//
// Thread-safety: one thread.
#ifndef TIERLIB_SRC_BASE_CUDA_SEQUENTIAL_GRID_H_
#define TIERLIB_SRC_BASE_CUDA_SEQUENTIAL_GRID_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/cuda/grid.h"
#include "base/random.h"
#include "tierlib/status.h"

namespace tierlib {

class SequentialGrid {
 public:
  // Seed 0: in ascending order.
  explicit SequentialGrid(DeviceLimits limits = {}, std::uint64_t seed = 0) : limits_(limits), seed_(seed) {}

  const DeviceLimits& limits() const { return limits_; }

  template <class Kernel>
  Status Run(const Kernel& kernel, int blocks, std::size_t shared_bytes = sizeof(typename Kernel::Shared)) {
    if (shared_bytes > static_cast<std::size_t>(limits_.shared_bytes)) {
      return InternalError("a block asks for more shared memory than the device has");
    }
    shared_.resize(shared_bytes / sizeof(Line) + 1);
    const std::vector<int> order = Order(blocks);
    const std::vector<int> threads = Order(Kernel::kThreads);
    for (const int block : order) {
      std::memset(static_cast<void*>(shared_.data()), 0xA5, shared_.size() * sizeof(Line));
      RunBlock(kernel, block, reinterpret_cast<typename Kernel::Shared*>(shared_.data()), [&](const auto& body) {
        for (const int thread : threads) body(thread);
      });
    }
    return OkStatus();
  }

  Status Clear(void* memory, std::size_t bytes) {
    std::memset(memory, 0, bytes);
    return OkStatus();
  }

 private:
  struct alignas(128) Line {  // as run_kernel.h aligns shared memory
    std::byte bytes[128];
  };

  std::vector<int> Order(int count) {
    std::vector<int> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    if (seed_ == 0) return order;
    Random random(seed_++);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
    return order;
  }

  DeviceLimits limits_;
  std::uint64_t seed_;
  std::vector<Line> shared_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_CUDA_SEQUENTIAL_GRID_H_
