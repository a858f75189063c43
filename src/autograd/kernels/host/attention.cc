// Queries and keys are cut into blocks of 64, of 32 in float64. Forward: one block of queries of one head walks its
// keys with a running maximum and sum per row. Backward: one head walks its blocks of keys, and for each the blocks of
// queries that see it. Queries are packed times the scale, so scores need none, and backward forms them with the same
// bits as forward.
#include "autograd/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/dropout_mask.h"
#include "autograd/kernels/host/lanes_attention.h"
#include "autograd/kernels/host/lanes_elementwise.h"
#include "autograd/kernels/host/lanes_rows.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {
namespace {

// Columns that a row of head_size elements takes in a buffer.
std::int64_t Padded(std::int64_t head_size) { return (head_size + kAttentionPad - 1) / kAttentionPad * kAttentionPad; }

// [rows of a tile][Padded(head_size)], zero beyond what is there.
template <typename T>
using HeadTile = T[kAttentionTile<T> * kMaxAttentionHeadSize];
template <typename T>
using ScoreTile = T[kAttentionTile<T> * kAttentionTile<T>];

// One head of one batch entry, and where it stands in each tensor.
struct Head {
  const AttentionShape& shape;
  std::int64_t batch;
  std::int64_t head;

  Head(const AttentionShape& s, std::int64_t index) : shape(s), batch(index / s.heads), head(index % s.heads) {}

  std::int64_t index() const { return batch * shape.heads + head; }
  template <class Tensor>
  std::int64_t Row(const Tensor& x, std::int64_t t) const {
    return batch * x.batch_stride + head * x.head_stride + t * x.row_stride;
  }
  // The first element of query i in dropout's [B, H, T, T] tensor.
  std::uint64_t MaskRow(std::int64_t i) const {
    return static_cast<std::uint64_t>(index() * shape.length + i) * static_cast<std::uint64_t>(shape.length);
  }
};

// Rows [first, first + rows) times scale, padded with zeros to a multiple of four rows.
template <typename T>
void Pack(const Head& h, const AttentionSource& x, std::int64_t first, std::int64_t rows, T scale, T* tile) {
  const std::int64_t width = Padded(h.shape.head_size);
  T buffer[kMaxAttentionHeadSize];
  for (std::int64_t i = 0; i < rows; ++i) {
    const T* row = ReadChunk(h.shape.dtype, x.data, h.Row(x, first + i), 1, h.shape.head_size, buffer);
    T* to = tile + i * width;
    UnaryLanes(UnaryOp::kMulScalar, scale, 0, row, to, static_cast<std::size_t>(h.shape.head_size));
    std::fill(to + h.shape.head_size, to + width, T{0});
  }
  std::fill(tile + rows * width, tile + (rows + 3) / 4 * 4 * width, T{0});
}

// Rows [first, first + rows) as columns of a [head_size][kTile] buffer, padded with zeros to kTile columns.
template <typename T>
void PackTransposed(const Head& h, const AttentionSource& x, std::int64_t first, std::int64_t rows, T* tile) {
  constexpr std::int64_t kTile = kAttentionTile<T>;
  T buffer[kMaxAttentionHeadSize];
  if (rows < kTile) std::fill(tile, tile + h.shape.head_size * kTile, T{0});
  for (std::int64_t j = 0; j < rows; ++j) {
    const T* row = ReadChunk(h.shape.dtype, x.data, h.Row(x, first + j), 1, h.shape.head_size, buffer);
    for (std::int64_t d = 0; d < h.shape.head_size; ++d) tile[d * kTile + j] = row[d];
  }
}

// Writes rows of a tile, each times factor(i).
template <typename T, class Factor>
void Unpack(const Head& h, const T* tile, std::int64_t rows, const AttentionTarget& y, std::int64_t first,
            const Factor& factor) {
  const std::int64_t width = Padded(h.shape.head_size);
  T buffer[kMaxAttentionHeadSize];
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t at = h.Row(y, first + i);
    T* to = OpenChunk(h.shape.dtype, y.data, at, 1, buffer);
    UnaryLanes(UnaryOp::kMulScalar, factor(i), 0, tile + i * width, to, static_cast<std::size_t>(h.shape.head_size));
    CloseChunk(h.shape.dtype, y.data, at, 1, h.shape.head_size, to);
  }
}

// Keys that row i of a tile sees.
std::int64_t Visible(bool diagonal, std::int64_t keys, std::int64_t i) {
  return diagonal ? std::min(keys, i + 1) : keys;
}

template <typename T>
void ForwardQueries(const AttentionForwardArguments& a, const Head& h, std::int64_t first) {
  constexpr std::int64_t kTile = kAttentionTile<T>;
  alignas(64) HeadTile<T> queries;
  alignas(64) HeadTile<T> keys;  // transposed
  alignas(64) HeadTile<T> values;
  alignas(64) HeadTile<T> out;
  alignas(64) ScoreTile<T> scores;
  const std::int64_t width = Padded(h.shape.head_size);
  const std::int64_t rows = std::min(kTile, h.shape.length - first);
  T most[kTile];
  T sums[kTile];
  std::fill(most, most + kTile, -std::numeric_limits<T>::infinity());
  std::fill(sums, sums + kTile, T{0});
  Pack(h, a.q, first, rows, static_cast<T>(h.shape.scale), queries);
  const DropoutMask mask(h.shape.dropout, h.shape.seed, h.shape.counter);
  const T kept = static_cast<T>(KeptScale(h.shape.dropout));

  for (std::int64_t key = 0; key <= first; key += kTile) {
    const bool diagonal = key == first;
    const std::int64_t count = std::min(kTile, h.shape.length - key);
    PackTransposed(h, a.k, key, count, keys);
    Pack(h, a.v, key, count, T{1}, values);
    MultiplyLanes(TileProduct<T>{diagonal ? Part::kColumnsToRow : Part::kAll, rows, kTile, h.shape.head_size, queries,
                                 width, 1, keys, kTile, scores, kTile, false});
    for (std::int64_t i = 0; i < rows; ++i) {
      const T before = most[i];
      T* row = scores + i * kTile;
      const T sum = SoftmaxRowLanes(row, Visible(diagonal, count, i), &most[i]);
      const T fade = key > 0 ? std::exp(before - most[i]) : T{0};
      sums[i] = sums[i] * fade + sum;
      if (key > 0 && fade != 1) {
        for (std::int64_t d = 0; d < width; ++d) out[i * width + d] *= fade;
      }
      if (h.shape.dropout > 0) {
        T factors[kTile];
        mask.Draw(h.MaskRow(first + i) + static_cast<std::uint64_t>(key), count, kept, factors);
        for (std::int64_t j = 0; j < count; ++j) row[j] *= factors[j];
      }
    }
    std::fill(scores + rows * kTile, scores + (rows + 3) / 4 * 4 * kTile, T{0});
    MultiplyLanes(TileProduct<T>{diagonal ? Part::kDepthToRow : Part::kAll, rows, width, count, scores, kTile, 1,
                                 values, width, out, width, key > 0});
  }
  Unpack(h, out, rows, a.out, first, [&](std::int64_t i) { return 1 / sums[i]; });
  T* log_sum_exp = static_cast<T*>(a.log_sum_exp) + h.index() * h.shape.length + first;
  for (std::int64_t i = 0; i < rows; ++i) log_sum_exp[i] = most[i] + std::log(sums[i]);
}

// Backward of one head.
template <typename T>
class HeadGradient {
 public:
  HeadGradient(const AttentionBackwardArguments& a, const Head& h)
      : a_(a), h_(h), width_(Padded(h.shape.head_size)), mask_(h.shape.dropout, h.shape.seed, h.shape.counter) {
    if (h.shape.length <= kTile) {
      dq_ = v_transposed_;  // of a single block, which is done with its values when it comes to dq
    } else {
      const std::int64_t rows = (h.shape.length + 3) / 4 * 4;
      dq_ = static_cast<T*>(a.workspace) + h.index() * rows * width_;
    }
  }

  void Run() {
    for (std::int64_t key = 0; key < h_.shape.length; key += kTile) {
      keys_ = std::min(kTile, h_.shape.length - key);
      Pack(h_, a_.k, key, keys_, T{1}, k_);
      PackTransposed(h_, a_.k, key, keys_, k_transposed_);
      PackTransposed(h_, a_.v, key, keys_, v_transposed_);
      for (std::int64_t query = key; query < h_.shape.length; query += kTile) AddQueries(key, query);
      Unpack(h_, dk_, keys_, a_.dk, key, [](std::int64_t) { return T{1}; });
      Unpack(h_, dv_, keys_, a_.dv, key, [](std::int64_t) { return T{1}; });
    }
    const T scale = static_cast<T>(h_.shape.scale);
    Unpack(h_, dq_, h_.shape.length, a_.dq, 0, [&](std::int64_t) { return scale; });
  }

 private:
  static constexpr std::int64_t kTile = kAttentionTile<T>;

  // What the queries from `query` on add to the gradients of the keys from `key` on, and the other way round.
  void AddQueries(std::int64_t key, std::int64_t query) {
    const bool diagonal = key == query;
    const std::int64_t rows = std::min(kTile, h_.shape.length - query);
    const std::int64_t depth = h_.shape.head_size;
    Pack(h_, a_.q, query, rows, static_cast<T>(h_.shape.scale), q_);
    Pack(h_, a_.dout, query, rows, T{1}, dout_);
    const Part scores = diagonal ? Part::kColumnsToRow : Part::kAll;
    MultiplyLanes(TileProduct<T>{scores, rows, kTile, depth, q_, width_, 1, k_transposed_, kTile, p_, kTile, false});
    MultiplyLanes(
        TileProduct<T>{scores, rows, kTile, depth, dout_, width_, 1, v_transposed_, kTile, ds_, kTile, false});
    for (std::int64_t i = 0; i < rows; ++i) ScoreGradientRow(key, query, i, Visible(diagonal, keys_, i));
    std::fill(ds_ + rows * kTile, ds_ + (rows + 3) / 4 * 4 * kTile, T{0});

    const Part columns = diagonal ? Part::kDepthFromRow : Part::kAll;
    const bool more = !diagonal;  // the diagonal comes first for keys; for queries, the first block of keys
    MultiplyLanes(TileProduct<T>{columns, keys_, width_, rows, p_, 1, kTile, dout_, width_, dv_, width_, more});
    MultiplyLanes(TileProduct<T>{columns, keys_, width_, rows, ds_, 1, kTile, q_, width_, dk_, width_, more});
    MultiplyLanes(TileProduct<T>{diagonal ? Part::kDepthToRow : Part::kAll, rows, width_, keys_, ds_, kTile, 1, k_,
                                 width_, dq_ + query * width_, width_, key > 0});
  }

  void ScoreGradientRow(std::int64_t key, std::int64_t query, std::int64_t i, std::int64_t visible) {
    const std::int64_t t = query + i;
    T buffer[kMaxAttentionHeadSize];
    const T* out = ReadChunk(h_.shape.dtype, a_.out.data, h_.Row(a_.out, t), 1, h_.shape.head_size, buffer);
    // The sum over keys of p dp, by the identity of the paper's appendix B: the product of out and its gradient.
    const T delta = static_cast<T>(DotLanes(dout_ + i * width_, out, static_cast<std::size_t>(h_.shape.head_size)));
    const T log_sum_exp = static_cast<const T*>(a_.log_sum_exp)[h_.index() * h_.shape.length + t];
    alignas(64) T factors[kTile];
    if (h_.shape.dropout > 0) {
      std::fill(factors, factors + kTile, T{0});
      const T kept = static_cast<T>(KeptScale(h_.shape.dropout));
      mask_.Draw(h_.MaskRow(t) + static_cast<std::uint64_t>(key), keys_, kept, factors);
    }
    ScoreGradientRowLanes(p_ + i * kTile, ds_ + i * kTile, visible, log_sum_exp, delta,
                          h_.shape.dropout > 0 ? factors : nullptr);
  }

  const AttentionBackwardArguments& a_;
  const Head& h_;
  std::int64_t width_;
  DropoutMask mask_;
  std::int64_t keys_ = 0;  // of the current block
  T* dq_ = nullptr;        // [length rounded up to 4][width_]
  alignas(64) HeadTile<T> q_;
  alignas(64) HeadTile<T> dout_;
  alignas(64) HeadTile<T> k_;
  alignas(64) HeadTile<T> k_transposed_;
  alignas(64) HeadTile<T> v_transposed_;
  alignas(64) HeadTile<T> dk_;
  alignas(64) HeadTile<T> dv_;
  alignas(64) ScoreTile<T> p_;
  alignas(64) ScoreTile<T> ds_;
};

}  // namespace

void AttentionForward(KernelContext& context, const AttentionForwardArguments& a) {
  WithComputeType(a.shape.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr std::int64_t kTile = kAttentionTile<T>;
    const std::int64_t blocks = (a.shape.length + kTile - 1) / kTile;
    context.pool.ParallelFor(a.shape.batch * a.shape.heads * blocks, 1, [&](std::int64_t unit, std::int64_t /*end*/) {
      ForwardQueries<T>(a, Head(a.shape, unit / blocks), unit % blocks * kTile);
    });
  });
}

void AttentionBackward(KernelContext& context, const AttentionBackwardArguments& a) {
  WithComputeType(a.shape.dtype, [&](auto type) {
    using T = decltype(type);
    context.pool.ParallelFor(a.shape.batch * a.shape.heads, 1, [&](std::int64_t unit, std::int64_t /*end*/) {
      const Head head(a.shape, unit);
      HeadGradient<T> gradient(a, head);
      gradient.Run();
    });
  });
}

std::size_t AttentionBackwardWorkspaceBytes(const AttentionShape& shape) {
  const bool wide = ComputeType(shape.dtype) == DType::kF64;
  if (shape.length <= (wide ? kAttentionTile<double> : kAttentionTile<float>)) return 0;
  const std::int64_t rows = (shape.length + 3) / 4 * 4;
  return static_cast<std::size_t>(shape.batch * shape.heads * rows * Padded(shape.head_size)) *
         ElementBytes(ComputeType(shape.dtype));
}

}  // namespace tierlib::autograd::host
