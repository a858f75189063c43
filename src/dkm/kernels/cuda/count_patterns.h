// Counts of patterns on CUDA devices. Counts are integers, which atomics may add in any order. Blocks gather them in
// shared memory and add what is not zero to the table: weights of one layer have few patterns, so that is little.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_COUNT_PATTERNS_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_COUNT_PATTERNS_H_

#include <cstddef>
#include <cstdint>

#include "dkm/kernels/cuda/weight_array.h"

namespace tierlib::dkm::cuda {

// counts[u] += how many weights have pattern u. Two 16-bit counts to a word of shared memory, for `window` patterns at
// a time: all of them where a block may have 128 KiB (Ampere's and Hopper's large devices), otherwise in two turns.
// Reference: CountByPattern in host/distinct.cc.
struct CountPatterns : WindowedPass {
  static constexpr int kRoundPhases = 3;

  std::uint64_t* counts = nullptr;  // [patterns], zeroed

  void Set(const ExactShape& shape, const void* data, const DeviceLimits& limits) {
    SetWeights(shape, data, limits, WindowFor(limits));
    blocks = BlocksFor(Tasks(), 1, limits.processors);
  }
  static int WindowFor(const DeviceLimits& limits) {
    int window = kPatterns;
    while (window * 2 > limits.shared_bytes) window /= 2;
    return window;
  }
  std::size_t SharedBytes() const { return static_cast<std::size_t>(window) * 2; }
  TIERLIB_HOST_DEVICE std::int64_t Tasks() const { return Chunks() * (kPatterns / window); }
  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const { return RoundsFor(block, Tasks()); }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* words) const {
    const std::int64_t task = block + round * blocks;
    const int from = static_cast<int>(task % (kPatterns / window)) * window;
    if constexpr (kPhase == 0) {
      for (int i = thread; i < window / 2; i += kThreads) words[i] = 0;
    } else if constexpr (kPhase == 1) {
      RangeOf(task / (kPatterns / window)).ForEachPack(thread, kThreads, [&](std::int64_t first, auto count_here) {
        constexpr int n = decltype(count_here)::value;
        std::uint16_t patterns[n];
        weights.ReadPatterns<n>(pattern, first, patterns);
        for (int i = 0; i < n; ++i) {
          const int bin = patterns[i] - from;
          if (bin >= 0 && bin < window) AtomicAdd(&words[bin / 2], std::uint32_t{1} << (bin % 2 * 16));
        }
      });
    } else {
      for (int i = thread; i < window / 2; i += kThreads) {
        const std::uint32_t word = words[i];
        if ((word & 0xffff) != 0) AtomicAdd(&counts[from + 2 * i], std::uint64_t{word & 0xffff});
        if ((word >> 16) != 0) AtomicAdd(&counts[from + 2 * i + 1], std::uint64_t{word >> 16});
      }
    }
  }
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_COUNT_PATTERNS_H_
