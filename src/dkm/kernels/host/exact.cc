#include "dkm/kernels/exact.h"

#include <algorithm>
#include <bit>

#include "dkm/kernels/distinct.h"
#include "dkm/kernels/palettize.h"
#include "dkm/kernels/table.h"
#include "dkm/kernels/tile_pass.h"
#include "dkm/kernels/workspace_carver.h"

namespace tierlib::dkm::host {
namespace {

namespace chunk = autograd::host;

using Carver = WorkspaceCarver<64>;

TiledShape ShapeOfTable(const ExactShape& shape, std::int64_t values) {
  TiledShape table = shape.table;
  table.vectors = values;
  return table;
}

std::size_t MostValues(const ExactShape& shape) {
  return static_cast<std::size_t>(std::min<std::int64_t>(shape.table.vectors, kPatterns));
}

template <typename T>
void TakeDistinct(const ExactShape& shape, bool with_sums, Carver& carver, Distinct<T>& distinct) {
  const std::size_t most = MostValues(shape);
  distinct.patterns = carver.Take<std::uint16_t>(most);
  distinct.values = carver.Take<T>(most);
  distinct.counts = carver.Take<T>(most);
  if (with_sums) distinct.sums = carver.Take<T>(most);
}

std::byte* TakeTableWorkspace(const ExactShape& shape, std::size_t element_bytes, Carver& carver) {
  return carver.Take<std::byte>(
      TiledWorkspaceBytes(ShapeOfTable(shape, static_cast<std::int64_t>(MostValues(shape))), element_bytes));
}

template <typename T>
struct ForwardWorkspace {
  explicit ForwardWorkspace(const ExactShape& shape, void* workspace) : carver(workspace) {
    counts = carver.Take<std::uint32_t>(PieceCount(shape.table.vectors) * kPatterns);
    totals = carver.Take<std::uint64_t>(kPatterns);
    TakeDistinct(shape, /*with_sums=*/false, carver, distinct);
    values = carver.Take<T>(MostValues(shape));
    table = carver.Take<float>(kPatterns);
    tiled = TakeTableWorkspace(shape, sizeof(T), carver);
  }
  Carver carver;
  std::uint32_t* counts;  // [pieces][patterns]
  std::uint64_t* totals;  // [patterns]
  Distinct<T> distinct;
  T* values;    // [U]: w~ of each
  void* table;  // [patterns] of shape.stored
  void* tiled;
};

template <typename T>
struct BackwardWorkspace {
  explicit BackwardWorkspace(const ExactShape& shape, void* workspace) : carver(workspace) {
    sums = carver.Take<PatternSum>(PieceCount(shape.table.vectors) * kPatterns);
    TakeDistinct(shape, /*with_sums=*/true, carver, distinct);
    table = carver.Take<SlopeOffsetBits>(kPatterns);
    tiled = TakeTableWorkspace(shape, sizeof(T), carver);
  }
  Carver carver;
  PatternSum* sums;  // [pieces][patterns]
  Distinct<T> distinct;
  SlopeOffsetBits* table;  // [patterns]
  void* tiled;
};

// Where trajectory has the range.
template <typename T>
T* RangeIn(const ExactShape& shape, T* trajectory) {
  return trajectory + TiledTrajectoryElements(shape.table);
}
template <typename T>
PatternRange ReadRange(const ExactShape& shape, const T* trajectory) {
  const T* range = RangeIn(shape, trajectory);
  return {static_cast<std::size_t>(range[0]), static_cast<std::size_t>(range[1])};
}

// Where the exponent of a pattern has all its bits set: an infinity or a NaN.
std::uint16_t Exponent(DType pattern) { return pattern == DType::kBF16 ? 0x7f80 : 0x7c00; }

void FindFirst(KernelContext& context, const ExactShape& shape, const void* weights, FirstNonFinite& first_found) {
  ForEachPiece(context, shape.table.vectors, [&](std::size_t, std::int64_t begin, std::int64_t end) {
    ForEachRun(shape, weights, begin, end, [&](std::int64_t first, std::int64_t n, const std::uint16_t* patterns) {
      FirstNonFinite in_run(kAllFinite);
      FindNonFinite(context, shape.pattern, patterns, n, in_run);
      if (in_run != kAllFinite) LowerTo(first + in_run, first_found);
    });
  });
}

// output[i] = table[u(i)], both of shape.stored.
void Gather(KernelContext& context, const ExactShape& shape, const void* weights, const void* table, void* output) {
  context.pool.ParallelFor(shape.table.vectors, 16 * chunk::kChunk, [&](std::int64_t begin, std::int64_t end) {
    ForEachRun(shape, weights, begin, end, [&](std::int64_t first, std::int64_t n, const std::uint16_t* patterns) {
      const auto count = static_cast<std::size_t>(n);
      if (shape.stored == DType::kF32) {
        GatherByPattern(patterns, count, static_cast<const float*>(table), static_cast<float*>(output) + first);
      } else {
        GatherByPattern(patterns, count, static_cast<const std::uint16_t*>(table),
                        static_cast<std::uint16_t*>(output) + first);
      }
    });
  });
}

// table[patterns[i]] = values[i], rounded; the zeros have one entry's value.
template <typename T>
void Spread(const ExactShape& shape, const Distinct<T>& distinct, const T* values, void* table) {
  for (std::int64_t i = 0; i < distinct.count; ++i) {
    chunk::WriteElement<T>(shape.stored, table, distinct.patterns[i], values[i]);
    if (distinct.patterns[i] == 0) chunk::WriteElement<T>(shape.stored, table, kSign, values[i]);
  }
}

template <typename T>
void Forward(KernelContext& context, const ExactForwardArguments<T>& a) {
  ForwardWorkspace<T> w(a.shape, a.workspace);
  CountByPattern(context, a.shape, a.weights, w.counts, w.totals);
  const PatternRange range = ListCounted(a.shape, w.totals, w.distinct);
  RangeIn(a.shape, a.trajectory)[0] = static_cast<T>(range.smallest);
  RangeIn(a.shape, a.trajectory)[1] = static_cast<T>(range.largest);
  if (range.largest >= Exponent(a.shape.pattern)) FindFirst(context, a.shape, a.weights, *a.non_finite);
  const TiledShape table = ShapeOfTable(a.shape, w.distinct.count);
  // The trajectory's parts lie where they do for N weights: they do not depend on how many there are.
  TableForward(context, table, w.distinct.values, w.distinct.counts, a.trajectory, a.nearest ? nullptr : w.values,
               w.tiled);
  if (a.nearest) {
    T* const last = a.trajectory + TiledCentroidOffset(table, table.iterations);
    RoundTable(a.table, static_cast<std::size_t>(table.clusters), last);
    Palettize(context, PalettizeArguments<T>{.dtype = chunk::kDTypeOf<T>,
                                             .vectors = w.distinct.count,
                                             .clusters = table.clusters,
                                             .weights = w.distinct.values,
                                             .centroids = last,
                                             .output = w.values,
                                             .prune_threshold = table.prune_threshold,
                                             .metric = table.metric});
  }
  Spread(a.shape, w.distinct, w.values, w.table);
  Gather(context, a.shape, a.weights, w.table, a.output);
}

// table[u] of shape.stored = w~ of the patterns u in [begin, end), a chunk at most.
template <typename T>
void AttendPatterns(const ExactShape& shape, const T* trajectory, std::int64_t begin, std::int64_t end, void* table) {
  std::uint16_t patterns[chunk::kChunk];
  T values[chunk::kChunk];
  T results[chunk::kChunk];
  for (std::int64_t u = begin; u < end; ++u) patterns[u - begin] = static_cast<std::uint16_t>(u);
  ReadValues(shape.pattern, patterns, end - begin, values);
  Tile<T> tile;
  tile.weights = values;
  tile.vectors = end - begin;
  tile.clusters = shape.table.clusters;
  tile.metric = shape.table.metric;
  tile.tau = shape.table.tau;
  tile.centroids = AttendedCentroids(shape.table, trajectory);
  tile.attention_floor = shape.table.attention_floor;
  tile.prune_threshold = shape.table.prune_threshold;
  AttendTile(tile, trajectory + TiledCentroidOffset(shape.table, shape.table.iterations), results);
  for (std::int64_t u = begin; u < end; ++u) chunk::WriteElement<T>(shape.stored, table, u, results[u - begin]);
}

template <typename T>
void Replay(KernelContext& context, const ExactReplayArguments<T>& a) {
  alignas(64) std::byte table[kPatterns * sizeof(float)];  // the larger of its two forms
  ReadRange(a.shape, a.trajectory).ForEachStretch([&](std::size_t from, std::size_t to) {
    const auto first = static_cast<std::int64_t>(from);
    context.pool.ParallelFor(static_cast<std::int64_t>(to) - first, chunk::kChunk,
                             [&](std::int64_t begin, std::int64_t end) {
                               AttendPatterns(a.shape, a.trajectory, first + begin, first + end, table);
                             });
  });
  chunk::WriteElement<float>(a.shape.stored, table, kSign, chunk::ReadElement<float>(a.shape.stored, table, 0));
  Gather(context, a.shape, a.weights, table, a.output);
}

// dL/dw_i for all weights.
void Apply(KernelContext& context, const ExactShape& shape, const void* weights, const void* gradient,
           const SlopeOffsetBits* table, void* weight_gradient) {
  context.pool.ParallelFor(shape.table.vectors, 16 * chunk::kChunk, [&](std::int64_t begin, std::int64_t end) {
    float in[chunk::kChunk];
    float out[chunk::kChunk];
    ForEachRun(shape, weights, begin, end, [&](std::int64_t first, std::int64_t n, const std::uint16_t* patterns) {
      const auto count = static_cast<std::size_t>(n);
      if (shape.stored == DType::kBF16) {
        ApplyByPattern(patterns, static_cast<const std::uint16_t*>(gradient) + first, count, table,
                       static_cast<std::uint16_t*>(weight_gradient) + first);
        return;
      }
      const float* g = chunk::ReadChunk<float>(shape.stored, gradient, first, 1, n, in);
      float* dw = chunk::OpenChunk<float>(shape.stored, weight_gradient, first, 1, out);
      ApplyByPattern(patterns, g, count, table, dw);
      chunk::CloseChunk<float>(shape.stored, weight_gradient, first, 1, n, dw);
    });
  });
}

template <typename T>
void Backward(KernelContext& context, const ExactBackwardArguments<T>& a) {
  BackwardWorkspace<T> w(a.shape, a.workspace);
  const PatternRange range = ReadRange(a.shape, a.trajectory);
  SumGradients(context, a.shape, range, a.weights, a.gradient, w.sums);
  ListSummed(a.shape, range, w.sums, w.distinct);
  static_assert(2 * sizeof(T) <= sizeof(PatternSum));
  T* const slope = reinterpret_cast<T*>(w.sums);  // once they are listed, the sums are not needed any more
  T* const offset = slope + kPatterns;
  TableBackward(context, ShapeOfTable(a.shape, w.distinct.count), w.distinct.values, w.distinct.counts, w.distinct.sums,
                a.trajectory, slope, offset, a.start_gradient, w.tiled);
  for (std::int64_t i = 0; i < w.distinct.count; ++i) {
    const auto entry =
        std::bit_cast<SlopeOffsetBits>(SlopeOffset{static_cast<float>(slope[i]), static_cast<float>(offset[i])});
    w.table[w.distinct.patterns[i]] = entry;
    if (w.distinct.patterns[i] == 0) w.table[kSign] = entry;
  }
  Apply(context, a.shape, a.weights, a.gradient, w.table, a.weight_gradient);
}

}  // namespace

std::size_t ExactTrajectoryElements(const ExactShape& shape) { return TiledTrajectoryElements(shape.table) + 2; }

template <typename T>
std::size_t ExactForwardWorkspaceBytes(const ExactShape& shape) {
  return ForwardWorkspace<T>(shape, nullptr).carver.bytes();
}
template <typename T>
std::size_t ExactBackwardWorkspaceBytes(const ExactShape& shape) {
  return BackwardWorkspace<T>(shape, nullptr).carver.bytes();
}
template std::size_t ExactForwardWorkspaceBytes<float>(const ExactShape&);
template std::size_t ExactForwardWorkspaceBytes<double>(const ExactShape&);
template std::size_t ExactBackwardWorkspaceBytes<float>(const ExactShape&);
template std::size_t ExactBackwardWorkspaceBytes<double>(const ExactShape&);

void ExactForward(KernelContext& context, const ExactForwardArguments<float>& a) { Forward(context, a); }
void ExactForward(KernelContext& context, const ExactForwardArguments<double>& a) { Forward(context, a); }
void ExactReplay(KernelContext& context, const ExactReplayArguments<float>& a) { Replay(context, a); }
void ExactReplay(KernelContext& context, const ExactReplayArguments<double>& a) { Replay(context, a); }
void ExactBackward(KernelContext& context, const ExactBackwardArguments<float>& a) { Backward(context, a); }
void ExactBackward(KernelContext& context, const ExactBackwardArguments<double>& a) { Backward(context, a); }

}  // namespace tierlib::dkm::host
