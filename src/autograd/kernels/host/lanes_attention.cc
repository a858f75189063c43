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

// Four rows by two vectors of C stay in registers: eight sums in flight cover the latency of multiply-add. Written out,
// because GCC keeps an array of sums in memory unless it unrolls every loop over it, which -O2 does not. Where `second`
// is the first vector again (columns are an odd number of vectors), both do the same work and store the same bits.
template <typename T>
HWY_INLINE void MultiplyBlock(const TileProduct<T>& p, std::int64_t row, std::int64_t column, std::int64_t second,
                              std::int64_t begin, std::int64_t end) {
  const hn::ScalableTag<T> d;
  T* const c0 = p.c + row * p.ldc + column;
  T* const c1 = c0 + p.ldc;
  T* const c2 = c1 + p.ldc;
  T* const c3 = c2 + p.ldc;
  auto s00 = hn::Zero(d), s01 = hn::Zero(d), s10 = hn::Zero(d), s11 = hn::Zero(d);
  auto s20 = hn::Zero(d), s21 = hn::Zero(d), s30 = hn::Zero(d), s31 = hn::Zero(d);
  if (p.accumulate) {
    s00 = hn::LoadU(d, c0), s01 = hn::LoadU(d, c0 + second);
    s10 = hn::LoadU(d, c1), s11 = hn::LoadU(d, c1 + second);
    s20 = hn::LoadU(d, c2), s21 = hn::LoadU(d, c2 + second);
    s30 = hn::LoadU(d, c3), s31 = hn::LoadU(d, c3 + second);
  }
  const T* a0 = p.a + row * p.a_row + begin * p.a_term;
  const T* b = p.b + begin * p.ldb + column;
  const std::int64_t a_row = p.a_row;
  for (std::int64_t k = begin; k < end; ++k, a0 += p.a_term, b += p.ldb) {
    const auto b0 = hn::LoadU(d, b);
    const auto b1 = hn::LoadU(d, b + second);
    auto left = hn::Set(d, a0[0]);
    s00 = hn::MulAdd(left, b0, s00), s01 = hn::MulAdd(left, b1, s01);
    left = hn::Set(d, a0[a_row]);
    s10 = hn::MulAdd(left, b0, s10), s11 = hn::MulAdd(left, b1, s11);
    left = hn::Set(d, a0[2 * a_row]);
    s20 = hn::MulAdd(left, b0, s20), s21 = hn::MulAdd(left, b1, s21);
    left = hn::Set(d, a0[3 * a_row]);
    s30 = hn::MulAdd(left, b0, s30), s31 = hn::MulAdd(left, b1, s31);
  }
  hn::StoreU(s00, d, c0), hn::StoreU(s01, d, c0 + second);
  hn::StoreU(s10, d, c1), hn::StoreU(s11, d, c1 + second);
  hn::StoreU(s20, d, c2), hn::StoreU(s21, d, c2 + second);
  hn::StoreU(s30, d, c3), hn::StoreU(s31, d, c3 + second);
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
    for (; column + 2 * lanes <= columns; column += 2 * lanes) MultiplyBlock(p, row, column, lanes, begin, end);
    if (column < columns) MultiplyBlock(p, row, column, 0, begin, end);
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
  for (; j < kAttentionTile<T>; j += lanes) hn::StoreU(hn::Zero(d), d, s + j);
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
  for (; j < kAttentionTile<T>; j += lanes) {
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
