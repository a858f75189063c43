// Weights and what belongs to them, as the kernels that go over all of them read and write: in packs, by chunks, each
// weight by its pattern, the 16 bits that it is or rounds to (dkm/kernels/exact.h).
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_WEIGHT_ARRAY_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_WEIGHT_ARRAY_H_

#include <cstdint>
#include <type_traits>

#include "dkm/kernels/clustering_shape.h"
#include "dkm/kernels/cuda/number.h"

namespace tierlib::dkm::cuda {

using host::ExactShape;

inline constexpr int kPatterns = 65536;
inline constexpr int kSign = 0x8000;  // the pattern of the negative zero, too
inline constexpr int kPackWeights = 8;

// Where the exponent of a pattern has all its bits set: an infinity or a NaN.
TIERLIB_HOST_DEVICE inline bool IsFinitePattern(DType pattern, std::uint16_t u) {
  return (u & (kSign - 1)) < (pattern == DType::kBF16 ? 0x7f80 : 0x7c00);
}

// Weights and what belongs to them, read and written eight at a time where they lie so.
struct WeightArray {
  DType stored = DType::kBF16;
  bool packed = false;  // 16 bytes may be accessed at a multiple of 16
  void* data = nullptr;

  // kCount is kPackWeights or 1: numbers that the compiler knows keep the elements in registers.
  template <int kCount>
  TIERLIB_HOST_DEVICE void Read(std::int64_t first, float* values) const {
    if constexpr (kCount == kPackWeights) {
      if (packed) return ReadPack(first, values);
    }
    for (int i = 0; i < kCount; ++i) values[i] = ReadElement(stored, data, first + i);
  }
  template <int kCount>
  TIERLIB_HOST_DEVICE void Write(std::int64_t first, const float* values) const {
    if constexpr (kCount == kPackWeights) {
      if (packed) return WritePack(first, values);
    }
    for (int i = 0; i < kCount; ++i) WriteElement(stored, data, first + i, values[i]);
  }
  // The 16 bits of each.
  template <int kCount>
  TIERLIB_HOST_DEVICE void ReadBits(std::int64_t first, std::uint16_t* bits) const {
    if constexpr (kCount == kPackWeights) {
      if (packed) {
        const auto from = static_cast<const Pack<std::uint16_t, 8>*>(data)[first / 8];
        for (int i = 0; i < 8; ++i) bits[i] = from.elements[i];
        return;
      }
    }
    for (int i = 0; i < kCount; ++i) bits[i] = static_cast<const std::uint16_t*>(data)[first + i];
  }
  template <int kCount>
  TIERLIB_HOST_DEVICE void WriteBits(std::int64_t first, const std::uint16_t* bits) const {
    if constexpr (kCount == kPackWeights) {
      if (packed) {
        Pack<std::uint16_t, 8> to;
        for (int i = 0; i < 8; ++i) to.elements[i] = bits[i];
        static_cast<Pack<std::uint16_t, 8>*>(data)[first / 8] = to;
        return;
      }
    }
    for (int i = 0; i < kCount; ++i) static_cast<std::uint16_t*>(data)[first + i] = bits[i];
  }
  // The patterns of weights.
  template <int kCount>
  TIERLIB_HOST_DEVICE void ReadPatterns(DType pattern, std::int64_t first, std::uint16_t* patterns) const {
    if (stored == pattern) return ReadBits<kCount>(first, patterns);
    float values[kCount];
    Read<kCount>(first, values);
    for (int i = 0; i < kCount; ++i) patterns[i] = ToBits(pattern, values[i]);
  }

 private:
  TIERLIB_HOST_DEVICE void ReadPack(std::int64_t first, float* values) const {
    if (stored == DType::kF32) {
      const auto* const from = static_cast<const Pack<float, 4>*>(data) + first / 4;
      const Pack<float, 4> low = from[0], high = from[1];
      for (int i = 0; i < 4; ++i) values[i] = low.elements[i];
      for (int i = 0; i < 4; ++i) values[4 + i] = high.elements[i];
    } else {
      const auto from = static_cast<const Pack<std::uint16_t, 8>*>(data)[first / 8];
      for (int i = 0; i < 8; ++i) values[i] = FromBits(stored, from.elements[i]);
    }
  }
  TIERLIB_HOST_DEVICE void WritePack(std::int64_t first, const float* values) const {
    if (stored == DType::kF32) {
      auto* const to = static_cast<Pack<float, 4>*>(data) + first / 4;
      Pack<float, 4> low, high;
      for (int i = 0; i < 4; ++i) low.elements[i] = values[i];
      for (int i = 0; i < 4; ++i) high.elements[i] = values[4 + i];
      to[0] = low;
      to[1] = high;
    } else {
      Pack<std::uint16_t, 8> to;
      for (int i = 0; i < 8; ++i) to.elements[i] = ToBits(stored, values[i]);
      static_cast<Pack<std::uint16_t, 8>*>(data)[first / 8] = to;
    }
  }
};

inline WeightArray ArrayOf(DType stored, const void* data) {
  WeightArray array;
  array.stored = stored;
  array.packed = IsPackAligned(data);
  array.data = const_cast<void*>(data);
  return array;
}

// Packs of a chunk of weights, that blocks of a kernel take: of [begin, end). begin is a multiple of a pack.
struct ChunkRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  // Calls body(first, count) for this thread's packs; count.value is kPackWeights, or 1 for each of the last ones.
  template <class Body>
  TIERLIB_HOST_DEVICE void ForEachPack(int thread, int threads, const Body& body) const {
    const std::int64_t step = std::int64_t{threads} * kPackWeights;
    for (std::int64_t first = begin + std::int64_t{thread} * kPackWeights; first < end; first += step) {
      if (first + kPackWeights <= end) {
        body(first, std::integral_constant<int, kPackWeights>());
      } else {
        for (std::int64_t i = first; i < end; ++i) body(i, std::integral_constant<int, 1>());
      }
    }
  }
};

// Counts in shared memory have 16 bits, and sums of 16 bits 32.
inline constexpr std::int64_t kMostChunk = 63 * 1024;

// Weights of a chunk, a multiple of a pack: two for each processor where they are not too long.
inline std::int64_t ChunkLength(std::int64_t weights, const DeviceLimits& limits) {
  constexpr std::int64_t kLeast = 8 * 1024;
  const std::int64_t even = weights / (2 * limits.processors) / 1024 * 1024 + 1024;
  return even < kLeast ? kLeast : (even > kMostChunk ? kMostChunk : even);
}

// What goes over weights chunk by chunk and keeps something of each pattern in shared memory: of `window` patterns, or
// slots, at a time, so each chunk is a task for each window.
struct WindowedPass {
  using Shared = std::uint32_t;
  static constexpr int kThreads = 1024;
  static constexpr int kStartPhases = 0;
  static constexpr int kFinishPhases = 0;

  WeightArray weights;
  DType pattern = DType::kBF16;
  std::int64_t count = 0;
  std::int64_t chunk = 0;
  int window = 0;
  int blocks = 0;

  // All but what blocks there are, with `slots` of shared memory.
  void SetWeights(const ExactShape& shape, const void* data, const DeviceLimits& limits, int slots) {
    weights = ArrayOf(shape.stored, data);
    pattern = shape.pattern;
    count = shape.table.vectors;
    chunk = ChunkLength(count, limits);
    window = slots;
  }

  TIERLIB_HOST_DEVICE std::int64_t Chunks() const { return (count + chunk - 1) / chunk; }
  TIERLIB_HOST_DEVICE std::int64_t RoundsFor(int block, std::int64_t tasks) const {
    return tasks <= block ? 0 : (tasks - block + blocks - 1) / blocks;
  }
  TIERLIB_HOST_DEVICE ChunkRange RangeOf(std::int64_t chunk_number) const {
    const std::int64_t begin = chunk_number * chunk;
    return {begin, begin + chunk < count ? begin + chunk : count};
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int, Shared*) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_WEIGHT_ARRAY_H_
