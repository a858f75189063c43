// The attention of a block of weights to the centroids, for the tile passes: what all of them begin with. Compiled once
// per target: include after hwy/foreach_target.h.
//
// A block is at most 32 vectors of lanes of weights. Its buffers lie as [vector][row][lane], a row being a component or
// a centroid.
#if defined(TIERLIB_SRC_DKM_KERNELS_HOST_TILE_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIERLIB_SRC_DKM_KERNELS_HOST_TILE_ATTENTION_INL_H_
#undef TIERLIB_SRC_DKM_KERNELS_HOST_TILE_ATTENTION_INL_H_
#else
#define TIERLIB_SRC_DKM_KERNELS_HOST_TILE_ATTENTION_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

#include "dkm/kernels/tile_pass.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

#ifndef TIERLIB_SRC_DKM_KERNELS_HOST_TILE_ATTENTION_ONCE_
#define TIERLIB_SRC_DKM_KERNELS_HOST_TILE_ATTENTION_ONCE_
namespace tierlib::dkm::host {

inline constexpr std::size_t kScratchBytes = 16384;  // of one buffer of a block: half a first-level cache

// The buffers of a block; left uninitialised.
template <typename T>
struct alignas(64) Block {
  static constexpr std::size_t kElements = kScratchBytes / sizeof(T);
  T x[kElements];        // [vectors][dim] weights
  T e[kElements];        // [vectors][clusters] distances, then exponentials, then attention
  T h[kElements];        // [vectors][clusters] adjoints
  T g[kElements];        // [vectors][dim] gradient of the output
  T dw[kElements];       // [vectors][dim] gradient of the weights
  T inverse[kElements];  // [vectors] 1 / sum of exponentials; 0 beyond the last weight
  T n[kElements];        // [vectors] multiplicities, where the tile has some
};

// What is fixed when a pass is compiled: d and k, or 0 where they are known at run time only, the metric, and whether
// the tile has an attention_floor or a prune_threshold.
template <int kDim, int kClusters, bool kSqrt, bool kAdjust = false>
struct Variant {
  static constexpr bool kRoot = kSqrt;
  static constexpr bool kAdjusted = kAdjust;
  template <typename T>
  static std::size_t Dim(const Tile<T>& tile) {
    return kDim != 0 ? kDim : static_cast<std::size_t>(tile.dim);
  }
  template <typename T>
  static std::size_t Clusters(const Tile<T>& tile) {
    return kClusters != 0 ? kClusters : static_cast<std::size_t>(tile.clusters);
  }
};

template <typename T>
bool IsAdjusted(const Tile<T>& tile) {
  return tile.attention_floor > 0 || tile.prune_threshold > 0;
}

}  // namespace tierlib::dkm::host

// Before a loop over centroids or components.
#if defined(__clang__)
#define TIERLIB_UNROLL _Pragma("clang loop unroll_count(8)")
#elif defined(__GNUC__)
#define TIERLIB_UNROLL _Pragma("GCC unroll 8")
#else
#define TIERLIB_UNROLL
#endif
#endif

HWY_BEFORE_NAMESPACE();
namespace tierlib::dkm::host {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
using Lanes = hn::CappedTag<T, 64 / sizeof(T)>;

// Vectors of lanes in a block: as many as the buffers hold.
template <typename T>
std::size_t BlockVectors(const Tile<T>& tile) {
  const std::size_t rows = static_cast<std::size_t>(std::max(tile.clusters, tile.dim));
  return std::clamp<std::size_t>(Block<T>::kElements / (rows * hn::Lanes(Lanes<T>())), 1, 32);
}

// Fills [vectors][dim][lane] from `count` weights [count][dim]; zeros in the lanes behind the last.
template <typename T>
void LoadRows(const T* from, std::size_t count, std::size_t dim, T* rows) {
  const std::size_t lanes = hn::Lanes(Lanes<T>());
  const std::size_t padded = (count + lanes - 1) / lanes * lanes;
  if (dim == 1) {
    std::memcpy(rows, from, count * sizeof(T));
    std::fill(rows + count, rows + padded, T{0});
    return;
  }
  for (std::size_t i = 0; i < padded; ++i) {
    T* to = rows + i / lanes * lanes * dim + i % lanes;
    for (std::size_t c = 0; c < dim; ++c) to[c * lanes] = i < count ? from[i * dim + c] : T{0};
  }
}

// The other way. With `add`, onto what is there.
template <typename T>
void StoreRows(const T* rows, std::size_t count, std::size_t dim, bool add, T* to) {
  const std::size_t lanes = hn::Lanes(Lanes<T>());
  if (dim == 1 && !add) {
    std::memcpy(to, rows, count * sizeof(T));
  } else if (dim == 1) {
    for (std::size_t i = 0; i < count; ++i) to[i] += rows[i];
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      const T* from = rows + i / lanes * lanes * dim + i % lanes;
      for (std::size_t c = 0; c < dim; ++c) to[i * dim + c] = from[c * lanes] + (add ? to[i * dim + c] : T{0});
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

// Distance of the weights of one vector, x [dim][lane], to a centroid.
template <class Form, class D, typename T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> Distance(D d, const T* HWY_RESTRICT x, const T* HWY_RESTRICT centroid, std::size_t dim) {
  const auto first = hn::Sub(hn::Load(d, x), hn::Set(d, centroid[0]));
  auto sum = hn::Mul(first, first);
  for (std::size_t c = 1; c < dim; ++c) {
    const auto difference = hn::Sub(hn::Load(d, x + c * hn::Lanes(d)), hn::Set(d, centroid[c]));
    sum = hn::MulAdd(difference, difference, sum);
  }
  if constexpr (Form::kRoot) sum = hn::Sqrt(sum);
  return sum;
}

// Fills block.e with exponentials and block.inverse with what makes them attention.
template <class Form, typename T>
HWY_INLINE void Attention(const Tile<T>& tile, std::size_t count, Block<T>& block) {
  const Lanes<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t dim = Form::Dim(tile);
  const std::size_t k = Form::Clusters(tile);
  const std::size_t vectors = (count + lanes - 1) / lanes;
  const auto scale = hn::Set(d, ExponentScale(T{}, tile.tau));
  [[maybe_unused]] const auto prune = hn::Set(d, static_cast<T>(tile.prune_threshold));
  for (std::size_t v = 0; v < vectors; ++v) {
    const T* HWY_RESTRICT x = block.x + v * dim * lanes;
    T* HWY_RESTRICT e = block.e + v * k * lanes;
    auto nearest = hn::Set(d, std::numeric_limits<T>::infinity());
    TIERLIB_UNROLL
    for (std::size_t j = 0; j < k; ++j) {
      const auto distance = Distance<Form>(d, x, tile.centroids + j * dim, dim);
      hn::Store(distance, d, e + j * lanes);
      nearest = hn::Min(nearest, distance);
    }
    if constexpr (Form::kAdjusted) {  // `nearest` is no more than the distance was, so it is right again
      const auto lowered = hn::Sub(hn::Load(d, e), prune);
      hn::Store(lowered, d, e);
      nearest = hn::Min(nearest, lowered);
    }
    auto sum = hn::Zero(d);
    TIERLIB_UNROLL
    for (std::size_t j = 0; j < k; ++j) {
      const auto power = Exponential(d, hn::Mul(hn::Sub(nearest, hn::Load(d, e + j * lanes)), scale));
      hn::Store(power, d, e + j * lanes);
      sum = hn::Add(sum, power);
    }
    hn::Store(hn::Div(hn::Set(d, T{1}), sum), d, block.inverse + v * lanes);
  }
  std::fill(block.inverse + count, block.inverse + vectors * lanes, T{0});
}

// Attention raised to the floor. NaN stays: a maximum would swallow it.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Raised(D, V attention, V floor) {
  return hn::IfThenElse(hn::Lt(attention, floor), floor, attention);
}

// Raises attention to the floor, where there may be one. Then block.e has it, and block.inverse is 1 for each weight.
template <class Form, typename T>
HWY_INLINE void RaiseToFloor(const Tile<T>& tile, std::size_t count, Block<T>& block) {
  if constexpr (Form::kAdjusted) {
    const Lanes<T> d;
    const std::size_t lanes = hn::Lanes(d);
    const std::size_t k = Form::Clusters(tile);
    const auto floor = hn::Set(d, static_cast<T>(tile.attention_floor));
    for (std::size_t v = 0; v * lanes < count; ++v) {
      const auto inverse = hn::Load(d, block.inverse + v * lanes);
      T* HWY_RESTRICT e = block.e + v * k * lanes;
      for (std::size_t j = 0; j < k; ++j) {
        hn::Store(Raised(d, hn::Mul(hn::Load(d, e + j * lanes), inverse), floor), d, e + j * lanes);
      }
    }
    std::fill(block.inverse, block.inverse + count, T{1});
  }
}

// rows [vectors][row][lane] *= the multiplicities of the block's `count` weights from `begin` on, where the tile has
// some.
template <typename T>
HWY_INLINE void Weigh(const Tile<T>& tile, std::size_t begin, std::size_t count, std::size_t row_count, Block<T>& block,
                      T* HWY_RESTRICT rows) {
  if (tile.multiplicity == nullptr) return;
  const Lanes<T> d;
  const std::size_t lanes = hn::Lanes(d);
  LoadRows(tile.multiplicity + begin, count, 1, block.n);
  for (std::size_t v = 0; v * lanes < count; ++v) {
    const auto n = hn::Load(d, block.n + v * lanes);
    for (std::size_t r = v * row_count; r < (v + 1) * row_count; ++r) {
      hn::Store(hn::Mul(hn::Load(d, rows + r * lanes), n), d, rows + r * lanes);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tierlib::dkm::host
HWY_AFTER_NAMESPACE();

#endif  // TIERLIB_SRC_DKM_KERNELS_HOST_TILE_ATTENTION_INL_H_
