// The last passes of the exact form over all weights on CUDA devices: each looks its pattern up in a table.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_GATHER_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_GATHER_H_

#include <cstdint>

#include "dkm/kernels/cuda/weight_array.h"

namespace tierlib::dkm::cuda {

// output[i] = table[u(i)], of float32 or of 16 bits; finds the first weight that is not finite. Reference: Gather in
// host/exact.cc.
struct Gather : PlainKernel {
  WeightArray weights;
  WeightArray output;  // of weights.stored
  DType pattern = DType::kBF16;
  std::int64_t count = 0;
  int blocks = 0;
  const void* table = nullptr;               // [patterns] of weights.stored
  std::int64_t* first_non_finite = nullptr;  // lowered; null: not wanted

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const ChunkRange all{0, count};
    all.ForEachPack(block * kThreads + thread, blocks * kThreads, [&](std::int64_t first, auto count_here) {
      constexpr int n = decltype(count_here)::value;
      std::uint16_t patterns[n];
      weights.ReadPatterns<n>(pattern, first, patterns);
      if (weights.stored == DType::kF32) {
        float values[n];
        for (int i = 0; i < n; ++i) values[i] = static_cast<const float*>(table)[patterns[i]];
        output.Write<n>(first, values);
      } else {
        std::uint16_t bits[n];
        for (int i = 0; i < n; ++i) bits[i] = static_cast<const std::uint16_t*>(table)[patterns[i]];
        output.WriteBits<n>(first, bits);
      }
      if (first_non_finite == nullptr) return;
      for (int i = 0; i < n; ++i) {
        if (!IsFinitePattern(pattern, patterns[i])) AtomicMin(first_non_finite, first + i);
      }
    });
  }
};

// What makes the gradient of a weight from that of the output: G slope + offset.
struct alignas(8) SlopeOffset {
  float slope;
  float offset;
};

// weight_gradient[i] = G_i slope + offset of u(i). Reference: Apply in host/exact.cc.
struct ApplySlopes : PlainKernel {
  WeightArray weights;
  WeightArray gradient;
  WeightArray weight_gradient;  // may be `gradient`
  DType pattern = DType::kBF16;
  std::int64_t count = 0;
  int blocks = 0;
  const SlopeOffset* table = nullptr;  // [patterns]

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const ChunkRange all{0, count};
    all.ForEachPack(block * kThreads + thread, blocks * kThreads, [&](std::int64_t first, auto count_here) {
      constexpr int n = decltype(count_here)::value;
      std::uint16_t patterns[n];
      float values[n];
      weights.ReadPatterns<n>(pattern, first, patterns);
      gradient.Read<n>(first, values);
      for (int i = 0; i < n; ++i) {
        const SlopeOffset entry = table[patterns[i]];
        values[i] = Fma(values[i], entry.slope, entry.offset);
      }
      weight_gradient.Write<n>(first, values);
    });
  }
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_GATHER_H_
