// Loops over contiguous rows, lane by lane, and the functions that several lanes_*.cc need. Compiled once per target:
// include after hwy/foreach_target.h.
//
// A row's last, partial vector goes through a zero-filled copy, so every element passes through the same operations
// wherever it stands and whatever the row's alignment is.
#if defined(TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_INL_H_
#undef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_INL_H_
#else
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::autograd::host::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D, typename T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadPartial(D d, const T* from, std::size_t count, T fill = T{0}) {
  HWY_ALIGN T lanes[HWY_LANES(T)];
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) lanes[i] = i < count ? from[i] : fill;
  return hn::Load(d, lanes);
}

template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void StorePartial(hn::Vec<D> v, D d, T* to, std::size_t count) {
  HWY_ALIGN T lanes[HWY_LANES(T)];
  hn::Store(v, d, lanes);
  for (std::size_t i = 0; i < count; ++i) to[i] = lanes[i];
}

// y[i] = f(x[i]). y may be x.
template <typename T, class F>
HWY_INLINE void Map(const T* x, T* y, std::size_t n, const F& f) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(d, hn::LoadU(d, x + i)), d, y + i);
  if (i < n) StorePartial(f(d, LoadPartial(d, x + i, n - i)), d, y + i, n - i);
}

// y[i] = f(a[i], b[i]). y may be a or b.
template <typename T, class F>
HWY_INLINE void Map(const T* a, const T* b, T* y, std::size_t n, const F& f) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(d, hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i);
  if (i < n) StorePartial(f(d, LoadPartial(d, a + i, n - i), LoadPartial(d, b + i, n - i)), d, y + i, n - i);
}

// y[i] = f(a[i], b[i], c[i]). y may be a, b or c.
template <typename T, class F>
HWY_INLINE void Map(const T* a, const T* b, const T* c, T* y, std::size_t n, const F& f) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(f(d, hn::LoadU(d, a + i), hn::LoadU(d, b + i), hn::LoadU(d, c + i)), d, y + i);
  }
  if (i < n) {
    const std::size_t rest = n - i;
    StorePartial(f(d, LoadPartial(d, a + i, rest), LoadPartial(d, b + i, rest), LoadPartial(d, c + i, rest)), d, y + i,
                 rest);
  }
}

// exp for arguments that do not overflow: Highway's, but NaN stays NaN. Within 2 ulp; where it would be subnormal it
// may be 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpNoOverflow(D d, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
}

// exp everywhere: infinity where the result would not fit.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SaturatingExp(D d, V x) {
  using T = hn::TFromD<D>;
  const T largest =
      static_cast<T>(sizeof(T) == 4 ? 88.7228 : 709.782712893384);  // log of the largest finite value, rounded down
  const V infinity = hn::Set(d, std::numeric_limits<T>::infinity());
  return hn::IfThenElse(hn::Gt(x, hn::Set(d, largest)), infinity, ExpNoOverflow(d, x));
}

// The normal distribution at x: its density times sqrt(2 pi) and its integral.
template <class V>
struct Normal {
  V bell;      // exp(-x^2 / 2)
  V integral;  // (1 + erf(x / sqrt(2))) / 2
};

// Float: 1/2 + x P(x^2) for |x| < 1, and s Q(s) exp(-x^2 / 2) / 2 with s = 1 / (1 + 0.46 |x| / sqrt(2)) for the tails
// (the form of Hastings, in Abramowitz & Stegun 7.1.26, with more terms). P and Q are our own minimax fits of relative
// error in float64 (Lawson's iteration on 4000 Chebyshev nodes, against the C library's erf and a continued fraction of
// erfc): 7e-10 for P, 1.2e-8 for Q on |x| < 14.8. In float32 the integral is within 1e-7 of the true value; in the left
// tail the relative error stays below 2e-6 for x > -4.
template <class D, class V>
HWY_INLINE Normal<V> FloatNormalAt(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V half = hn::Set(d, 0.5f);
  const V square = hn::Mul(x, x);
  const V bell = ExpNoOverflow(d, hn::Mul(square, hn::Set(d, -0.5f)));

  V p = hn::Set(d, -7.65420827519847e-06f);
  p = hn::MulAdd(p, square, hn::Set(d, 0.00011348637053743005f));
  p = hn::MulAdd(p, square, hn::Set(d, -0.0011863299878314137f));
  p = hn::MulAdd(p, square, hn::Set(d, 0.009973322972655296f));
  p = hn::MulAdd(p, square, hn::Set(d, -0.06649035960435867f));
  p = hn::MulAdd(p, square, hn::Set(d, 0.3989422917366028f));
  const V middle = hn::MulAdd(x, p, half);

  const V magnitude = hn::Abs(x);
  const V s = hn::Div(one, hn::MulAdd(magnitude, hn::Set(d, 0.46f * 0.70710678f), one));
  V q = hn::Set(d, 0.08456230163574219f);
  q = hn::MulAdd(q, s, hn::Set(d, -0.2821595370769501f));
  q = hn::MulAdd(q, s, hn::Set(d, 0.24345330893993378f));
  q = hn::MulAdd(q, s, hn::Set(d, 0.0008312971913255751f));
  q = hn::MulAdd(q, s, hn::Set(d, 0.20698463916778564f));
  q = hn::MulAdd(q, s, hn::Set(d, 0.22685284912586212f));
  q = hn::MulAdd(q, s, hn::Set(d, 0.26003116369247437f));
  q = hn::MulAdd(q, s, hn::Set(d, 0.25950658321380615f));
  const V tail = hn::Mul(hn::Mul(half, bell), hn::Mul(s, q));
  const V outer = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(one, tail));
  return {bell, hn::IfThenElse(hn::Lt(magnitude, one), middle, outer)};
}

// Double: the C library, lane by lane.
template <class D, class V>
HWY_INLINE Normal<V> DoubleNormalAt(D d, V x) {
  HWY_ALIGN double in[HWY_LANES(double)];
  HWY_ALIGN double bell[HWY_LANES(double)];
  HWY_ALIGN double integral[HWY_LANES(double)];
  hn::Store(x, d, in);
  for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
    bell[i] = std::exp(-0.5 * in[i] * in[i]);
    integral[i] = 0.5 * std::erfc(in[i] * -0.70710678118654752440);
  }
  return {hn::Load(d, bell), hn::Load(d, integral)};
}

template <class D, class V>
HWY_INLINE Normal<V> NormalAt(D d, V x) {
  if constexpr (sizeof(hn::TFromD<D>) == 4) {
    return FloatNormalAt(d, x);
  } else {
    return DoubleNormalAt(d, x);
  }
}

}  // namespace tierlib::autograd::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_INL_H_
