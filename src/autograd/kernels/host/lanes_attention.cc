#include "autograd/kernels/host/lanes_attention.h"

#include <algorithm>

#include "autograd/kernels/host/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/host/lanes_attention.cc"
#include "hwy/foreach_target.h"  // compiles the rest of this file once per target
//
#include "autograd/kernels/host/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::autograd::host::HWY_NAMESPACE {
namespace {

// Four rows by kVectors vectors of C stay in registers: eight sums in flight cover the latency of multiply-add.
template <int kVectors, typename T>
HWY_INLINE void MultiplyBlock(const TileProduct<T>& p, std::int64_t row, std::int64_t column, std::int64_t begin,
                              std::int64_t end) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<hn::ScalableTag<T>>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  V sums[4][kVectors];
  for (int i = 0; i < 4; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      T* c = p.c + (row + i) * p.ldc + column + v * lanes;
      sums[i][v] = p.accumulate ? hn::LoadU(d, c) : hn::Zero(d);
    }
  }
  const T* a = p.a + row * p.a_row + begin * p.a_term;
  const T* b = p.b + begin * p.ldb + column;
  for (std::int64_t k = begin; k < end; ++k, a += p.a_term, b += p.ldb) {
    V terms[kVectors];
    for (int v = 0; v < kVectors; ++v) terms[v] = hn::LoadU(d, b + v * lanes);
    for (int i = 0; i < 4; ++i) {
      const V left = hn::Set(d, a[i * p.a_row]);
      for (int v = 0; v < kVectors; ++v) sums[i][v] = hn::MulAdd(left, terms[v], sums[i][v]);
    }
  }
  for (int i = 0; i < 4; ++i) {
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sums[i][v], d, p.c + (row + i) * p.ldc + column + v * lanes);
  }
}

template <typename T>
void Multiply(const TileProduct<T>& p) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t row = 0; row < p.rows; row += 4) {
    std::int64_t columns = p.columns;
    if (p.part == Part::kColumnsToRow) {
      columns = std::min(columns, (row + 4 + kAttentionPad - 1) / kAttentionPad * kAttentionPad);
    }
    const std::int64_t begin = p.part == Part::kDepthFromRow ? row : 0;
    const std::int64_t end = p.part == Part::kDepthToRow ? std::min(p.depth, row + 4) : p.depth;
    std::int64_t column = 0;
    for (; column + 2 * lanes <= columns; column += 2 * lanes) MultiplyBlock<2>(p, row, column, begin, end);
    for (; column < columns; column += lanes) MultiplyBlock<1>(p, row, column, begin, end);
  }
}

template <typename T>
T SoftmaxRow(T* s, std::int64_t visible, T* most) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto lowest = hn::Set(d, -std::numeric_limits<T>::infinity());
  auto largest = hn::Set(d, *most);
  for (std::int64_t j = 0; j < visible; j += lanes) {
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(std::min(lanes, visible - j)));
    largest = hn::Max(largest, hn::IfThenElse(mask, hn::LoadU(d, s + j), lowest));
  }
  const auto shift = hn::MaxOfLanes(d, largest);
  *most = hn::GetLane(shift);
  auto sum = hn::Zero(d);
  std::int64_t j = 0;
  for (; j < visible; j += lanes) {
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(std::min(lanes, visible - j)));
    const auto p = hn::IfThenElseZero(mask, ExpNoOverflow(d, hn::Sub(hn::LoadU(d, s + j), shift)));
    sum = hn::Add(sum, p);
    hn::StoreU(p, d, s + j);
  }
  for (; j < kAttentionTile; j += lanes) hn::StoreU(hn::Zero(d), d, s + j);
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

template <typename T>
void ScoreGradientRow(T* s, T* dp, std::int64_t visible, T log_sum_exp, T delta, const T* factors) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto shift = hn::Set(d, log_sum_exp);
  const auto vdelta = hn::Set(d, delta);
  std::int64_t j = 0;
  for (; j < visible; j += lanes) {
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(std::min(lanes, visible - j)));
    const auto p = hn::IfThenElseZero(mask, ExpNoOverflow(d, hn::Sub(hn::LoadU(d, s + j), shift)));
    auto gradient = hn::LoadU(d, dp + j);
    auto dropped = p;
    if (factors != nullptr) {
      const auto factor = hn::LoadU(d, factors + j);
      gradient = hn::Mul(gradient, factor);
      dropped = hn::Mul(p, factor);
    }
    hn::StoreU(hn::IfThenElseZero(mask, dropped), d, s + j);
    hn::StoreU(hn::IfThenElseZero(mask, hn::Mul(p, hn::Sub(gradient, vdelta))), d, dp + j);
  }
  for (; j < kAttentionTile; j += lanes) {
    hn::StoreU(hn::Zero(d), d, s + j);
    hn::StoreU(hn::Zero(d), d, dp + j);
  }
}

}  // namespace

// Highway's tables hold plain functions, so each type has its own name.
void MultiplyF32(const TileProduct<float>& product) { Multiply(product); }
void MultiplyF64(const TileProduct<double>& product) { Multiply(product); }
float SoftmaxRowF32(float* s, std::int64_t visible, float* most) { return SoftmaxRow(s, visible, most); }
double SoftmaxRowF64(double* s, std::int64_t visible, double* most) { return SoftmaxRow(s, visible, most); }
void ScoreGradientRowF32(float* s, float* dp, std::int64_t visible, float log_sum_exp, float delta,
                         const float* factors) {
  ScoreGradientRow(s, dp, visible, log_sum_exp, delta, factors);
}
void ScoreGradientRowF64(double* s, double* dp, std::int64_t visible, double log_sum_exp, double delta,
                         const double* factors) {
  ScoreGradientRow(s, dp, visible, log_sum_exp, delta, factors);
}

}  // namespace tierlib::autograd::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tierlib::autograd::host {

HWY_EXPORT(MultiplyF32);
HWY_EXPORT(MultiplyF64);
HWY_EXPORT(SoftmaxRowF32);
HWY_EXPORT(SoftmaxRowF64);
HWY_EXPORT(ScoreGradientRowF32);
HWY_EXPORT(ScoreGradientRowF64);

void MultiplyLanes(const TileProduct<float>& product) { HWY_DYNAMIC_DISPATCH(MultiplyF32)(product); }
void MultiplyLanes(const TileProduct<double>& product) { HWY_DYNAMIC_DISPATCH(MultiplyF64)(product); }
float SoftmaxRowLanes(float* s, std::int64_t visible, float* most) {
  return HWY_DYNAMIC_DISPATCH(SoftmaxRowF32)(s, visible, most);
}
double SoftmaxRowLanes(double* s, std::int64_t visible, double* most) {
  return HWY_DYNAMIC_DISPATCH(SoftmaxRowF64)(s, visible, most);
}
void ScoreGradientRowLanes(float* s, float* dp, std::int64_t visible, float log_sum_exp, float delta,
                           const float* factors) {
  HWY_DYNAMIC_DISPATCH(ScoreGradientRowF32)(s, dp, visible, log_sum_exp, delta, factors);
}
void ScoreGradientRowLanes(double* s, double* dp, std::int64_t visible, double log_sum_exp, double delta,
                           const double* factors) {
  HWY_DYNAMIC_DISPATCH(ScoreGradientRowF64)(s, dp, visible, log_sum_exp, delta, factors);
}

}  // namespace tierlib::autograd::host
#endif  // HWY_ONCE
