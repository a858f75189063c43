// The tile passes with Highway: one source for SSE2, AVX2, AVX-512 and NEON, chosen when the program runs.
// The attention of a block, and how its buffers lie, is in tile_attention-inl.h.
//
// Loops over j inside a vector make what belongs to its weights (nearest, normaliser, gradient); loops over the vectors
// inside a centroid make what belongs to the centroid, in one register.
#include "dkm/kernels/tile_pass.h"

#include <algorithm>
#include <cstddef>

// The order of these matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dkm/kernels/host/tile_pass.cc"
#if !defined(TIERLIB_FEWER_TARGETS)
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | TIERLIB_HWY_SVE)  // little to gain for their compile time
#endif
#include "autograd/kernels/host/simd_targets.h"
#include "hwy/foreach_target.h"

#include "dkm/kernels/host/tile_attention-inl.h"
#include "hwy/highway.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tierlib::dkm::host {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

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
    RaiseToFloor<Form>(tile, count, block);
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
    RaiseToFloor<Form>(tile, count, block);
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
    RaiseToFloor<Form>(tile, count, block);
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

// One vector of weights: turns e into attention (raised to the floor), h into h_ij, and writes dw [dim][lane].
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
  [[maybe_unused]] const auto floor = hn::Set(d, static_cast<T>(tile.attention_floor));
  const bool floors = Form::kAdjusted && tile.attention_floor > 0;
  auto mean = hn::Zero(d);
  TIERLIB_UNROLL
  for (std::size_t j = 0; j < k; ++j) {
    const auto attention = hn::Mul(hn::Load(d, e + j * lanes), normaliser);
    auto a = hn::Zero(d);
    for (std::size_t c = 0; c < dim; ++c) {
      const auto target = hn::Set(d, adjoint.targets[j * dim + c]);
      const auto away = hn::Sub(hn::Load(d, x + c * lanes), target);
      if (floors) {  // the sum over j is not fixed: nothing may be added alike to all
        a = hn::MulAdd(hn::Set(d, adjoint.u[j * dim + c]), away, a);
        a = hn::MulAdd(hn::Load(d, g + c * lanes), target, a);
      } else {
        const auto pull = hn::Sub(hn::Set(d, adjoint.u[j * dim + c]), hn::Load(d, g + c * lanes));
        a = hn::MulAdd(pull, away, a);
      }
    }
    if constexpr (Form::kAdjusted) a = hn::IfThenZeroElse(hn::Lt(attention, floor), a);
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
    if constexpr (Form::kAdjusted) hn::Store(Raised(d, attention, floor), d, e + j * lanes);
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
  if (IsAdjusted(tile)) {                                                                                          \
    if ((tile).metric == Metric::kEuclidean) return function<Variant<0, 0, true, true>>(tile, __VA_ARGS__);        \
    return function<Variant<0, 0, false, true>>(tile, __VA_ARGS__);                                                \
  }                                                                                                                \
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
