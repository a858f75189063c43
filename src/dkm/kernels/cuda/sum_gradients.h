// Sums of gradients by pattern on CUDA devices, the same in whatever order threads come: sums of fixed point. With
// max |G| < 2^e each G is rounded to a multiple of 2^(e - 30), an error of at most 2^-30 max |G| each, and from there
// on sums are exact. Shared memory has no fast 64-bit atomics, so a block keeps a sum as two 32-bit ones, of the low 16
// bits and of the rest, which at most 65,535 weights do not overflow.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_SUM_GRADIENTS_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_SUM_GRADIENTS_H_

#include <bit>
#include <cstddef>
#include <cstdint>

#include "dkm/kernels/cuda/weight_array.h"

namespace tierlib::dkm::cuda {

// The largest magnitude of a gradient as the bits of float32, which are in order. Of a NaN or an infinity: 0x7f800000
// or more.
struct LargestGradient {
  using Shared = std::uint32_t;
  static constexpr int kThreads = 512;
  static constexpr int kStartPhases = 3;
  static constexpr int kRoundPhases = 0;
  static constexpr int kFinishPhases = 0;

  WeightArray gradient;
  std::int64_t count = 0;
  int blocks = 0;
  std::uint32_t* largest = nullptr;  // zeroed

  TIERLIB_HOST_DEVICE std::int64_t Rounds(int) const { return 0; }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t, int, int, Shared*) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared* shared) const {
    if constexpr (kPhase == 0) {
      if (thread == 0) *shared = 0;
    } else if constexpr (kPhase == 1) {
      std::uint32_t own = 0;
      const ChunkRange all{0, count};
      all.ForEachPack(block * kThreads + thread, blocks * kThreads, [&](std::int64_t first, auto count_here) {
        constexpr int n = decltype(count_here)::value;
        float values[n];
        gradient.Read<n>(first, values);
        for (int i = 0; i < n; ++i) {
          const std::uint32_t bits = std::bit_cast<std::uint32_t>(values[i]) & 0x7fffffff;
          if (bits > own) own = bits;
        }
      });
      AtomicMax(shared, own);
    } else if (thread == 0) {
      AtomicMax(largest, *shared);
    }
  }
};

// How gradients are made integers of at most 2^30: G 2^shift.
struct FixedPoint {
  int shift = 0;
  bool finite = true;

  TIERLIB_HOST_DEVICE static FixedPoint For(std::uint32_t largest) {
    const int exponent = static_cast<int>(largest >> 23);  // largest < 2^(exponent - 126)
    return {30 - (exponent - 126), exponent < 255};
  }
  // In two steps, as 2^shift may be beyond float32; what is rounded on the way is far below 1.
  TIERLIB_HOST_DEVICE std::int32_t Of(float gradient) const {
    const int half = shift / 2;
    return static_cast<std::int32_t>(::rintf(gradient * PowerOfTwoF32(half) * PowerOfTwoF32(shift - half)));
  }
  TIERLIB_HOST_DEVICE double Sum(std::int64_t fixed) const {
    if (!finite) return static_cast<double>(HUGE_VALF) * 0.0;  // NaN
    return static_cast<double>(fixed) * PowerOfTwo(-shift);
  }
};

// sums[u] += the gradients of the weights with pattern u, and counts[u] += their number, for patterns in the range of a
// forward pass. A slot for each magnitude of the range and sign, and one for zero; `window` slots at a time.
// Reference: SumGradients in host/distinct.cc.
struct SumGradients : WindowedPass {
  static constexpr int kRoundPhases = 3;
  static constexpr int kBytesOfSlot = 12;

  WeightArray gradient;
  const double* range = nullptr;           // [2]: the smallest magnitude and the largest; 1 and 0: zero alone
  const std::uint32_t* largest = nullptr;  // of LargestGradient
  std::uint64_t* counts = nullptr;         // [patterns], zeroed
  std::int64_t* sums = nullptr;            // [patterns], zeroed

  void Set(const ExactShape& shape, const void* data, const DeviceLimits& limits) {
    SetWeights(shape, data, limits, WindowFor(limits));
    blocks = BlocksFor(Chunks(), 1, limits.processors);
  }
  static int WindowFor(const DeviceLimits& limits) { return limits.shared_bytes / kBytesOfSlot / 32 * 32; }
  std::size_t SharedBytes() const { return static_cast<std::size_t>(window) * kBytesOfSlot; }

  TIERLIB_HOST_DEVICE int Smallest() const { return static_cast<int>(range[0]); }
  TIERLIB_HOST_DEVICE int Magnitudes() const { return static_cast<int>(range[1]) - Smallest() + 1; }
  TIERLIB_HOST_DEVICE int Windows() const { return (2 * Magnitudes() + 1 + window - 1) / window; }
  // Slot 0 is zero; then the positive ones, then the negative.
  TIERLIB_HOST_DEVICE static int SlotOf(int u, int smallest, int magnitudes) {
    const int magnitude = u & (kSign - 1);
    return magnitude == 0 ? 0 : 1 + (magnitude - smallest) + (u >= kSign ? magnitudes : 0);
  }
  TIERLIB_HOST_DEVICE static int PatternOf(int slot, int smallest, int magnitudes) {
    if (slot == 0) return 0;
    return slot <= magnitudes ? slot - 1 + smallest : slot - 1 - magnitudes + smallest + kSign;
  }

  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const { return RoundsFor(block, Chunks() * Windows()); }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    std::uint32_t* const low = shared;
    std::uint32_t* const high = low + window;  // of signed numbers: additions wrap around alike
    std::uint32_t* const times = high + window;
    const int smallest = Smallest(), magnitudes = Magnitudes(), windows = Windows();
    const std::int64_t task = block + round * blocks;
    const int from = static_cast<int>(task % windows) * window;
    if constexpr (kPhase == 0) {
      for (int i = thread; i < 3 * window; i += kThreads) shared[i] = 0;
    } else if constexpr (kPhase == 1) {
      const FixedPoint fixed = FixedPoint::For(*largest);
      RangeOf(task / windows).ForEachPack(thread, kThreads, [&](std::int64_t first, auto count_here) {
        constexpr int n = decltype(count_here)::value;
        std::uint16_t patterns[n];
        float values[n];
        weights.ReadPatterns<n>(pattern, first, patterns);
        gradient.Read<n>(first, values);
        for (int i = 0; i < n; ++i) {
          const int slot = SlotOf(patterns[i], smallest, magnitudes) - from;
          if (slot < 0 || slot >= window) continue;
          const std::int32_t g = fixed.finite ? fixed.Of(values[i]) : 0;
          AtomicAdd(&low[slot], static_cast<std::uint32_t>(g) & 0xffff);
          AtomicAdd(&high[slot], static_cast<std::uint32_t>(g >> 16));
          AtomicAdd(&times[slot], std::uint32_t{1});
        }
      });
    } else {
      for (int i = thread; i < window; i += kThreads) {
        if (times[i] == 0) continue;
        const int u = PatternOf(from + i, smallest, magnitudes);
        const auto upper = static_cast<std::int64_t>(static_cast<std::int32_t>(high[i]));
        AtomicAdd(&counts[u], std::uint64_t{times[i]});
        AtomicAdd(&sums[u], upper * 65536 + static_cast<std::int64_t>(low[i]));
      }
    }
  }
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_SUM_GRADIENTS_H_
