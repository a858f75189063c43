#include "dkm/kernels/distinct.h"

#include <algorithm>

namespace tierlib::dkm::host {
namespace {

namespace chunk = autograd::host;

constexpr std::int64_t kStretchGrain = 4096;  // patterns

// sums[u] of the first piece += those of the others, for u in [begin, end).
void AddPieces(std::size_t pieces, std::size_t begin, std::size_t end, PatternSum* sums) {
  for (std::size_t piece = 1; piece < pieces; ++piece) {
    const PatternSum* const others = sums + piece * kPatterns;
    for (std::size_t u = begin; u < end; ++u) {
      sums[u].sum += others[u].sum;
      sums[u].count += others[u].count;
    }
  }
}

}  // namespace

void CountByPattern(KernelContext& context, const ExactShape& shape, const void* weights, std::uint32_t* counts,
                    std::uint64_t* totals) {
  ForEachPiece(context, shape.table.vectors, [&](std::size_t piece, std::int64_t begin, std::int64_t end) {
    std::uint32_t* const own = counts + piece * kPatterns;
    std::fill_n(own, kPatterns, 0u);
    ForEachRun(shape, weights, begin, end, [&](std::int64_t, std::int64_t n, const std::uint16_t* patterns) {
      CountPatterns(patterns, static_cast<std::size_t>(n), own);
    });
  });
  const std::size_t pieces = PieceCount(shape.table.vectors);
  context.pool.ParallelFor(kPatterns, kStretchGrain, [&](std::int64_t begin, std::int64_t end) {
    std::copy(counts + begin, counts + end, totals + begin);
    for (std::size_t piece = 1; piece < pieces; ++piece) {
      for (std::int64_t u = begin; u < end; ++u) totals[u] += counts[piece * kPatterns + static_cast<std::size_t>(u)];
    }
  });
  totals[0] += totals[kSign];
  totals[kSign] = 0;
}

void SumGradients(KernelContext& context, const ExactShape& shape, const PatternRange& range, const void* weights,
                  const void* gradient, PatternSum* sums) {
  ForEachPiece(context, shape.table.vectors, [&](std::size_t piece, std::int64_t begin, std::int64_t end) {
    PatternSum* const own = sums + piece * kPatterns;
    range.ForEachStretch([&](std::size_t from, std::size_t to) { std::fill(own + from, own + to, PatternSum()); });
    own[kSign] = PatternSum();
    float buffer[chunk::kChunk];
    ForEachRun(shape, weights, begin, end, [&](std::int64_t first, std::int64_t n, const std::uint16_t* patterns) {
      const auto count = static_cast<std::size_t>(n);
      if (shape.stored == DType::kBF16) {
        SumByPattern(patterns, static_cast<const std::uint16_t*>(gradient) + first, count, own);
      } else {
        SumByPattern(patterns, chunk::ReadChunk<float>(shape.stored, gradient, first, 1, n, buffer), count, own);
      }
    });
    own[0].sum += own[kSign].sum;
    own[0].count += own[kSign].count;
  });
  range.ForEachStretch([&](std::size_t from, std::size_t to) {
    context.pool.ParallelFor(static_cast<std::int64_t>(to - from), kStretchGrain,
                             [&](std::int64_t begin, std::int64_t end) {
                               AddPieces(PieceCount(shape.table.vectors), from + static_cast<std::size_t>(begin),
                                         from + static_cast<std::size_t>(end), sums);
                             });
  });
}

template <typename T>
PatternRange ListCounted(const ExactShape& shape, const std::uint64_t* totals, Distinct<T>& distinct) {
  PatternRange range{kSign, 0};
  for (std::size_t u = 0; u < kPatterns; ++u) {
    if (totals[u] == 0) continue;
    distinct.patterns[distinct.count] = static_cast<std::uint16_t>(u);
    distinct.counts[distinct.count++] = static_cast<T>(totals[u]);
    const std::size_t magnitude = u & (kSign - 1);
    if (magnitude == 0) continue;
    range.smallest = std::min(range.smallest, magnitude);
    range.largest = std::max(range.largest, magnitude);
  }
  if (range.largest == 0) range.smallest = 1;
  ReadValues(shape.pattern, distinct.patterns, distinct.count, distinct.values);
  return range;
}

template <typename T>
void ListSummed(const ExactShape& shape, const PatternRange& range, const PatternSum* sums, Distinct<T>& distinct) {
  range.ForEachStretch([&](std::size_t begin, std::size_t end) {
    for (std::size_t u = begin; u < end; ++u) {
      if (sums[u].count == 0) continue;
      distinct.patterns[distinct.count] = static_cast<std::uint16_t>(u);
      distinct.sums[distinct.count] = static_cast<T>(sums[u].sum);
      distinct.counts[distinct.count++] = static_cast<T>(sums[u].count);
    }
  });
  ReadValues(shape.pattern, distinct.patterns, distinct.count, distinct.values);
}

template <typename T>
void ReadValues(DType pattern, const std::uint16_t* patterns, std::int64_t count, T* values) {
  for (std::int64_t first = 0; first < count; first += chunk::kChunk) {
    chunk::ReadChunk<T>(pattern, patterns, first, 1, std::min(chunk::kChunk, count - first), values + first);
  }
}

template void ReadValues(DType, const std::uint16_t*, std::int64_t, float*);
template void ReadValues(DType, const std::uint16_t*, std::int64_t, double*);
template PatternRange ListCounted(const ExactShape&, const std::uint64_t*, Distinct<float>&);
template PatternRange ListCounted(const ExactShape&, const std::uint64_t*, Distinct<double>&);
template void ListSummed(const ExactShape&, const PatternRange&, const PatternSum*, Distinct<float>&);
template void ListSummed(const ExactShape&, const PatternRange&, const PatternSum*, Distinct<double>&);

}  // namespace tierlib::dkm::host
