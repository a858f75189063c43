#include "autograd/kernels/matmul.h"

#include <algorithm>
#include <cstdint>

#include "autograd/kernels/host/blas.h"
#include "autograd/kernels/host/chunk.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {
namespace {

// Where a product is cut. Measured on [768, 128] x [128, 512] and its like (Zen 3, one thread): tiles of 192 x 512
// reach 97 % of an uncut product's speed, 64 x 128 85 %. So tiles start large and are halved while one of them is much
// work for so few: the more tiles there are, the less it matters that threads end at different times.
constexpr std::int64_t kTileRows = 192;
constexpr std::int64_t kTileColumns = 512;
constexpr double kTileFlopsPerTile = 6.4e6;
// Batches of small products are handed out in groups of at least this much work.
constexpr double kGroupFlops = 1e6;

struct Tiling {
  std::int64_t rows = 1;  // of a tile
  std::int64_t columns = 1;
  std::int64_t down = 0;  // tiles in a matrix
  std::int64_t across = 0;
};

constexpr std::int64_t CeilDivide(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Half, rounded up to whole vectors of any target.
std::int64_t Halved(std::int64_t size) { return CeilDivide(CeilDivide(size, 2), 16) * 16; }

Tiling MakeTiling(const MatMulArguments& a, std::int64_t batches, std::int64_t rows, std::int64_t columns) {
  Tiling t{std::min(a.m, rows), std::min(a.n, columns), 0, 0};
  for (;;) {
    t.down = CeilDivide(a.m, t.rows);
    t.across = CeilDivide(a.n, t.columns);
    const double flops = 2.0 * static_cast<double>(t.rows) * static_cast<double>(t.columns) * static_cast<double>(a.k);
    if (flops <= kTileFlopsPerTile * static_cast<double>(t.down * t.across * batches)) return t;
    std::int64_t& longer = t.rows >= t.columns ? t.rows : t.columns;
    if (Halved(longer) >= longer) return t;
    longer = Halved(longer);
  }
}

std::int64_t Offset(const Dims& sizes, const Dims& strides, std::int64_t index) {
  std::int64_t offset = 0;
  for (int i = sizes.rank() - 1; i >= 0; --i) {
    offset += index % sizes[i] * strides[i];
    index /= sizes[i];
  }
  return offset;
}

// A tile of one product: rows [row, row + rows) and columns [column, column + columns) of C. Offsets are of the
// matrices.
struct Tile {
  std::int64_t a_offset, b_offset, c_offset;
  std::int64_t row, rows, column, columns;
};

// Calls f(tile) for every tile of every product.
template <class F>
void ForEachTile(ThreadPool& pool, const MatMulArguments& a, std::int64_t batches, const Tiling& t, const F& f) {
  const std::int64_t per_product = t.down * t.across;
  const double flops = 2.0 * static_cast<double>(t.rows) * static_cast<double>(t.columns) * static_cast<double>(a.k);
  const auto grain = static_cast<std::int64_t>(std::max(1.0, kGroupFlops / std::max(1.0, flops)));
  pool.ParallelFor(batches * per_product, grain, [&](std::int64_t begin, std::int64_t end) {
    const OneBlasThread one_thread;
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t batch = unit / per_product;
      Tile tile;
      tile.a_offset = Offset(a.batch, a.batch_strides_a, batch);
      tile.b_offset = Offset(a.batch, a.batch_strides_b, batch);
      tile.c_offset = Offset(a.batch, a.batch_strides_c, batch);
      tile.row = unit % per_product / t.across * t.rows;
      tile.column = unit % t.across * t.columns;
      tile.rows = std::min(t.rows, a.m - tile.row);
      tile.columns = std::min(t.columns, a.n - tile.column);
      f(tile);
    }
  });
}

template <typename T>
void WideMatMul(ThreadPool& pool, const MatMulArguments& a, std::int64_t batches) {
  const std::int64_t rows = kTileRows * kTileColumns / std::min(a.n, kTileColumns);
  const Tiling tiling = MakeTiling(a, batches, rows, kTileColumns);
  ForEachTile(pool, a, batches, tiling, [&](const Tile& t) {
    const T* left = static_cast<const T*>(a.a) + t.a_offset + (a.transpose_a ? t.row : t.row * a.lda);
    const T* right = static_cast<const T*>(a.b) + t.b_offset + (a.transpose_b ? t.column * a.ldb : t.column);
    T* result = static_cast<T*>(a.c) + t.c_offset + t.row * a.ldc + t.column;
    Gemm(a.transpose_a, a.transpose_b, t.rows, t.columns, a.k, static_cast<T>(a.alpha), left, a.lda, right, a.ldb,
         static_cast<T>(a.beta), result, a.ldc);
  });
}

// 16-bit matrices pass through float panels on the stack: 128 x 256 of A, 256 x 128 of B, 128 x 128 of C, 320 KiB.
constexpr std::int64_t kPanel = 128;
constexpr std::int64_t kPanelDepth = 256;

void LoadPanel(DType dtype, const void* data, std::int64_t first, std::int64_t stride, std::int64_t rows,
               std::int64_t columns, float* panel) {
  for (std::int64_t i = 0; i < rows; ++i) {
    ReadChunk(dtype, data, first + i * stride, 1, columns, panel + i * columns);
  }
}

void NarrowTile(const MatMulArguments& a, const Tile& t) {
  alignas(64) float left[kPanel * kPanelDepth];
  alignas(64) float right[kPanelDepth * kPanel];
  alignas(64) float product[kPanel * kPanel];
  std::fill(product, product + t.rows * t.columns, 0.0f);
  for (std::int64_t p = 0; p < a.k; p += kPanelDepth) {
    const std::int64_t depth = std::min(kPanelDepth, a.k - p);
    if (a.transpose_a) {
      LoadPanel(a.dtype, a.a, t.a_offset + p * a.lda + t.row, a.lda, depth, t.rows, left);
    } else {
      LoadPanel(a.dtype, a.a, t.a_offset + t.row * a.lda + p, a.lda, t.rows, depth, left);
    }
    if (a.transpose_b) {
      LoadPanel(a.dtype, a.b, t.b_offset + t.column * a.ldb + p, a.ldb, t.columns, depth, right);
    } else {
      LoadPanel(a.dtype, a.b, t.b_offset + p * a.ldb + t.column, a.ldb, depth, t.columns, right);
    }
    Gemm(a.transpose_a, a.transpose_b, t.rows, t.columns, depth, static_cast<float>(a.alpha), left,
         a.transpose_a ? t.rows : depth, right, a.transpose_b ? depth : t.columns, 1.0f, product, t.columns);
  }
  for (std::int64_t i = 0; i < t.rows; ++i) {
    const std::int64_t at = t.c_offset + (t.row + i) * a.ldc + t.column;
    float* row = product + i * t.columns;
    if (a.beta != 0) {
      float before[kPanel];
      ReadChunk(a.dtype, a.c, at, 1, t.columns, before);
      for (std::int64_t j = 0; j < t.columns; ++j) row[j] += static_cast<float>(a.beta) * before[j];
    }
    CloseChunk(a.dtype, a.c, at, 1, t.columns, row);
  }
}

}  // namespace

void MatMul(KernelContext& context, const MatMulArguments& a) {
  std::int64_t batches = 1;
  for (const std::int64_t size : a.batch) batches *= size;
  if (a.m == 0 || a.n == 0 || batches == 0) return;
  MatMulArguments checked = a;  // BLAS wants leading dimensions that fit, also where a matrix has no element
  checked.lda = std::max<std::int64_t>({1, a.lda, a.transpose_a ? a.m : a.k});
  checked.ldb = std::max<std::int64_t>({1, a.ldb, a.transpose_b ? a.k : a.n});
  checked.ldc = std::max(a.ldc, a.n);
  switch (a.dtype) {
    case DType::kF64: return WideMatMul<double>(context.pool, checked, batches);
    case DType::kF32: return WideMatMul<float>(context.pool, checked, batches);
    default:
      return ForEachTile(context.pool, checked, batches, MakeTiling(checked, batches, kPanel, kPanel),
                         [&](const Tile& t) { NarrowTile(checked, t); });
  }
}

}  // namespace tierlib::autograd::host
