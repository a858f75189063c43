// The pattern passes. One load per weight from a table, and in two of them a store to it, whose address depends on the
// weight: a later load of a pattern waits until it is known not to be what was stored. So the patterns of a few weights
// are loaded before the first store. Tables of one piece are not kept several times over: that costs more in the caches
// than it saves where neighbours are equal.
//
// Vectors serve where they take work from the loads and stores, with Highway: one source for SSE4, AVX2, AVX-512 and
// NEON, chosen when the program runs.
#include "dkm/kernels/pattern_pass.h"

#include <bit>

#include "autograd/kernels/host/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dkm/kernels/host/pattern_pass.cc"
#include "hwy/foreach_target.h"  // compiles the rest of this file once per target
//
#include "autograd/kernels/host/float16.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::dkm::host {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE double InDouble(float gradient) { return static_cast<double>(gradient); }
HWY_INLINE double InDouble(std::uint16_t gradient) {
  return static_cast<double>(autograd::host::FloatFromBF16(gradient));
}

#if HWY_TARGET != HWY_SCALAR
using Pair = hn::FixedTag<double, 2>;

HWY_INLINE hn::Vec<Pair> LoadPair(const float* gradient) {
  return hn::PromoteTo(Pair(), hn::LoadU(hn::FixedTag<float, 2>(), gradient));
}
HWY_INLINE hn::Vec<Pair> LoadPair(const std::uint16_t* gradient) {
  const auto bits =
      hn::PromoteTo(hn::FixedTag<std::uint32_t, 2>(), hn::LoadU(hn::FixedTag<std::uint16_t, 2>(), gradient));
  return hn::PromoteTo(Pair(), hn::BitCast(hn::FixedTag<float, 2>(), hn::ShiftLeft<16>(bits)));
}

// An entry is read, added to and written as one vector.
HWY_INLINE void AddTo(PatternSum& entry, hn::Vec<Pair> increment) {
  hn::Store(hn::Add(hn::Load(Pair(), &entry.sum), increment), Pair(), &entry.sum);
}
#endif

template <typename T>
HWY_INLINE void Sum(const std::uint16_t* patterns, const T* gradient, std::size_t n, PatternSum* sums) {
  std::size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const auto one = hn::Set(Pair(), 1.0);
  for (; i + 4 <= n; i += 4) {
    const std::uint16_t u0 = patterns[i], u1 = patterns[i + 1], u2 = patterns[i + 2], u3 = patterns[i + 3];
    const auto first = LoadPair(gradient + i);
    const auto second = LoadPair(gradient + i + 2);
    AddTo(sums[u0], hn::InterleaveLower(Pair(), first, one));
    AddTo(sums[u1], hn::InterleaveUpper(Pair(), first, one));
    AddTo(sums[u2], hn::InterleaveLower(Pair(), second, one));
    AddTo(sums[u3], hn::InterleaveUpper(Pair(), second, one));
  }
#endif
  for (; i < n; ++i) {
    PatternSum& entry = sums[patterns[i]];
    entry.sum += InDouble(gradient[i]);
    entry.count += 1;
  }
}
void SumF32(const std::uint16_t* patterns, const float* gradient, std::size_t n, PatternSum* sums) {
  Sum(patterns, gradient, n, sums);
}
void SumBF16(const std::uint16_t* patterns, const std::uint16_t* gradient, std::size_t n, PatternSum* sums) {
  Sum(patterns, gradient, n, sums);
}

// slope lies in the low half of an entry.
void Apply(const std::uint16_t* patterns, const float* gradient, std::size_t n, const SlopeOffsetBits* table,
           float* output) {
  std::size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::CappedTag<float, 16> d;
  const hn::Repartition<std::int64_t, decltype(d)> d64;
  const hn::Rebind<std::int32_t, decltype(d64)> d32;
  const hn::Rebind<std::uint16_t, decltype(d64)> d16;
  const std::size_t lanes = hn::Lanes(d);
  const auto gather = [&](const std::uint16_t* from) HWY_ATTR {
    const auto index = hn::PromoteTo(d64, hn::PromoteTo(d32, hn::LoadU(d16, from)));
    return hn::BitCast(d, hn::GatherIndex(d64, table, index));
  };
  for (; i + lanes <= n; i += lanes) {
    const auto low = gather(patterns + i);
    const auto high = gather(patterns + i + lanes / 2);
    const auto slope = hn::ConcatEven(d, high, low);
    const auto offset = hn::ConcatOdd(d, high, low);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, gradient + i), slope, offset), d, output + i);
  }
#endif
  const hn::CappedTag<float, 1> d1;  // as above, to the bit
  for (; i < n; ++i) {
    const auto entry = std::bit_cast<SlopeOffset>(table[patterns[i]]);
    hn::StoreU(hn::MulAdd(hn::LoadU(d1, gradient + i), hn::Set(d1, entry.slope), hn::Set(d1, entry.offset)), d1,
               output + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tierlib::dkm::host
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tierlib::dkm::host {

HWY_EXPORT(SumF32);
HWY_EXPORT(SumBF16);
HWY_EXPORT(Apply);

void CountPatterns(const std::uint16_t* patterns, std::size_t n, std::uint32_t* counts) {
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const std::uint16_t u0 = patterns[i], u1 = patterns[i + 1], u2 = patterns[i + 2], u3 = patterns[i + 3];
    ++counts[u0];
    ++counts[u1];
    ++counts[u2];
    ++counts[u3];
  }
  for (; i < n; ++i) ++counts[patterns[i]];
}

void SumByPattern(const std::uint16_t* patterns, const float* gradient, std::size_t n, PatternSum* sums) {
  HWY_DYNAMIC_DISPATCH(SumF32)(patterns, gradient, n, sums);
}
void SumByPattern(const std::uint16_t* patterns, const std::uint16_t* gradient, std::size_t n, PatternSum* sums) {
  HWY_DYNAMIC_DISPATCH(SumBF16)(patterns, gradient, n, sums);
}

namespace {

template <typename T>
void Gather(const std::uint16_t* patterns, std::size_t n, const T* table, T* output) {
  constexpr std::size_t kAtOnce = 8;
  std::size_t i = 0;
  for (; i + kAtOnce <= n; i += kAtOnce) {
    T entries[kAtOnce];
    for (std::size_t j = 0; j < kAtOnce; ++j) entries[j] = table[patterns[i + j]];
    for (std::size_t j = 0; j < kAtOnce; ++j) output[i + j] = entries[j];
  }
  for (; i < n; ++i) output[i] = table[patterns[i]];
}

}  // namespace

void GatherByPattern(const std::uint16_t* patterns, std::size_t n, const std::uint16_t* table, std::uint16_t* output) {
  Gather(patterns, n, table, output);
}
void GatherByPattern(const std::uint16_t* patterns, std::size_t n, const float* table, float* output) {
  Gather(patterns, n, table, output);
}

void ApplyByPattern(const std::uint16_t* patterns, const float* gradient, std::size_t n, const SlopeOffsetBits* table,
                    float* output) {
  HWY_DYNAMIC_DISPATCH(Apply)(patterns, gradient, n, table, output);
}

}  // namespace tierlib::dkm::host
#endif  // HWY_ONCE
