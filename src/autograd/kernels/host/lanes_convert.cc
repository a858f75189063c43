#include "autograd/kernels/host/lanes_convert.h"

#include "autograd/kernels/host/float16.h"
#include "autograd/kernels/host/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "autograd/kernels/host/lanes_convert.cc"
#include "hwy/foreach_target.h"  // compiles the rest of this file once per target
//
#include "autograd/kernels/host/lanes_bf16-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::autograd::host::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A tail shorter than a vector is converted by the scalar functions: the results are the same bits.

void FloatFromBF16Row(const std::uint16_t* x, float* y, std::size_t n) {
  const hn::ScalableTag<float> df;
  const std::size_t lanes = hn::Lanes(df);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(LoadBF16(df, x + i), df, y + i);
  for (; i < n; ++i) y[i] = FloatFromBF16(x[i]);
}

void FloatFromF16Row(const std::uint16_t* x, float* y, std::size_t n) {
  const hn::ScalableTag<float> df;
  const hn::RebindToSigned<decltype(df)> di;
  const hn::RebindToUnsigned<decltype(df)> du;
  const hn::Rebind<std::uint16_t, decltype(df)> du16;
  const std::size_t lanes = hn::Lanes(df);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::PromoteTo(du, hn::LoadU(du16, x + i));
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000u)));
    const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(du, 0x7fffu)));
    const auto finite = hn::BitCast(du, hn::Mul(hn::BitCast(df, magnitude), hn::Set(df, 0x1p112f)));
    const auto special = hn::Or(magnitude, hn::Set(du, 0x7f800000u));
    const auto is_special = hn::Gt(hn::BitCast(di, magnitude), hn::Set(di, 0x0f7fffff));
    const auto value = hn::IfThenElse(hn::RebindMask(du, is_special), special, finite);
    hn::StoreU(hn::BitCast(df, hn::Or(value, sign)), df, y + i);
  }
  for (; i < n; ++i) y[i] = FloatFromF16(x[i]);
}

void BF16FromFloatRow(const float* x, std::uint16_t* y, std::size_t n) {
  const hn::ScalableTag<float> df;
  const std::size_t lanes = hn::Lanes(df);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) StoreBF16(hn::LoadU(df, x + i), df, y + i);
  for (; i < n; ++i) y[i] = BF16FromFloat(x[i]);
}

void F16FromFloatRow(const float* x, std::uint16_t* y, std::size_t n) {
  const hn::ScalableTag<float> df;
  const hn::RebindToSigned<decltype(df)> di;
  const hn::RebindToUnsigned<decltype(df)> du;
  const hn::Rebind<std::uint16_t, decltype(df)> du16;
  const std::size_t lanes = hn::Lanes(df);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::BitCast(du, hn::LoadU(df, x + i));
    const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 0x8000u));
    const auto magnitude = hn::And(bits, hn::Set(du, 0x7fffffffu));
    const auto signed_magnitude = hn::BitCast(di, magnitude);
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1u));
    const auto normal = hn::ShiftRight<13>(hn::Add(magnitude, hn::Add(odd, hn::Set(du, 0xc8000fffu))));
    const auto shifted = hn::Add(hn::BitCast(df, magnitude), hn::Set(df, 0.5f));
    const auto subnormal = hn::Sub(hn::BitCast(du, shifted), hn::Set(du, 0x3f000000u));
    const auto is_subnormal = hn::RebindMask(du, hn::Lt(signed_magnitude, hn::Set(di, 0x38800000)));
    const auto is_large = hn::RebindMask(du, hn::Gt(signed_magnitude, hn::Set(di, 0x477fffff)));
    const auto is_nan = hn::RebindMask(du, hn::Gt(signed_magnitude, hn::Set(di, 0x7f800000)));
    const auto special = hn::IfThenElse(is_nan, hn::Set(du, 0x7e00u), hn::Set(du, 0x7c00u));
    const auto finite = hn::IfThenElse(is_subnormal, subnormal, normal);
    const auto value = hn::Or(sign, hn::IfThenElse(is_large, special, finite));
    hn::StoreU(hn::TruncateTo(du16, value), du16, y + i);
  }
  for (; i < n; ++i) y[i] = F16FromFloat(x[i]);
}

}  // namespace tierlib::autograd::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tierlib::autograd::host {

HWY_EXPORT(FloatFromBF16Row);
HWY_EXPORT(FloatFromF16Row);
HWY_EXPORT(BF16FromFloatRow);
HWY_EXPORT(F16FromFloatRow);

void FloatFromBF16Lanes(const std::uint16_t* x, float* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(FloatFromBF16Row)(x, y, n);
}
void FloatFromF16Lanes(const std::uint16_t* x, float* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(FloatFromF16Row)(x, y, n);
}
void BF16FromFloatLanes(const float* x, std::uint16_t* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(BF16FromFloatRow)(x, y, n);
}
void F16FromFloatLanes(const float* x, std::uint16_t* y, std::size_t n) {
  HWY_DYNAMIC_DISPATCH(F16FromFloatRow)(x, y, n);
}

}  // namespace tierlib::autograd::host
#endif  // HWY_ONCE
