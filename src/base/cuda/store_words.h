// How a few KiB get into device memory in stream order: as arguments of kernels, which the driver copies at the call.
// No host memory has to stay, nothing waits, and a CUDA graph may capture it.
#ifndef TIERLIB_SRC_BASE_CUDA_STORE_WORDS_H_
#define TIERLIB_SRC_BASE_CUDA_STORE_WORDS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/cuda/grid.h"
#include "tierlib/status.h"

namespace tierlib {

// Writes words that came as an argument. 3.5 KiB: arguments of a kernel may have 4 KiB on every device.
struct StoreWords : PlainKernel {
  static constexpr int kMost = 448;
  std::uint64_t* to = nullptr;
  int count = 0;
  std::uint64_t words[kMost] = {};

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int thread, Shared*) const {
    for (int i = thread; i < count; i += kThreads) to[i] = words[i];
  }
};

// Copies `bytes` bytes to device memory. REQUIRES: a multiple of 8, `to` is aligned to 8.
template <class Grid>
Status StoreBytes(Grid& grid, const void* from, std::size_t bytes, void* to) {
  StoreWords store;
  const std::size_t words = bytes / sizeof(std::uint64_t);
  for (std::size_t done = 0; done < words; done += StoreWords::kMost) {
    store.count = static_cast<int>(std::min<std::size_t>(words - done, StoreWords::kMost));
    store.to = static_cast<std::uint64_t*>(to) + done;
    std::memcpy(store.words, static_cast<const std::byte*>(from) + done * sizeof(std::uint64_t),
                static_cast<std::size_t>(store.count) * sizeof(std::uint64_t));
    TIERLIB_RETURN_IF_ERROR(grid.Run(store, 1));
  }
  return OkStatus();
}

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_CUDA_STORE_WORDS_H_
