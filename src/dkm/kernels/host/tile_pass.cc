// The tile passes with Highway: one source for SSE2, AVX2, AVX-512 and NEON, chosen when the program runs.
//
// A block is at most 32 vectors of lanes of weights. Its buffers lie as [vector][row][lane], a row being a component or
// a centroid. Loops over j inside a vector make what belongs to its weights (nearest, normaliser, gradient); loops over
// the vectors inside a centroid make what belongs to the centroid, in one register.
#include "dkm/kernels/tile_pass.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

// The order of these matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dkm/kernels/host/tile_pass.cc"
#if defined(TIERLIB_FEWER_TARGETS)  // sanitizers: one instruction set above the baseline, for their compile time
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3 | HWY_AVX3_DL)
#else
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
  T x[kElements];        // [vectors][dim] weights
  T e[kElements];        // [vectors][clusters] distances, then exponentials, then attention
  T h[kElements];        // [vectors][clusters] adjoints
  T g[kElements];        // [vectors][dim] gradient of the output
  T dw[kElements];       // [vectors][dim] gradient of the weights
  T inverse[kElements];  // [vectors] 1 / sum of exponentials; 0 beyond the last weight
  T n[kElements];        // [vectors] multiplicities, where the tile has some
};

// What is fixed when a pass is compiled: d and k, or 0 where they are known at run time only, and the metric.
template <int kDim, int kClusters, bool kSqrt>
struct Variant {
  static constexpr bool kRoot = kSqrt;
  template <typename T>
  static std::size_t Dim(const Tile<T>& tile) {
    return kDim != 0 ? kDim : static_cast<std::size_t>(tile.dim);
  }
  template <typename T>
  static std::size_t Clusters(const Tile<T>& tile) {
    return kClusters != 0 ? kClusters : static_cast<std::size_t>(tile.clusters);
  }
};

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

template <class Form, typename T>
void Accumulate(const Tile<T>& tile, double* mass, double* moment) {
  const Lanes<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t dim = Form::Dim(tile);
  const std::size_t k = Form::Clusters(tile);
  const std::size_t total = static_cast<std::size_t>(tile.vectors);
  const std::size_t width = BlockVectors(tile) * lanes;
  Block<T> block;
  for (std::size_t begin = 0; begin < total; begin += width) {
    const std::size_t count = std::min(width, total - begin);
    const std::size_t vectors = (count + lanes - 1) / lanes;
    LoadRows(tile.weights + begin * dim, count, dim, block.x);
    Attention<Form>(tile, count, block);
    Weigh(tile, begin, count, 1, block, block.inverse);
    for (std::size_t j = 0; j < k; ++j) {
      for (std::size_t c = 0; c < dim; ++c) {
        const T* HWY_RESTRICT e = block.e + j * lanes;
        const T* HWY_RESTRICT x = block.x + c * lanes;
        const auto centroid = hn::Set(d, tile.centroids[j * dim + c]);
        auto masses = hn::Zero(d);
        auto moments = hn::Zero(d);
        for (std::size_t v = 0; v < vectors; ++v) {
          const auto attention = hn::Mul(hn::Load(d, e + v * k * lanes), hn::Load(d, block.inverse + v * lanes));
          masses = hn::Add(masses, attention);
          moments = hn::MulAdd(attention, hn::Sub(hn::Load(d, x + v * dim * lanes), centroid), moments);
        }
        if (c == 0) mass[j] += SumLanes(d, masses);
        moment[j * dim + c] += SumLanes(d, moments);
      }
    }
  }
}

template <class Form, typename T>
void Attend(const Tile<T>& tile, const T* values, T* output) {
  const Lanes<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t dim = Form::Dim(tile);
  const std::size_t k = Form::Clusters(tile);
  const std::size_t total = static_cast<std::size_t>(tile.vectors);
  const std::size_t width = BlockVectors(tile) * lanes;
  Block<T> block;
  for (std::size_t begin = 0; begin < total; begin += width) {
    const std::size_t count = std::min(width, total - begin);
    LoadRows(tile.weights + begin * dim, count, dim, block.x);
    Attention<Form>(tile, count, block);
    for (std::size_t v = 0; v * lanes < count; ++v) {
      const T* HWY_RESTRICT e = block.e + v * k * lanes;
      for (std::size_t c = 0; c < dim; ++c) {
        auto sum = hn::Zero(d);
        TIERLIB_UNROLL
        for (std::size_t j = 0; j < k; ++j) {
          sum = hn::MulAdd(hn::Load(d, e + j * lanes), hn::Set(d, values[j * dim + c]), sum);
        }
        hn::Store(hn::Mul(sum, hn::Load(d, block.inverse + v * lanes)), d, block.dw + (v * dim + c) * lanes);
      }
    }
    StoreRows(block.dw, count, dim, false, output + begin * dim);
  }
}

// adjoint[j][c] += sum_i e_ij g_ic.
template <class Form, typename T>
HWY_INLINE void CollectBlock(const Tile<T>& tile, std::size_t vectors, const Block<T>& block, double* adjoint) {
  const Lanes<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t dim = Form::Dim(tile);
  const std::size_t k = Form::Clusters(tile);
  for (std::size_t j = 0; j < k; ++j) {
    for (std::size_t c = 0; c < dim; ++c) {
      const T* HWY_RESTRICT e = block.e + j * lanes;
      const T* HWY_RESTRICT g = block.g + c * lanes;
      auto sum = hn::Zero(d);
      for (std::size_t v = 0; v < vectors; ++v) {
        sum = hn::MulAdd(hn::Load(d, e + v * k * lanes), hn::Load(d, g + v * dim * lanes), sum);
      }
      adjoint[j * dim + c] += SumLanes(d, sum);
    }
  }
}

template <class Form, typename T>
void Collect(const Tile<T>& tile, const T* gradient, double* adjoint) {
  const Lanes<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t dim = Form::Dim(tile);
  const std::size_t total = static_cast<std::size_t>(tile.vectors);
  const std::size_t width = BlockVectors(tile) * lanes;
  Block<T> block;
  for (std::size_t begin = 0; begin < total; begin += width) {
    const std::size_t count = std::min(width, total - begin);
    const std::size_t vectors = (count + lanes - 1) / lanes;
    LoadRows(tile.weights + begin * dim, count, dim, block.x);
    LoadRows(gradient + begin * dim, count, dim, block.g);
    Attention<Form>(tile, count, block);
    Weigh(tile, begin, count, 1, block, block.inverse);
    for (std::size_t v = 0; v < vectors; ++v) {  // the normaliser goes to g, which is smaller than e
      const auto inverse = hn::Load(d, block.inverse + v * lanes);
      for (std::size_t c = 0; c < dim; ++c) {
        T* g = block.g + (v * dim + c) * lanes;
        hn::Store(hn::Mul(hn::Load(d, g), inverse), d, g);
      }
    }
    CollectBlock<Form>(tile, vectors, block, adjoint);
  }
}

// One vector of weights: turns e into attention, h into h_ij, and writes dw [dim][lane].
template <class Form, typename T>
HWY_INLINE void DifferentiateVector(const Tile<T>& tile, const TileAdjoint<T>& adjoint, const T* HWY_RESTRICT x,
                                    const T* HWY_RESTRICT g, const T* inverse, T* HWY_RESTRICT e, T* HWY_RESTRICT h,
                                    T* HWY_RESTRICT dw) {
  const Lanes<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t dim = Form::Dim(tile);
  const std::size_t k = Form::Clusters(tile);
  const auto factor = hn::Set(d, static_cast<T>((Form::kRoot ? 1.0 : 2.0) / tile.tau));
  const auto normaliser = hn::Load(d, inverse);
  auto mean = hn::Zero(d);
  TIERLIB_UNROLL
  for (std::size_t j = 0; j < k; ++j) {
    const auto attention = hn::Mul(hn::Load(d, e + j * lanes), normaliser);
    auto a = hn::Zero(d);
    for (std::size_t c = 0; c < dim; ++c) {
      const auto pull = hn::Sub(hn::Set(d, adjoint.u[j * dim + c]), hn::Load(d, g + c * lanes));
      a = hn::MulAdd(pull, hn::Sub(hn::Load(d, x + c * lanes), hn::Set(d, adjoint.targets[j * dim + c])), a);
    }
    hn::Store(attention, d, e + j * lanes);
    hn::Store(a, d, h + j * lanes);
    mean = hn::MulAdd(attention, a, mean);
  }
  const auto scaled_mean = hn::Mul(mean, factor);
  TIERLIB_UNROLL
  for (std::size_t j = 0; j < k; ++j) {
    const auto attention = hn::Load(d, e + j * lanes);
    auto h_j = hn::Mul(attention, hn::MulSub(hn::Load(d, h + j * lanes), factor, scaled_mean));
    if constexpr (Form::kRoot) {
      const auto distance = Distance<Form>(d, x, tile.centroids + j * dim, dim);
      h_j = hn::IfThenZeroElse(hn::Eq(distance, hn::Zero(d)), hn::Div(h_j, distance));
    }
    hn::Store(h_j, d, h + j * lanes);
  }
  for (std::size_t c = 0; c < dim; ++c) {
    auto sum = hn::Zero(d);
    const auto x_c = hn::Load(d, x + c * lanes);
    TIERLIB_UNROLL
    for (std::size_t j = 0; j < k; ++j) {
      const auto difference = hn::Sub(x_c, hn::Set(d, tile.centroids[j * dim + c]));
      sum = hn::MulAdd(hn::Load(d, e + j * lanes), hn::Set(d, adjoint.u[j * dim + c]), sum);
      sum = hn::NegMulAdd(hn::Load(d, h + j * lanes), difference, sum);
    }
    hn::Store(sum, d, dw + c * lanes);
  }
}

template <class Form, typename T>
void Differentiate(const Tile<T>& tile, const TileAdjoint<T>& adjoint, T* weight_gradient, double* centroid_adjoint) {
  const Lanes<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t dim = Form::Dim(tile);
  const std::size_t k = Form::Clusters(tile);
  const std::size_t total = static_cast<std::size_t>(tile.vectors);
  const std::size_t width = BlockVectors(tile) * lanes;
  Block<T> block;
  if (adjoint.gradient == nullptr) std::fill_n(block.g, dim * width, T{0});
  for (std::size_t begin = 0; begin < total; begin += width) {
    const std::size_t count = std::min(width, total - begin);
    const std::size_t vectors = (count + lanes - 1) / lanes;
    LoadRows(tile.weights + begin * dim, count, dim, block.x);
    if (adjoint.gradient != nullptr) LoadRows(adjoint.gradient + begin * dim, count, dim, block.g);
    Attention<Form>(tile, count, block);
    for (std::size_t v = 0; v < vectors; ++v) {
      const std::size_t row = v * dim * lanes;
      const std::size_t column = v * k * lanes;
      DifferentiateVector<Form>(tile, adjoint, block.x + row, block.g + row, block.inverse + v * lanes,
                                block.e + column, block.h + column, block.dw + row);
    }
    StoreRows(block.dw, count, dim, !adjoint.overwrite, weight_gradient + begin * dim);
    Weigh(tile, begin, count, k, block, block.h);
    for (std::size_t j = 0; j < k; ++j) {
      for (std::size_t c = 0; c < dim; ++c) {
        const T* HWY_RESTRICT h = block.h + j * lanes;
        const T* HWY_RESTRICT x = block.x + c * lanes;
        const auto centroid = hn::Set(d, tile.centroids[j * dim + c]);
        auto sum = hn::Zero(d);
        for (std::size_t v = 0; v < vectors; ++v) {
          sum = hn::MulAdd(hn::Load(d, h + v * k * lanes), hn::Sub(hn::Load(d, x + v * dim * lanes), centroid), sum);
        }
        centroid_adjoint[j * dim + c] += SumLanes(d, sum);
      }
    }
    if (adjoint.collect) {
      Weigh(tile, begin, count, dim, block, block.g);
      CollectBlock<Form>(tile, vectors, block, centroid_adjoint);
    }
  }
}

// The entries that are chosen at run time. Training's case, float32 with d = 1 and the squared distance, has code of
// its own for 2, 3 and 4 bits; float64 serves tests and the exact form, whose tables have at most 65,536 rows.
#define TIERLIB_DKM_DISPATCH(function, tile, ...)                                                                  \
  if ((tile).metric == Metric::kEuclidean) return function<Variant<0, 0, true>>(tile, __VA_ARGS__);                \
  if (sizeof((tile).weights[0]) == 8 || (tile).dim != 1) return function<Variant<0, 0, false>>(tile, __VA_ARGS__); \
  if ((tile).clusters == 4) return function<Variant<1, 4, false>>(tile, __VA_ARGS__);                              \
  if ((tile).clusters == 8) return function<Variant<1, 8, false>>(tile, __VA_ARGS__);                              \
  if ((tile).clusters == 16) return function<Variant<1, 16, false>>(tile, __VA_ARGS__);                            \
  return function<Variant<1, 0, false>>(tile, __VA_ARGS__)

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
