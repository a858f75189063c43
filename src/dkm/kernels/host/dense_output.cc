#include "dkm/kernels/dense_output.h"

#include <algorithm>
#include <cstddef>

#include "autograd/kernels/elementwise.h"
#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/reduce.h"
#include "autograd/kernels/softmax.h"
#include "base/thread_pool.h"

namespace tierlib::dkm::host {
namespace {

namespace kernels = autograd::host;
using kernels::BinaryOp;
using kernels::Source;
using kernels::Target;
using kernels::UnaryOp;

constexpr std::int64_t kOutputTile = 4096;                  // vectors
constexpr std::int64_t kMapBytes = std::int64_t{32} << 10;  // of the maps that a replay has on the stack
constexpr int kMostClusters = 256;

template <typename T>
T Dot(const T* a, const T* b, int count) {
  constexpr int kParts = 8;
  T parts[kParts] = {};
  int i = 0;
  for (; i + kParts <= count; i += kParts) {
    for (int part = 0; part < kParts; ++part) parts[part] += a[i + part] * b[i + part];
  }
  for (; i < count; ++i) parts[i % kParts] += a[i] * b[i];
  return ((parts[0] + parts[4]) + (parts[2] + parts[6])) + ((parts[1] + parts[5]) + (parts[3] + parts[7]));
}

template <typename T>
void Output(KernelContext& context, const DenseOutputArguments& a) {
  const DistanceShape& s = a.shape;
  const std::int64_t step = kernels::kChunk / s.clusters;  // rows of the map that fit a chunk
  context.pool.ParallelFor(s.vectors, kOutputTile, [&](std::int64_t begin, std::int64_t end) {
    T map[kernels::kChunk];
    T column_buffer[kMostClusters];
    T sums[kernels::kChunk];
    for (std::int64_t first = begin; first < end; first += step) {
      const std::int64_t count = std::min(step, end - first);
      const T* rows = kernels::ReadChunk<T>(s.dtype, a.attention, first * s.clusters, 1, count * s.clusters, map);
      for (int c = 0; c < s.dim; ++c) {
        const T* column = kernels::ReadChunk<T>(s.dtype, a.centroids, c, s.dim, s.clusters, column_buffer);
        T* output = kernels::OpenChunk<T>(s.dtype, a.output, first * s.dim + c, s.dim, sums);
        for (std::int64_t i = 0; i < count; ++i) output[i] = Dot(rows + i * s.clusters, column, s.clusters);
        kernels::CloseChunk<T>(s.dtype, a.output, first * s.dim + c, s.dim, count, output);
      }
    }
  });
}

const std::byte* At(const void* data, std::int64_t bytes) { return static_cast<const std::byte*>(data) + bytes; }

// Vectors whose maps a replay has on the stack.
std::int64_t ReplayTile(const DenseReplayArguments& a) {
  const std::int64_t values = std::int64_t{a.shape.clusters} * (a.paper ? 1 : a.shape.dim);
  return kMapBytes / (values * static_cast<std::int64_t>(ElementBytes(a.shape.dtype)));
}

// The weights of one tile through the chain. `map` and `wide` have kMapBytes each.
class ReplayedTile {
 public:
  ReplayedTile(KernelContext& context, const DenseReplayArguments& arguments, std::int64_t first, std::int64_t count,
               std::byte* map, std::byte* wide)
      : context_(context),
        a_(arguments),
        rows_(arguments.shape),
        element_bytes_(static_cast<std::int64_t>(ElementBytes(arguments.shape.dtype))),
        first_byte_(first * arguments.shape.dim * element_bytes_),
        map_(map),
        wide_(wide) {
    rows_.vectors = count;
  }

  void Run() {
    if (a_.paper) {
      PaperDistance();
    } else {
      ReferenceDistance();
    }
    const std::int64_t k = rows_.clusters;
    if (a_.distance_bias != nullptr) Binary(BinaryOp::kAdd, map_, Map(), a_.distance_bias, {1, k}, map_, Map());
    Unary(UnaryOp::kMulScalar, -1 / a_.tau, 0, map_, Map());
    kernels::SoftmaxForward(context_, {rows_.dtype, rows_.vectors, k, 1, map_, map_});
    if (a_.attention_floor > 0) Unary(UnaryOp::kClamp, a_.attention_floor, 1, map_, Map());
    DenseOutput(context_, {rows_, map_, a_.centroids, static_cast<std::byte*>(a_.output) + first_byte_});
  }

 private:
  const void* Weights() const { return At(a_.weights, first_byte_); }
  Dims Map() const { return {rows_.vectors, rows_.clusters}; }
  Layout Of(const Dims& sizes) const { return Layout::Contiguous(rows_.dtype, sizes); }

  void Unary(UnaryOp op, double c0, double c1, void* values, const Dims& sizes) {
    kernels::Unary(context_, {op, c0, c1, Source{values, Of(sizes)}, Target{values, Of(sizes)}});
  }
  void Binary(BinaryOp op, const void* a, const Dims& a_sizes, const void* b, const Dims& b_sizes, void* y,
              const Dims& y_sizes) {
    kernels::Binary(context_, {op, 0, 0, Source{a, Of(a_sizes)}, Source{b, Of(b_sizes)}, Target{y, Of(y_sizes)}});
  }

  void ReferenceDistance() {
    const std::int64_t n = rows_.vectors, k = rows_.clusters, d = rows_.dim;
    std::byte* const squares = d == 1 ? map_ : wide_;
    Binary(BinaryOp::kSub, Weights(), {n, 1, d}, a_.attended, {1, k, d}, squares, {n, k, d});
    Unary(UnaryOp::kSquare, 0, 0, squares, {n, k, d});
    if (d > 1) {
      kernels::SumTo(context_, {Source{wide_, Of({n, k, d})}, Target{map_, Of({n, k, 1})}, 1, nullptr});
    }
    if (a_.metric == Metric::kEuclidean) Unary(UnaryOp::kSqrt, 0, 0, map_, Map());
  }

  void PaperDistance() {
    DistanceForward(context_, {rows_, Weights(), a_.attended, map_, wide_});
    if (a_.metric == Metric::kSquared) Unary(UnaryOp::kSquare, 0, 0, map_, Map());
  }

  KernelContext& context_;
  const DenseReplayArguments& a_;
  DistanceShape rows_;
  const std::int64_t element_bytes_;
  const std::int64_t first_byte_;  // of the tile in the weights
  std::byte* const map_;
  std::byte* const wide_;
};

}  // namespace

void DenseOutput(KernelContext& context, const DenseOutputArguments& a) {
  kernels::WithComputeType(a.shape.dtype, [&](auto zero) { Output<decltype(zero)>(context, a); });
}

void DenseReplay(KernelContext& context, const DenseReplayArguments& a) {
  context.pool.ParallelFor(a.shape.vectors, ReplayTile(a), [&](std::int64_t begin, std::int64_t end) {
    alignas(64) std::byte map[kMapBytes];
    alignas(64) std::byte wide[kMapBytes];
    ReplayedTile(context, a, begin, end - begin, map, wide).Run();
  });
}

bool DenseReplays(const DistanceShape& shape, bool paper) {
  const std::int64_t values = std::int64_t{shape.clusters} * shape.dim;
  if (values * static_cast<std::int64_t>(sizeof(double)) > kMapBytes) return false;
  if (paper || shape.dim == 1) return true;
  const Dims map = {shape.vectors, shape.clusters, shape.dim};
  return kernels::SumToWorkspaceBytes(map, {shape.vectors, shape.clusters, 1}) == 0;
}

}  // namespace tierlib::dkm::host
