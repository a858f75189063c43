#include "autograd/kernels/host/lanes_rows.h"

#include "autograd/kernels/host/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/host/lanes_rows.cc"
#include "hwy/foreach_target.h"  // compiles the rest of this file once per target
//
#include "autograd/kernels/host/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::autograd::host::HWY_NAMESPACE {
namespace {

// A running sum of vectors of T in double. Two accumulators hide the latency of the additions.
template <typename T>
class WideSum {
 public:
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;

  HWY_INLINE WideSum() : low_(hn::Zero(dd_)), high_(hn::Zero(dd_)) {}

  HWY_INLINE void Add(V v) {
    if constexpr (sizeof(T) == 8) {
      low_ = hn::Add(low_, v);
    } else {
#if HWY_TARGET == HWY_SCALAR
      low_ = hn::Add(low_, hn::PromoteTo(dd_, v));
#else
      const hn::Half<D> dh;
      low_ = hn::Add(low_, hn::PromoteTo(dd_, hn::LowerHalf(dh, v)));
      high_ = hn::Add(high_, hn::PromoteTo(dd_, hn::UpperHalf(dh, v)));
#endif
    }
  }

  HWY_INLINE double Total() const {
    HWY_ALIGN double lanes[HWY_LANES(double)];
    hn::Store(hn::Add(low_, high_), dd_, lanes);
    double total = 0;
    for (std::size_t i = 0; i < hn::Lanes(dd_); ++i) total += lanes[i];
    return total;
  }

 private:
  using DD = hn::ScalableTag<double>;
  DD dd_;
  hn::Vec<DD> low_;
  hn::Vec<DD> high_;
};

template <typename T>
T MaxRow(const T* x, std::size_t n) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const T lowest = -std::numeric_limits<T>::infinity();
  auto most = hn::Set(d, lowest);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) most = hn::Max(most, hn::LoadU(d, x + i));
  if (i < n) most = hn::Max(most, LoadPartial(d, x + i, n - i, lowest));
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

// Sum over i of f(x[i]), f in T, the sum in double; f(0) need not be 0: a tail adds only the lanes that are there.
template <typename T, class F>
HWY_INLINE double SumRow(const T* x, std::size_t n, const F& f) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  WideSum<T> sum;
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) sum.Add(f(d, hn::LoadU(d, x + i)));
  if (i < n) sum.Add(hn::IfThenElseZero(hn::FirstN(d, n - i), f(d, LoadPartial(d, x + i, n - i))));
  return sum.Total();
}

struct Itself {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x) const {
    return x;
  }
};

template <typename T>
struct SquaredDistance {
  T mean;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    const V deviation = hn::Sub(x, hn::Set(d, mean));
    return hn::Mul(deviation, deviation);
  }
};

// Products of floats are exact in double, and squares of large floats do not overflow there.
template <typename T>
double DotRow(const T* x, const T* y, std::size_t n) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<T, decltype(dd)> d;
  const std::size_t lanes = hn::Lanes(dd);
  const auto wide = [&](auto v) HWY_ATTR {
    if constexpr (sizeof(T) == 8) {
      return v;
    } else {
      return hn::PromoteTo(dd, v);
    }
  };
  auto sum0 = hn::Zero(dd);
  auto sum1 = hn::Zero(dd);
  std::size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    sum0 = hn::MulAdd(wide(hn::LoadU(d, x + i)), wide(hn::LoadU(d, y + i)), sum0);
    sum1 = hn::MulAdd(wide(hn::LoadU(d, x + i + lanes)), wide(hn::LoadU(d, y + i + lanes)), sum1);
  }
  HWY_ALIGN double totals[HWY_LANES(double)];
  hn::Store(hn::Add(sum0, sum1), dd, totals);
  double total = 0;
  for (std::size_t lane = 0; lane < lanes; ++lane) total += totals[lane];
  for (; i < n; ++i) total += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return total;
}

template <typename T>
void AccumulateRow(const T* x, double* sum, std::size_t n) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<T, decltype(dd)> d;
  const std::size_t lanes = hn::Lanes(dd);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    if constexpr (sizeof(T) == 8) {
      hn::StoreU(hn::Add(hn::LoadU(dd, sum + i), hn::LoadU(d, x + i)), dd, sum + i);
    } else {
      hn::StoreU(hn::Add(hn::LoadU(dd, sum + i), hn::PromoteTo(dd, hn::LoadU(d, x + i))), dd, sum + i);
    }
  }
  for (; i < n; ++i) sum[i] += static_cast<double>(x[i]);
}

template <typename T>
double ExpRow(const T* x, T shift, T scale, T* y, std::size_t n) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto vshift = hn::Set(d, shift);
  const auto vscale = hn::Set(d, scale);
  WideSum<T> sum;
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto e = ExpNoOverflow(d, hn::Sub(hn::LoadU(d, x + i), vshift));
    sum.Add(e);
    if (y != nullptr) hn::StoreU(hn::Mul(e, vscale), d, y + i);
  }
  if (i < n) {
    const auto e = ExpNoOverflow(d, hn::Sub(LoadPartial(d, x + i, n - i, shift), vshift));
    sum.Add(hn::IfThenElseZero(hn::FirstN(d, n - i), e));
    if (y != nullptr) StorePartial(hn::Mul(e, vscale), d, y + i, n - i);
  }
  return sum.Total();
}

template <typename T>
struct SoftmaxGradient {
  T dot;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V y, V dy) const {
    return hn::Mul(y, hn::Sub(dy, hn::Set(d, dot)));
  }
};

template <typename T>
struct NormalizeNoBias {
  T mean;
  T rstd;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x, V weight) const {
    return hn::Mul(hn::Mul(hn::Sub(x, hn::Set(d, mean)), hn::Set(d, rstd)), weight);
  }
};

template <typename T>
struct Normalize {
  T mean;
  T rstd;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x, V weight, V bias) const {
    return hn::MulAdd(hn::Mul(hn::Sub(x, hn::Set(d, mean)), hn::Set(d, rstd)), weight, bias);
  }
};

template <typename T>
void NormalizeRow(const T* x, T mean, T rstd, const T* weight, const T* bias, T* y, std::size_t n) {
  if (bias == nullptr) {
    Map(x, weight, y, n, NormalizeNoBias<T>{mean, rstd});
  } else {
    Map(x, weight, bias, y, n, Normalize<T>{mean, rstd});
  }
}

template <typename T>
NormalizeSums NormalizeSumsRow(const T* dy, const T* x, T mean, T rstd, const T* weight, std::size_t n) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const auto vmean = hn::Set(d, mean);
  const auto vrstd = hn::Set(d, rstd);
  WideSum<T> h_sum;
  WideSum<T> hz_sum;
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto h = hn::Mul(hn::LoadU(d, dy + i), hn::LoadU(d, weight + i));
    h_sum.Add(h);
    hz_sum.Add(hn::Mul(h, hn::Mul(hn::Sub(hn::LoadU(d, x + i), vmean), vrstd)));
  }
  if (i < n) {
    const auto h = hn::Mul(LoadPartial(d, dy + i, n - i), LoadPartial(d, weight + i, n - i));
    h_sum.Add(h);
    hz_sum.Add(hn::Mul(h, hn::Mul(hn::Sub(LoadPartial(d, x + i, n - i, mean), vmean), vrstd)));
  }
  return {h_sum.Total(), hz_sum.Total()};
}

template <typename T>
struct NormalizeGradient {
  T mean;
  T rstd;
  T mean_h;
  T mean_hz;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V dy, V x, V weight) const {
    const V vrstd = hn::Set(d, rstd);
    const V z = hn::Mul(hn::Sub(x, hn::Set(d, mean)), vrstd);
    const V centred = hn::Sub(hn::Mul(dy, weight), hn::Set(d, mean_h));
    return hn::Mul(vrstd, hn::NegMulAdd(z, hn::Set(d, mean_hz), centred));
  }
};

template <typename T>
void NormalizeParameterRow(const T* dy, const T* x, T mean, T rstd, double* dweight, double* dbias, std::size_t n) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<T, decltype(dd)> d;
  const std::size_t lanes = hn::Lanes(dd);
  const auto vmean = hn::Set(d, mean);
  const auto vrstd = hn::Set(d, rstd);
  const auto wide = [&](auto v) HWY_ATTR {
    if constexpr (sizeof(T) == 8) {
      return v;
    } else {
      return hn::PromoteTo(dd, v);
    }
  };
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto g = hn::LoadU(d, dy + i);
    const auto z = hn::Mul(hn::Sub(hn::LoadU(d, x + i), vmean), vrstd);
    hn::StoreU(hn::Add(hn::LoadU(dd, dweight + i), wide(hn::Mul(g, z))), dd, dweight + i);
    hn::StoreU(hn::Add(hn::LoadU(dd, dbias + i), wide(g)), dd, dbias + i);
  }
  for (; i < n; ++i) {
    const T z = (x[i] - mean) * rstd;
    dweight[i] += static_cast<double>(dy[i] * z);
    dbias[i] += static_cast<double>(dy[i]);
  }
}

}  // namespace

// Highway's tables hold plain functions, so each type has its own name.
#define TIERLIB_FOR_TYPE(T, SUFFIX)                                                                                    \
  T Max##SUFFIX(const T* x, std::size_t n) { return MaxRow(x, n); }                                                    \
  double Sum##SUFFIX(const T* x, std::size_t n) { return SumRow(x, n, Itself{}); }                                     \
  double Dot##SUFFIX(const T* x, const T* y, std::size_t n) { return DotRow(x, y, n); }                                \
  double SquaredDeviation##SUFFIX(const T* x, T mean, std::size_t n) {                                                 \
    return SumRow(x, n, SquaredDistance<T>{mean});                                                                     \
  }                                                                                                                    \
  void Accumulate##SUFFIX(const T* x, double* sum, std::size_t n) { AccumulateRow(x, sum, n); }                        \
  double Exp##SUFFIX(const T* x, T shift, T scale, T* y, std::size_t n) { return ExpRow(x, shift, scale, y, n); }      \
  void SoftmaxGradient##SUFFIX(const T* y, const T* dy, T dot, T* dx, std::size_t n) {                                 \
    Map(y, dy, dx, n, SoftmaxGradient<T>{dot});                                                                        \
  }                                                                                                                    \
  void Normalize##SUFFIX(const T* x, T mean, T rstd, const T* weight, const T* bias, T* y, std::size_t n) {            \
    NormalizeRow(x, mean, rstd, weight, bias, y, n);                                                                   \
  }                                                                                                                    \
  NormalizeSums NormalizeSums##SUFFIX(const T* dy, const T* x, T mean, T rstd, const T* weight, std::size_t n) {       \
    return NormalizeSumsRow(dy, x, mean, rstd, weight, n);                                                             \
  }                                                                                                                    \
  void NormalizeGradient##SUFFIX(const T* dy, const T* x, T mean, T rstd, const T* weight, T mean_h, T mean_hz, T* dx, \
                                 std::size_t n) {                                                                      \
    Map(dy, x, weight, dx, n, NormalizeGradient<T>{mean, rstd, mean_h, mean_hz});                                      \
  }                                                                                                                    \
  void NormalizeParameter##SUFFIX(const T* dy, const T* x, T mean, T rstd, double* dweight, double* dbias,             \
                                  std::size_t n) {                                                                     \
    NormalizeParameterRow(dy, x, mean, rstd, dweight, dbias, n);                                                       \
  }

TIERLIB_FOR_TYPE(float, F32)
TIERLIB_FOR_TYPE(double, F64)
#undef TIERLIB_FOR_TYPE

}  // namespace tierlib::autograd::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tierlib::autograd::host {

#define TIERLIB_FOR_TYPE(T, SUFFIX)                                                                                 \
  HWY_EXPORT(Max##SUFFIX);                                                                                          \
  HWY_EXPORT(Sum##SUFFIX);                                                                                          \
  HWY_EXPORT(Dot##SUFFIX);                                                                                          \
  HWY_EXPORT(SquaredDeviation##SUFFIX);                                                                             \
  HWY_EXPORT(Accumulate##SUFFIX);                                                                                   \
  HWY_EXPORT(Exp##SUFFIX);                                                                                          \
  HWY_EXPORT(SoftmaxGradient##SUFFIX);                                                                              \
  HWY_EXPORT(Normalize##SUFFIX);                                                                                    \
  HWY_EXPORT(NormalizeSums##SUFFIX);                                                                                \
  HWY_EXPORT(NormalizeGradient##SUFFIX);                                                                            \
  HWY_EXPORT(NormalizeParameter##SUFFIX);                                                                           \
  T MaxLanes(const T* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(Max##SUFFIX)(x, n); }                         \
  double SumLanes(const T* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(Sum##SUFFIX)(x, n); }                    \
  double SquaredSumLanes(const T* x, std::size_t n) { return HWY_DYNAMIC_DISPATCH(Dot##SUFFIX)(x, x, n); }          \
  double DotLanes(const T* x, const T* y, std::size_t n) { return HWY_DYNAMIC_DISPATCH(Dot##SUFFIX)(x, y, n); }     \
  double SquaredDeviationLanes(const T* x, T mean, std::size_t n) {                                                 \
    return HWY_DYNAMIC_DISPATCH(SquaredDeviation##SUFFIX)(x, mean, n);                                              \
  }                                                                                                                 \
  void AccumulateLanes(const T* x, double* sum, std::size_t n) {                                                    \
    HWY_DYNAMIC_DISPATCH(Accumulate##SUFFIX)(x, sum, n);                                                            \
  }                                                                                                                 \
  double ExpLanes(const T* x, T shift, T scale, T* y, std::size_t n) {                                              \
    return HWY_DYNAMIC_DISPATCH(Exp##SUFFIX)(x, shift, scale, y, n);                                                \
  }                                                                                                                 \
  void SoftmaxGradientLanes(const T* y, const T* dy, T dot, T* dx, std::size_t n) {                                 \
    HWY_DYNAMIC_DISPATCH(SoftmaxGradient##SUFFIX)(y, dy, dot, dx, n);                                               \
  }                                                                                                                 \
  void NormalizeLanes(const T* x, T mean, T rstd, const T* weight, const T* bias, T* y, std::size_t n) {            \
    HWY_DYNAMIC_DISPATCH(Normalize##SUFFIX)(x, mean, rstd, weight, bias, y, n);                                     \
  }                                                                                                                 \
  NormalizeSums NormalizeSumsLanes(const T* dy, const T* x, T mean, T rstd, const T* weight, std::size_t n) {       \
    return HWY_DYNAMIC_DISPATCH(NormalizeSums##SUFFIX)(dy, x, mean, rstd, weight, n);                               \
  }                                                                                                                 \
  void NormalizeGradientLanes(const T* dy, const T* x, T mean, T rstd, const T* weight, T mean_h, T mean_hz, T* dx, \
                              std::size_t n) {                                                                      \
    HWY_DYNAMIC_DISPATCH(NormalizeGradient##SUFFIX)(dy, x, mean, rstd, weight, mean_h, mean_hz, dx, n);             \
  }                                                                                                                 \
  void NormalizeParameterLanes(const T* dy, const T* x, T mean, T rstd, double* dweight, double* dbias,             \
                               std::size_t n) {                                                                     \
    HWY_DYNAMIC_DISPATCH(NormalizeParameter##SUFFIX)(dy, x, mean, rstd, dweight, dbias, n);                         \
  }

TIERLIB_FOR_TYPE(float, F32)
TIERLIB_FOR_TYPE(double, F64)
#undef TIERLIB_FOR_TYPE

}  // namespace tierlib::autograd::host
#endif  // HWY_ONCE
