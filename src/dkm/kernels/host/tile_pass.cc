// The tile passes with Highway: one source for SSE2, AVX2, AVX-512 and NEON, chosen when the program runs.
//
// A block is at most 32 vectors of lanes of weights, in rows of kDim components; e[j][i] holds what belongs to centroid
// j and weight i. Loops over j inside a weight's lanes make what belongs to the weight (maximum, normaliser, gradient);
// loops over i inside a centroid make what belongs to the centroid, in one register. kDim is d where it is known at
// compile time (1), else 0.
#include "dkm/kernels/tile_pass.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

// The order of these matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dkm/kernels/host/tile_pass.cc"
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)  // little to gain for their compile time
#endif
#include "hwy/foreach_target.h"

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
// clang-format on

#ifndef TIERLIB_SRC_DKM_KERNELS_HOST_TILE_PASS_ONCE_
#define TIERLIB_SRC_DKM_KERNELS_HOST_TILE_PASS_ONCE_
namespace tierlib::dkm::host {

inline constexpr std::size_t kScratchBytes = 16384;  // of one buffer of a block: half a first-level cache

// The buffers of a block; left uninitialised.
template <typename T>
struct alignas(64) Block {
  static constexpr std::size_t kElements = kScratchBytes / sizeof(T);
  T x[kElements];        // [dim][width] weights
  T e[kElements];        // [clusters][width] distances, then exponentials, then attention
  T h[kElements];        // [clusters][width] adjoints
  T g[kElements];        // [dim][width] gradient of the output
  T dw[kElements];       // [dim][width] gradient of the weights
  T inverse[kElements];  // [width] 1 / sum of exponentials; 0 beyond the last weight
};

}  // namespace tierlib::dkm::host
#endif

HWY_BEFORE_NAMESPACE();
namespace tierlib::dkm::host {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
using Lanes = hn::CappedTag<T, 64 / sizeof(T)>;

// How many of a tile's vectors make a block, and how it is walked.
struct Extent {
  std::size_t width;  // of a row, in elements
  std::size_t lanes;
};

template <typename T>
HWY_INLINE Extent BlockExtent(const Tile<T>& tile) {
  const std::size_t lanes = hn::Lanes(Lanes<T>());
  const std::size_t rows = static_cast<std::size_t>(std::max(tile.clusters, tile.dim));
  const std::size_t vectors = std::clamp<std::size_t>(Block<T>::kElements / (rows * lanes), 1, 32);
  return {vectors * lanes, lanes};
}

// Rows [dim][width] from `count` vectors [count][dim], zeros behind them up to a whole vector of lanes.
template <typename T>
void LoadRows(const T* from, std::size_t count, std::size_t dim, const Extent& extent, T* rows) {
  const std::size_t padded = (count + extent.lanes - 1) / extent.lanes * extent.lanes;
  for (std::size_t c = 0; c < dim; ++c) {
    T* row = rows + c * extent.width;
    if (dim == 1) {
      std::memcpy(row, from, count * sizeof(T));
    } else {
      for (std::size_t i = 0; i < count; ++i) row[i] = from[i * dim + c];
    }
    std::fill(row + count, row + padded, T{0});
  }
}

// The other way. With `add`, onto what is there.
template <typename T>
void StoreRows(const T* rows, std::size_t count, std::size_t dim, const Extent& extent, bool add, T* to) {
  for (std::size_t c = 0; c < dim; ++c) {
    const T* row = rows + c * extent.width;
    if (add) {
      for (std::size_t i = 0; i < count; ++i) to[i * dim + c] += row[i];
    } else {
      for (std::size_t i = 0; i < count; ++i) to[i * dim + c] = row[i];
    }
  }
}

// What multiplies a distance before Exponential.
HWY_INLINE float ExponentScale(float, double tau) { return static_cast<float>(1.4426950408889634 / tau); }
HWY_INLINE double ExponentScale(double, double tau) { return 1 / tau; }

// 2^y for y <= 0, as 1 + r q(r) with y = n + r, |r| <= 1/2: relative error 2e-8 before rounding. Below -87 (and for
// NaN) 0: see tiled.h.
template <class D, class V = hn::Vec<D>, hwy::EnableIf<sizeof(hn::TFromD<D>) == 4>* = nullptr>
HWY_INLINE V Exponential(D d, V y) {
  const hn::RebindToSigned<D> di;
  const V magic = hn::Set(d, 12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, which stands in the low bits
  const V shifted = hn::Add(y, magic);
  const V r = hn::Sub(y, hn::Sub(shifted, magic));
  V q = hn::Set(d, 1.5453163359779865e-4f);
  q = hn::MulAdd(q, r, hn::Set(d, 1.3390863314270973e-3f));
  q = hn::MulAdd(q, r, hn::Set(d, 9.618083015084267e-3f));
  q = hn::MulAdd(q, r, hn::Set(d, 5.5503569543361664e-2f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.24022650718688965f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.6931471824645996f));
  q = hn::MulAdd(q, r, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, shifted));
  const V power = hn::BitCast(d, hn::Add(hn::BitCast(di, q), exponent));
  return hn::IfThenElseZero(hn::Ge(y, hn::Set(d, -87.0f)), power);
}
// e^y.
template <class D, class V = hn::Vec<D>, hwy::EnableIf<sizeof(hn::TFromD<D>) == 8>* = nullptr>
HWY_INLINE V Exponential(D d, V y) {
  return hn::Exp(d, y);
}

template <class D, class V>
HWY_INLINE double SumLanes(D d, V v) {
  return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, v)));
}

// Distance of the weights at x (row 0, lane 0 of a vector) to a centroid.
template <int kDim, bool kSqrt, class D, typename T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> Distance(D d, const T* HWY_RESTRICT x, std::size_t width, const T* HWY_RESTRICT centroid,
                               std::size_t dim) {
  const auto first = hn::Sub(hn::Load(d, x), hn::Set(d, centroid[0]));
  auto sum = hn::Mul(first, first);
  if constexpr (kDim != 1) {
    for (std::size_t c = 1; c < dim; ++c) {
      const auto difference = hn::Sub(hn::Load(d, x + c * width), hn::Set(d, centroid[c]));
      sum = hn::MulAdd(difference, difference, sum);
    }
  }
  if constexpr (kSqrt) sum = hn::Sqrt(sum);
  return sum;
}

// Fills block.e with exponentials and block.inverse with what makes them attention.
template <int kDim, bool kSqrt, typename T>
HWY_INLINE void Attention(const Tile<T>& tile, std::size_t count, const Extent& extent, Block<T>& block) {
  const Lanes<T> d;
  const std::size_t dim = kDim != 0 ? kDim : static_cast<std::size_t>(tile.dim);
  const std::size_t k = static_cast<std::size_t>(tile.clusters);
  const auto scale = hn::Set(d, ExponentScale(T{}, tile.tau));
  for (std::size_t v = 0; v < count; v += extent.lanes) {
    T* HWY_RESTRICT e = block.e + v;
    auto nearest = hn::Set(d, std::numeric_limits<T>::infinity());
    for (std::size_t j = 0; j < k; ++j) {
      const auto distance = Distance<kDim, kSqrt>(d, block.x + v, extent.width, tile.centroids + j * dim, dim);
      hn::Store(distance, d, e + j * extent.width);
      nearest = hn::Min(nearest, distance);
    }
    auto sum = hn::Zero(d);
    for (std::size_t j = 0; j < k; ++j) {
      const auto y = hn::Mul(hn::Sub(nearest, hn::Load(d, e + j * extent.width)), scale);
      const auto power = Exponential(d, y);
      hn::Store(power, d, e + j * extent.width);
      sum = hn::Add(sum, power);
    }
    hn::Store(hn::Div(hn::Set(d, T{1}), sum), d, block.inverse + v);
  }
  const std::size_t padded = (count + extent.lanes - 1) / extent.lanes * extent.lanes;
  std::fill(block.inverse + count, block.inverse + padded, T{0});
}

template <int kDim, bool kSqrt, typename T>
void Accumulate(const Tile<T>& tile, double* mass, double* moment) {
  const Lanes<T> d;
  const std::size_t dim = kDim != 0 ? kDim : static_cast<std::size_t>(tile.dim);
  const std::size_t k = static_cast<std::size_t>(tile.clusters);
  const std::size_t total = static_cast<std::size_t>(tile.vectors);
  const Extent extent = BlockExtent(tile);
  Block<T> block;
  for (std::size_t begin = 0; begin < total; begin += extent.width) {
    const std::size_t count = std::min(extent.width, total - begin);
    LoadRows(tile.weights + begin * dim, count, dim, extent, block.x);
    Attention<kDim, kSqrt>(tile, count, extent, block);
    for (std::size_t j = 0; j < k; ++j) {
      const T* HWY_RESTRICT e = block.e + j * extent.width;
      for (std::size_t c = 0; c < dim; ++c) {
        const T* HWY_RESTRICT x = block.x + c * extent.width;
        const auto centroid = hn::Set(d, tile.centroids[j * dim + c]);
        auto masses = hn::Zero(d);
        auto moments = hn::Zero(d);
        for (std::size_t v = 0; v < count; v += extent.lanes) {
          const auto attention = hn::Mul(hn::Load(d, e + v), hn::Load(d, block.inverse + v));
          masses = hn::Add(masses, attention);
          moments = hn::MulAdd(attention, hn::Sub(hn::Load(d, x + v), centroid), moments);
        }
        if (c == 0) mass[j] += SumLanes(d, masses);
        moment[j * dim + c] += SumLanes(d, moments);
      }
    }
  }
}

template <int kDim, bool kSqrt, typename T>
void Attend(const Tile<T>& tile, const T* values, T* output) {
  const Lanes<T> d;
  const std::size_t dim = kDim != 0 ? kDim : static_cast<std::size_t>(tile.dim);
  const std::size_t k = static_cast<std::size_t>(tile.clusters);
  const std::size_t total = static_cast<std::size_t>(tile.vectors);
  const Extent extent = BlockExtent(tile);
  Block<T> block;
  for (std::size_t begin = 0; begin < total; begin += extent.width) {
    const std::size_t count = std::min(extent.width, total - begin);
    LoadRows(tile.weights + begin * dim, count, dim, extent, block.x);
    Attention<kDim, kSqrt>(tile, count, extent, block);
    for (std::size_t c = 0; c < dim; ++c) {
      for (std::size_t v = 0; v < count; v += extent.lanes) {
        auto sum = hn::Zero(d);
        for (std::size_t j = 0; j < k; ++j) {
          sum = hn::MulAdd(hn::Load(d, block.e + j * extent.width + v), hn::Set(d, values[j * dim + c]), sum);
        }
        hn::Store(hn::Mul(sum, hn::Load(d, block.inverse + v)), d, block.dw + c * extent.width + v);
      }
    }
    StoreRows(block.dw, count, dim, extent, false, output + begin * dim);
  }
}

// adjoint[j][c] += sum_i e_ij (g_ic * weight_i), with weight the normaliser where e are exponentials and null where
// they are attention already.
template <int kDim, typename T>
HWY_INLINE void CollectBlock(const Tile<T>& tile, std::size_t count, const Extent& extent, const T* weight,
                             Block<T>& block, double* adjoint) {
  const Lanes<T> d;
  const std::size_t dim = kDim != 0 ? kDim : static_cast<std::size_t>(tile.dim);
  for (std::size_t c = 0; weight != nullptr && c < dim; ++c) {
    T* HWY_RESTRICT g = block.g + c * extent.width;
    for (std::size_t v = 0; v < count; v += extent.lanes) {
      hn::Store(hn::Mul(hn::Load(d, g + v), hn::Load(d, weight + v)), d, g + v);
    }
  }
  for (std::size_t j = 0; j < static_cast<std::size_t>(tile.clusters); ++j) {
    const T* HWY_RESTRICT e = block.e + j * extent.width;
    for (std::size_t c = 0; c < dim; ++c) {
      const T* HWY_RESTRICT g = block.g + c * extent.width;
      auto sum = hn::Zero(d);
      for (std::size_t v = 0; v < count; v += extent.lanes) {
        sum = hn::MulAdd(hn::Load(d, e + v), hn::Load(d, g + v), sum);
      }
      adjoint[j * dim + c] += SumLanes(d, sum);
    }
  }
}

template <int kDim, bool kSqrt, typename T>
void Collect(const Tile<T>& tile, const T* gradient, double* adjoint) {
  const std::size_t dim = kDim != 0 ? kDim : static_cast<std::size_t>(tile.dim);
  const std::size_t total = static_cast<std::size_t>(tile.vectors);
  const Extent extent = BlockExtent(tile);
  Block<T> block;
  for (std::size_t begin = 0; begin < total; begin += extent.width) {
    const std::size_t count = std::min(extent.width, total - begin);
    LoadRows(tile.weights + begin * dim, count, dim, extent, block.x);
    LoadRows(gradient + begin * dim, count, dim, extent, block.g);
    Attention<kDim, kSqrt>(tile, count, extent, block);
    CollectBlock<kDim>(tile, count, extent, block.inverse, block, adjoint);
  }
}

// Turns block.e into attention and block.h into h_ij; fills block.dw.
template <int kDim, bool kSqrt, typename T>
HWY_INLINE void DifferentiateBlock(const Tile<T>& tile, const TileAdjoint<T>& adjoint, std::size_t count,
                                   const Extent& extent, Block<T>& block) {
  const Lanes<T> d;
  const std::size_t dim = kDim != 0 ? kDim : static_cast<std::size_t>(tile.dim);
  const std::size_t k = static_cast<std::size_t>(tile.clusters);
  const std::size_t width = extent.width;
  const auto factor = hn::Set(d, static_cast<T>((kSqrt ? 1.0 : 2.0) / tile.tau));
  for (std::size_t v = 0; v < count; v += extent.lanes) {
    T* HWY_RESTRICT e = block.e + v;
    T* HWY_RESTRICT h = block.h + v;
    const T* HWY_RESTRICT x = block.x + v;
    const T* HWY_RESTRICT g = block.g + v;
    const auto inverse = hn::Load(d, block.inverse + v);
    auto mean = hn::Zero(d);
    for (std::size_t j = 0; j < k; ++j) {
      const auto attention = hn::Mul(hn::Load(d, e + j * width), inverse);
      auto a = hn::Zero(d);
      for (std::size_t c = 0; c < dim; ++c) {
        const auto factor_jc = hn::Sub(hn::Set(d, adjoint.u[j * dim + c]), hn::Load(d, g + c * width));
        a = hn::MulAdd(factor_jc, hn::Sub(hn::Load(d, x + c * width), hn::Set(d, adjoint.targets[j * dim + c])), a);
      }
      hn::Store(attention, d, e + j * width);
      hn::Store(a, d, h + j * width);
      mean = hn::MulAdd(attention, a, mean);
    }
    const auto scaled_mean = hn::Mul(mean, factor);
    for (std::size_t j = 0; j < k; ++j) {
      const auto attention = hn::Load(d, e + j * width);
      auto h_j = hn::Mul(attention, hn::MulSub(hn::Load(d, h + j * width), factor, scaled_mean));
      if constexpr (kSqrt) {
        const auto distance = Distance<kDim, kSqrt>(d, x, width, tile.centroids + j * dim, dim);
        h_j = hn::IfThenZeroElse(hn::Eq(distance, hn::Zero(d)), hn::Div(h_j, distance));
      }
      hn::Store(h_j, d, h + j * width);
    }
    for (std::size_t c = 0; c < dim; ++c) {
      auto sum = hn::Zero(d);
      const auto x_c = hn::Load(d, x + c * width);
      for (std::size_t j = 0; j < k; ++j) {
        const auto difference = hn::Sub(x_c, hn::Set(d, tile.centroids[j * dim + c]));
        sum = hn::MulAdd(hn::Load(d, e + j * width), hn::Set(d, adjoint.u[j * dim + c]), sum);
        sum = hn::NegMulAdd(hn::Load(d, h + j * width), difference, sum);
      }
      hn::Store(sum, d, block.dw + c * width + v);
    }
  }
}

template <int kDim, bool kSqrt, typename T>
void Differentiate(const Tile<T>& tile, const TileAdjoint<T>& adjoint, T* weight_gradient, double* centroid_adjoint) {
  const Lanes<T> d;
  const std::size_t dim = kDim != 0 ? kDim : static_cast<std::size_t>(tile.dim);
  const std::size_t k = static_cast<std::size_t>(tile.clusters);
  const std::size_t total = static_cast<std::size_t>(tile.vectors);
  const Extent extent = BlockExtent(tile);
  Block<T> block;
  if (adjoint.gradient == nullptr) std::fill_n(block.g, dim * extent.width, T{0});
  for (std::size_t begin = 0; begin < total; begin += extent.width) {
    const std::size_t count = std::min(extent.width, total - begin);
    LoadRows(tile.weights + begin * dim, count, dim, extent, block.x);
    if (adjoint.gradient != nullptr) LoadRows(adjoint.gradient + begin * dim, count, dim, extent, block.g);
    Attention<kDim, kSqrt>(tile, count, extent, block);
    DifferentiateBlock<kDim, kSqrt>(tile, adjoint, count, extent, block);
    StoreRows(block.dw, count, dim, extent, !adjoint.overwrite, weight_gradient + begin * dim);
    for (std::size_t j = 0; j < k; ++j) {
      const T* HWY_RESTRICT h = block.h + j * extent.width;
      for (std::size_t c = 0; c < dim; ++c) {
        const T* HWY_RESTRICT x = block.x + c * extent.width;
        const auto centroid = hn::Set(d, tile.centroids[j * dim + c]);
        auto sum = hn::Zero(d);
        for (std::size_t v = 0; v < count; v += extent.lanes) {
          sum = hn::MulAdd(hn::Load(d, h + v), hn::Sub(hn::Load(d, x + v), centroid), sum);
        }
        centroid_adjoint[j * dim + c] += SumLanes(d, sum);
      }
    }
    if (adjoint.collect) CollectBlock<kDim, T>(tile, count, extent, nullptr, block, centroid_adjoint);
  }
}

// The entries that are chosen at run time. float64 serves tests and has no form of its own for d = 1.
#define TIERLIB_DKM_DISPATCH(function, tile, ...)                                               \
  const bool root = (tile).metric == Metric::kEuclidean;                                        \
  if (sizeof((tile).weights[0]) == 4 && (tile).dim == 1) {                                      \
    return root ? function<1, true>(tile, __VA_ARGS__) : function<1, false>(tile, __VA_ARGS__); \
  }                                                                                             \
  return root ? function<0, true>(tile, __VA_ARGS__) : function<0, false>(tile, __VA_ARGS__)

void AccumulateF32(const Tile<float>& tile, double* mass, double* moment) {
  TIERLIB_DKM_DISPATCH(Accumulate, tile, mass, moment);
}
void AccumulateF64(const Tile<double>& tile, double* mass, double* moment) {
  TIERLIB_DKM_DISPATCH(Accumulate, tile, mass, moment);
}
void AttendF32(const Tile<float>& tile, const float* values, float* output) {
  TIERLIB_DKM_DISPATCH(Attend, tile, values, output);
}
void AttendF64(const Tile<double>& tile, const double* values, double* output) {
  TIERLIB_DKM_DISPATCH(Attend, tile, values, output);
}
void CollectF32(const Tile<float>& tile, const float* gradient, double* adjoint) {
  TIERLIB_DKM_DISPATCH(Collect, tile, gradient, adjoint);
}
void CollectF64(const Tile<double>& tile, const double* gradient, double* adjoint) {
  TIERLIB_DKM_DISPATCH(Collect, tile, gradient, adjoint);
}
void DifferentiateF32(const Tile<float>& tile, const TileAdjoint<float>& adjoint, float* weights, double* centroids) {
  TIERLIB_DKM_DISPATCH(Differentiate, tile, adjoint, weights, centroids);
}
void DifferentiateF64(const Tile<double>& tile, const TileAdjoint<double>& adjoint, double* weights,
                      double* centroids) {
  TIERLIB_DKM_DISPATCH(Differentiate, tile, adjoint, weights, centroids);
}
#undef TIERLIB_DKM_DISPATCH

}  // namespace HWY_NAMESPACE
}  // namespace tierlib::dkm::host
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tierlib::dkm::host {

HWY_EXPORT(AccumulateF32);
HWY_EXPORT(AccumulateF64);
HWY_EXPORT(AttendF32);
HWY_EXPORT(AttendF64);
HWY_EXPORT(CollectF32);
HWY_EXPORT(CollectF64);
HWY_EXPORT(DifferentiateF32);
HWY_EXPORT(DifferentiateF64);

void AccumulateTile(const Tile<float>& tile, double* mass, double* moment) {
  HWY_DYNAMIC_DISPATCH(AccumulateF32)(tile, mass, moment);
}
void AccumulateTile(const Tile<double>& tile, double* mass, double* moment) {
  HWY_DYNAMIC_DISPATCH(AccumulateF64)(tile, mass, moment);
}
void AttendTile(const Tile<float>& tile, const float* values, float* output) {
  HWY_DYNAMIC_DISPATCH(AttendF32)(tile, values, output);
}
void AttendTile(const Tile<double>& tile, const double* values, double* output) {
  HWY_DYNAMIC_DISPATCH(AttendF64)(tile, values, output);
}
void CollectTile(const Tile<float>& tile, const float* gradient, double* adjoint) {
  HWY_DYNAMIC_DISPATCH(CollectF32)(tile, gradient, adjoint);
}
void CollectTile(const Tile<double>& tile, const double* gradient, double* adjoint) {
  HWY_DYNAMIC_DISPATCH(CollectF64)(tile, gradient, adjoint);
}
void DifferentiateTile(const Tile<float>& tile, const TileAdjoint<float>& adjoint, float* weight_gradient,
                       double* centroid_adjoint) {
  HWY_DYNAMIC_DISPATCH(DifferentiateF32)(tile, adjoint, weight_gradient, centroid_adjoint);
}
void DifferentiateTile(const Tile<double>& tile, const TileAdjoint<double>& adjoint, double* weight_gradient,
                       double* centroid_adjoint) {
  HWY_DYNAMIC_DISPATCH(DifferentiateF64)(tile, adjoint, weight_gradient, centroid_adjoint);
}

}  // namespace tierlib::dkm::host
#endif  // HWY_ONCE
