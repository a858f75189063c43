// A vector of floats from and to bfloat16, as float16.h defines it, to the bit. To be included, after Highway, by files
// that are compiled once per target.
#if defined(TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_BF16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_BF16_INL_H_
#undef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_BF16_INL_H_
#else
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_LANES_BF16_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::autograd::host::HWY_NAMESPACE {

template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> LoadBF16(D df, const std::uint16_t* x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<std::uint16_t, D> du16;
  return hn::BitCast(df, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(du16, x))));
}

template <class D>
HWY_INLINE void StoreBF16(hwy::HWY_NAMESPACE::Vec<D> value, D, std::uint16_t* y) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToSigned<D> di;
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<std::uint16_t, D> du16;
  const auto bits = hn::BitCast(du, value);
  const auto high = hn::ShiftRight<16>(bits);
  const auto odd = hn::And(high, hn::Set(du, 1u));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fffu))));
  const auto quiet = hn::Or(high, hn::Set(du, 0x0040u));
  const auto magnitude = hn::BitCast(di, hn::And(bits, hn::Set(du, 0x7fffffffu)));
  const auto is_nan = hn::RebindMask(du, hn::Gt(magnitude, hn::Set(di, 0x7f800000)));
  // Values fit into 16 bits, so keeping the low halves is the conversion; DemoteTo would saturate as signed.
  hn::StoreU(hn::TruncateTo(du16, hn::IfThenElse(is_nan, quiet, rounded)), du16, y);
}

}  // namespace tierlib::autograd::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
