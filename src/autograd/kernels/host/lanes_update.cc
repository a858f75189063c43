#include "autograd/kernels/host/lanes_update.h"

#include "autograd/kernels/host/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/host/lanes_update.cc"
#include "hwy/foreach_target.h"  // compiles the rest of this file once per target
//
#include "autograd/kernels/host/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::autograd::host::HWY_NAMESPACE {
namespace {

template <class D>
struct Update {
  using V = hn::Vec<D>;
  using T = hn::TFromD<D>;
  HWY_INLINE Update(D d, const AdamWFactors& f)
      : keep(hn::Set(d, static_cast<T>(f.keep))),
        beta1(hn::Set(d, static_cast<T>(f.beta1))),
        beta2(hn::Set(d, static_cast<T>(f.beta2))),
        take1(hn::Set(d, static_cast<T>(1 - f.beta1))),
        take2(hn::Set(d, static_cast<T>(1 - f.beta2))),
        step(hn::Set(d, static_cast<T>(f.step))),
        root_correction(hn::Set(d, static_cast<T>(f.root_correction))),
        epsilon(hn::Set(d, static_cast<T>(f.epsilon))) {}

  HWY_INLINE void operator()(V gradient, V& value, V& avg, V& avg_sq) const {
    avg = hn::MulAdd(take1, gradient, hn::Mul(beta1, avg));
    avg_sq = hn::MulAdd(hn::Mul(take2, gradient), gradient, hn::Mul(beta2, avg_sq));
    const V denominator = hn::Add(hn::Div(hn::Sqrt(avg_sq), root_correction), epsilon);
    value = hn::NegMulAdd(step, hn::Div(avg, denominator), hn::Mul(value, keep));
  }

  V keep, beta1, beta2, take1, take2, step, root_correction, epsilon;
};

template <typename T>
void AdamWRow(const AdamWFactors& factors, const T* gradient, T* value, T* exp_avg, T* exp_avg_sq, std::size_t n) {
  const hn::ScalableTag<T> d;
  const std::size_t lanes = hn::Lanes(d);
  const Update<hn::ScalableTag<T>> update(d, factors);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    auto v = hn::LoadU(d, value + i);
    auto avg = hn::LoadU(d, exp_avg + i);
    auto avg_sq = hn::LoadU(d, exp_avg_sq + i);
    update(hn::LoadU(d, gradient + i), v, avg, avg_sq);
    hn::StoreU(v, d, value + i);
    hn::StoreU(avg, d, exp_avg + i);
    hn::StoreU(avg_sq, d, exp_avg_sq + i);
  }
  if (i < n) {
    const std::size_t rest = n - i;
    auto v = LoadPartial(d, value + i, rest);
    auto avg = LoadPartial(d, exp_avg + i, rest);
    auto avg_sq = LoadPartial(d, exp_avg_sq + i, rest);
    update(LoadPartial(d, gradient + i, rest), v, avg, avg_sq);
    StorePartial(v, d, value + i, rest);
    StorePartial(avg, d, exp_avg + i, rest);
    StorePartial(avg_sq, d, exp_avg_sq + i, rest);
  }
}

}  // namespace

void AdamWF32(const AdamWFactors& factors, const float* gradient, float* value, float* exp_avg, float* exp_avg_sq,
              std::size_t n) {
  AdamWRow(factors, gradient, value, exp_avg, exp_avg_sq, n);
}
void AdamWF64(const AdamWFactors& factors, const double* gradient, double* value, double* exp_avg, double* exp_avg_sq,
              std::size_t n) {
  AdamWRow(factors, gradient, value, exp_avg, exp_avg_sq, n);
}

}  // namespace tierlib::autograd::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tierlib::autograd::host {

HWY_EXPORT(AdamWF32);
HWY_EXPORT(AdamWF64);

void AdamWLanes(const AdamWFactors& factors, const float* gradient, float* value, float* exp_avg, float* exp_avg_sq,
                std::size_t n) {
  HWY_DYNAMIC_DISPATCH(AdamWF32)(factors, gradient, value, exp_avg, exp_avg_sq, n);
}
void AdamWLanes(const AdamWFactors& factors, const double* gradient, double* value, double* exp_avg, double* exp_avg_sq,
                std::size_t n) {
  HWY_DYNAMIC_DISPATCH(AdamWF64)(factors, gradient, value, exp_avg, exp_avg_sq, n);
}

}  // namespace tierlib::autograd::host
#endif  // HWY_ONCE
