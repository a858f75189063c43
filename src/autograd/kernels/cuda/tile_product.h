// MultiplyTile: products of small matrices in shared memory by all threads of a block, with sums in the compute type.
// On a device 16-bit operands go through tensor cores (bf16 from compute capability 8.0 on); everything else, and the
// host, by plain loops. A tensor core adds in an order of its own: the host's bits are not a device's, and a device's
// are the same in every run.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_TILE_PRODUCT_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_TILE_PRODUCT_H_

#include <type_traits>

#include "autograd/kernels/cuda/element.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>
#endif

// Loops over parts of a tile stay loops: unrolled, with all formats and sizes of tiles, they take ptxas many minutes.
#if defined(__CUDA_ARCH__)
#define TIERLIB_KEEP_LOOP _Pragma("unroll 1")
#else
#define TIERLIB_KEEP_LOOP
#endif

namespace tierlib::autograd::cuda {

// Rows, columns and depth of a product are multiples of it, as are the places where operands begin in rows of a tile.
inline constexpr int kTileUnit = 16;

// A matrix in shared memory, row-major: `stride` elements from row to row. Where a product takes it transposed, its
// columns are rows. For tensor cores data is aligned to 32 bytes and strides to 16.
template <typename Element>
struct TileView {
  Element* data = nullptr;
  int stride = 0;
};

struct TileSize {
  int rows = 0;
  int columns = 0;
  int depth = 0;
};

#if defined(__CUDA_ARCH__)
template <class Format>
struct TensorCoreElement;
template <>
struct TensorCoreElement<F16> {
  using Type = __half;
};
#if __CUDA_ARCH__ >= 800
template <>
struct TensorCoreElement<BF16> {
  using Type = __nv_bfloat16;
};
template <class Format>
inline constexpr bool kHasTensorCores = std::is_same_v<Format, F16> || std::is_same_v<Format, BF16>;
#else
template <class Format>
inline constexpr bool kHasTensorCores = std::is_same_v<Format, F16>;
#endif

// Warps take 16 x 16 parts of c in turn.
template <class Format, bool kTransposeA, bool kTransposeB>
__device__ inline void MultiplyOnTensorCores(const TileSize& size, const TileView<typename Format::Bits>& a,
                                             const TileView<typename Format::Bits>& b, const TileView<float>& c,
                                             bool add, int thread, int threads) {
  using Element = typename TensorCoreElement<Format>::Type;
  namespace wmma = nvcuda::wmma;
  using OrderA = std::conditional_t<kTransposeA, wmma::col_major, wmma::row_major>;
  using OrderB = std::conditional_t<kTransposeB, wmma::col_major, wmma::row_major>;
  const auto* const left = reinterpret_cast<const Element*>(a.data);
  const auto* const right = reinterpret_cast<const Element*>(b.data);
  const int across = size.columns / kTileUnit;
  TIERLIB_KEEP_LOOP
  for (int part = thread / 32; part < size.rows / kTileUnit * across; part += threads / 32) {
    const int row = part / across * kTileUnit;
    const int column = part % across * kTileUnit;
    float* const to = c.data + row * c.stride + column;
    wmma::fragment<wmma::accumulator, kTileUnit, kTileUnit, kTileUnit, float> sum;
    if (add) {
      wmma::load_matrix_sync(sum, to, static_cast<unsigned>(c.stride), wmma::mem_row_major);
    } else {
      wmma::fill_fragment(sum, 0.0f);
    }
    for (int p = 0; p < size.depth; p += kTileUnit) {
      wmma::fragment<wmma::matrix_a, kTileUnit, kTileUnit, kTileUnit, Element, OrderA> x;
      wmma::fragment<wmma::matrix_b, kTileUnit, kTileUnit, kTileUnit, Element, OrderB> y;
      wmma::load_matrix_sync(x, left + (kTransposeA ? p * a.stride + row : row * a.stride + p),
                             static_cast<unsigned>(a.stride));
      wmma::load_matrix_sync(y, right + (kTransposeB ? column * b.stride + p : p * b.stride + column),
                             static_cast<unsigned>(b.stride));
      wmma::mma_sync(sum, x, y, sum);
    }
    wmma::store_matrix_sync(to, sum, static_cast<unsigned>(c.stride), wmma::mem_row_major);
  }
}
#endif

// Threads take 4 x 4 parts of c in turn.
template <class Format, bool kTransposeA, bool kTransposeB>
TIERLIB_HOST_DEVICE inline void MultiplyByLoops(const TileSize& size, const TileView<typename Format::Bits>& a,
                                                const TileView<typename Format::Bits>& b,
                                                const TileView<typename Format::Compute>& c, bool add, int thread,
                                                int threads) {
  using T = typename Format::Compute;
  constexpr int kPart = 4;
  const int across = size.columns / kPart;
  TIERLIB_KEEP_LOOP
  for (int part = thread; part < size.rows / kPart * across; part += threads) {
    const int row = part / across * kPart;
    const int column = part % across * kPart;
    T sums[kPart][kPart] = {};
    TIERLIB_KEEP_LOOP
    for (int p = 0; p < size.depth; ++p) {
      T x[kPart];
      T y[kPart];
      for (int i = 0; i < kPart; ++i) {
        x[i] = Format::Load(a.data[kTransposeA ? p * a.stride + row + i : (row + i) * a.stride + p]);
        y[i] = Format::Load(b.data[kTransposeB ? (column + i) * b.stride + p : p * b.stride + column + i]);
      }
      for (int i = 0; i < kPart; ++i) {
        for (int j = 0; j < kPart; ++j) sums[i][j] += x[i] * y[j];
      }
    }
    for (int i = 0; i < kPart; ++i) {
      for (int j = 0; j < kPart; ++j) {
        T& to = c.data[(row + i) * c.stride + column + j];
        to = add ? to + sums[i][j] : sums[i][j];
      }
    }
  }
}

// c = op(a) op(b), or c += op(a) op(b) with `add`; op transposes where the flag is set. Called by all `threads` threads
// of a block; a barrier must follow before anyone reads c.
template <class Format, bool kTransposeA, bool kTransposeB>
TIERLIB_HOST_DEVICE inline void MultiplyTile(const TileSize& size, const TileView<typename Format::Bits>& a,
                                             const TileView<typename Format::Bits>& b,
                                             const TileView<typename Format::Compute>& c, bool add, int thread,
                                             int threads) {
#if defined(__CUDA_ARCH__)
  if constexpr (kHasTensorCores<Format>) {
    MultiplyOnTensorCores<Format, kTransposeA, kTransposeB>(size, a, b, c, add, thread, threads);
    return;
  } else
#endif
  {
    MultiplyByLoops<Format, kTransposeA, kTransposeB>(size, a, b, c, add, thread, threads);
  }
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_TILE_PRODUCT_H_
