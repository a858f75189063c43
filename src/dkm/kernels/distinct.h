// The first half of either pass of the exact form: from N weights to their distinct values. Private to exact.cc.
//
// Weights are gone through in pieces, each with a table of its own that it adds to, and in runs of patterns. The tables
// of the pieces are then added up in their order.
#ifndef TIERLIB_SRC_DKM_KERNELS_DISTINCT_H_
#define TIERLIB_SRC_DKM_KERNELS_DISTINCT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "autograd/kernels/host/chunk.h"
#include "base/thread_pool.h"
#include "dkm/kernels/exact.h"
#include "dkm/kernels/pattern_pass.h"

namespace tierlib::dkm::host {

inline constexpr std::uint16_t kSign = 0x8000;  // the pattern of the negative zero, too

// Weights of a piece: a multiple of a run. As many pieces as threads may want, but each long enough to be worth its
// table.
inline std::int64_t PieceLength(std::int64_t weights) {
  constexpr std::int64_t kShortest = std::int64_t{1} << 18;
  constexpr std::int64_t kMostPieces = 8;
  constexpr std::int64_t kRun = autograd::host::kChunk;
  const std::int64_t even = (weights + kMostPieces - 1) / kMostPieces;
  return (std::max(even, kShortest) + kRun - 1) / kRun * kRun;
}

inline std::size_t PieceCount(std::int64_t weights) {
  const std::int64_t length = PieceLength(weights);
  return static_cast<std::size_t>((weights + length - 1) / length);
}

// Calls body(first, n, patterns) for runs of weights in [begin, end), in their order.
template <typename Body>
void ForEachRun(const ExactShape& shape, const void* weights, std::int64_t begin, std::int64_t end, const Body& body) {
  namespace chunk = autograd::host;
  std::uint16_t rounded[chunk::kChunk];
  for (std::int64_t first = begin; first < end; first += chunk::kChunk) {
    const std::int64_t n = std::min(chunk::kChunk, end - first);
    const std::uint16_t* patterns = rounded;
    if (shape.stored == shape.pattern) {
      patterns = static_cast<const std::uint16_t*>(weights) + first;
    } else {
      chunk::CloseChunk<float>(shape.pattern, rounded, 0, 1, n, static_cast<const float*>(weights) + first);
    }
    body(first, n, patterns);
  }
}

// Calls body(piece, begin, end) for all pieces, on the threads of the pool.
template <typename Body>
void ForEachPiece(KernelContext& context, std::int64_t weights, const Body& body) {
  const std::int64_t length = PieceLength(weights);
  context.pool.ParallelFor(weights, length, [&](std::int64_t begin, std::int64_t end) {
    body(static_cast<std::size_t>(begin / length), begin, end);
  });
}

// The patterns that weights may have: zero, and those with magnitudes from `smallest` to `largest`; none but zero where
// smallest > largest.
struct PatternRange {
  std::size_t smallest = 1;
  std::size_t largest = 0;

  // Calls body(begin, end) for its stretches of patterns: the positive ones, then the negative.
  template <typename Body>
  void ForEachStretch(const Body& body) const {
    body(std::size_t{0}, std::size_t{1});
    if (smallest > largest) return;
    body(smallest, largest + 1);
    body(kSign + smallest, kSign + largest + 1);
  }
};

// Distinct values in the order of their patterns.
template <typename T>
struct Distinct {
  std::int64_t count = 0;             // U
  std::uint16_t* patterns = nullptr;  // [U]
  T* values = nullptr;                // [U]
  T* counts = nullptr;                // [U]: n_u
  T* sums = nullptr;                  // [U]: S_u; null in the forward pass
};

// totals [patterns]: how many weights have each; those of the negative zero are with the other. counts:
// [PieceCount][patterns], room.
void CountByPattern(KernelContext& context, const ExactShape& shape, const void* weights, std::uint32_t* counts,
                    std::uint64_t* totals);

// sums [PieceCount][patterns]: the first table gets the sum of gradients [N] and the number of weights of each pattern
// in `range`, those of the negative zero with the other; patterns beyond it are left alone.
void SumGradients(KernelContext& context, const ExactShape& shape, const PatternRange& range, const void* weights,
                  const void* gradient, PatternSum* sums);

// Fill `distinct` from tables of the above. The first returns the range that they lie in.
template <typename T>
PatternRange ListCounted(const ExactShape& shape, const std::uint64_t* totals, Distinct<T>& distinct);
template <typename T>
void ListSummed(const ExactShape& shape, const PatternRange& range, const PatternSum* sums, Distinct<T>& distinct);

// values[i] of patterns[i], both [count].
template <typename T>
void ReadValues(DType pattern, const std::uint16_t* patterns, std::int64_t count, T* values);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_DISTINCT_H_
