// Indices and weights of palettes on CUDA devices, and the look at values that are not finite.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_PALETTE_KERNELS_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_PALETTE_KERNELS_H_

#include <cstdint>

#include "dkm/kernels/cuda/distinct.h"
#include "dkm/kernels/cuda/number.h"
#include "dkm/kernels/cuda/palette.h"

namespace tierlib::dkm::cuda {

// A thread takes one vector after the other. Reference: host/palettize.cc.
template <typename T>
struct PalettizeKernel : PlainKernel {
  PalettizeArguments<T> a;
  int blocks = 0;

  TIERLIB_HOST_DEVICE T Weight(std::int64_t i) const {
    if constexpr (sizeof(T) == 8) return static_cast<const double*>(a.weights)[i];
    return static_cast<T>(ReadElement(a.dtype, a.weights, i));
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const std::int64_t step = std::int64_t{blocks} * kThreads;
    for (std::int64_t i = std::int64_t{block} * kThreads + thread; i < a.vectors; i += step) {
      T least = static_cast<T>(HUGE_VALF);
      int nearest = 0;
      for (int j = 0; j < a.clusters; ++j) {
        T distance = 0;
        for (int c = 0; c < a.dim; ++c) {
          const T difference = Weight(i * a.dim + c) - a.centroids[j * a.dim + c];
          distance += difference * difference;
        }
        if (a.prune_threshold > 0) {
          if (a.metric == Metric::kEuclidean) distance = Root(distance);
          if (j == 0) distance -= static_cast<T>(a.prune_threshold);
        }
        if (distance < least) {
          least = distance;
          nearest = j;
        }
      }
      if (a.indices != nullptr) a.indices[i] = static_cast<std::uint8_t>(nearest);
      for (int c = 0; a.output != nullptr && c < a.dim; ++c) {
        const T value = a.centroids[nearest * a.dim + c];
        if constexpr (sizeof(T) == 8) {
          static_cast<double*>(a.output)[i * a.dim + c] = value;
        } else {
          WriteElement(a.dtype, a.output, i * a.dim + c, value);
        }
      }
    }
  }
};

// Eight indices, which are `bits` whole bytes; fewer at the end of a row.
struct EightIndices {
  std::int64_t row;
  std::int64_t column;
  int count;
  std::int64_t byte;  // where they begin
  int bytes;

  TIERLIB_HOST_DEVICE static EightIndices At(const PaletteShape& s, std::int64_t item, std::int64_t of_row,
                                             std::int64_t row_bytes) {
    EightIndices e;
    e.row = item / of_row;
    const std::int64_t eight = item % of_row;
    e.column = eight * 8;
    e.count = static_cast<int>(s.columns - e.column < 8 ? s.columns - e.column : 8);
    e.byte = e.row * row_bytes + eight * s.bits;
    e.bytes = (e.count * s.bits + 7) / 8;
    return e;
  }
  TIERLIB_HOST_DEVICE std::uint64_t Word(const std::uint8_t* packed) const {
    std::uint64_t word = 0;
    for (int i = 0; i < bytes; ++i) word |= std::uint64_t{packed[byte + i]} << (8 * i);
    return word;
  }
};

// A kernel whose threads take eight indices at a time.
struct EightsKernel : PlainKernel {
  PaletteShape shape;
  std::int64_t row_bytes = 0;
  std::int64_t of_row = 0;
  int blocks = 0;

  void Set(const PaletteShape& s) {
    shape = s;
    row_bytes = s.row_bytes();
    of_row = (s.columns + 7) / 8;
    blocks = BlocksFor(of_row * s.rows, kThreads, 4096);
  }
  template <class Body>
  TIERLIB_HOST_DEVICE void ForEachEight(int block, int thread, const Body& body) const {
    const std::int64_t step = std::int64_t{blocks} * kThreads;
    for (std::int64_t i = std::int64_t{block} * kThreads + thread; i < of_row * shape.rows; i += step) {
      body(EightIndices::At(shape, i, of_row, row_bytes));
    }
  }
};

// Reference: PackBits and UnpackBits in host/packed_bits.cc.
struct PackKernel : EightsKernel {
  const std::uint8_t* indices = nullptr;
  std::uint8_t* packed = nullptr;
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    ForEachEight(block, thread, [&](const EightIndices& e) {
      const std::uint8_t* const from = indices + e.row * shape.columns + e.column;
      std::uint64_t word = 0;
      for (int i = 0; i < e.count; ++i) word |= std::uint64_t{from[i]} << (i * shape.bits);
      for (int i = 0; i < e.bytes; ++i) packed[e.byte + i] = static_cast<std::uint8_t>(word >> (8 * i));
    });
  }
};
struct UnpackKernel : EightsKernel {
  const std::uint8_t* packed = nullptr;
  std::uint8_t* indices = nullptr;
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const std::uint64_t mask = (std::uint64_t{1} << shape.bits) - 1;
    ForEachEight(block, thread, [&](const EightIndices& e) {
      const std::uint64_t word = e.Word(packed);
      std::uint8_t* const to = indices + e.row * shape.columns + e.column;
      for (int i = 0; i < e.count; ++i) to[i] = static_cast<std::uint8_t>(word >> (i * shape.bits) & mask);
    });
  }
};
struct UnpackWeightsKernel : EightsKernel {
  const std::uint8_t* packed = nullptr;
  const float* tables = nullptr;
  DType dtype = DType::kF32;
  void* weights = nullptr;
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const std::uint64_t mask = (std::uint64_t{1} << shape.bits) - 1;
    ForEachEight(block, thread, [&](const EightIndices& e) {
      const std::uint64_t word = e.Word(packed);
      const float* const table = tables + e.row / shape.group_rows * (std::int64_t{1} << shape.bits);
      for (int i = 0; i < e.count; ++i) {
        WriteElement(dtype, weights, e.row * shape.columns + e.column + i, table[word >> (i * shape.bits) & mask]);
      }
    });
  }
};

// The first value whose exponent has all bits set. Reference: host/finite.cc.
struct FindNonFiniteKernel : PlainKernel {
  FindNonFiniteArguments a;
  int blocks = 0;

  TIERLIB_HOST_DEVICE bool IsFinite(std::int64_t i) const {
    if (a.dtype == DType::kF64) {
      const std::uint64_t exponent = 0x7ff0000000000000;
      return (static_cast<const std::uint64_t*>(a.values)[i] & exponent) != exponent;
    }
    if (a.dtype == DType::kF32) {
      return (static_cast<const std::uint32_t*>(a.values)[i] & 0x7f800000) != 0x7f800000;
    }
    return IsFinitePattern(a.dtype, static_cast<const std::uint16_t*>(a.values)[i]);
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const std::int64_t step = std::int64_t{blocks} * kThreads;
    for (std::int64_t i = std::int64_t{block} * kThreads + thread; i < a.count; i += step) {
      if (IsFinite(i)) continue;
      AtomicMin(a.found, i);
      return;
    }
  }
};

struct ResetPosition : PlainKernel {
  static constexpr int kThreads = 32;
  std::int64_t* position = nullptr;
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int thread, Shared*) const {
    if (thread == 0) *position = kNoPosition;
  }
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_PALETTE_KERNELS_H_
