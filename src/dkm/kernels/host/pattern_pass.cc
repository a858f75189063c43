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
#include "autograd/kernels/host/lanes_bf16-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::dkm::host {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

namespace lanes = autograd::host::HWY_NAMESPACE;

// Gradients are f32, or the bits of bf16.
template <class D>
HWY_INLINE hn::Vec<D> LoadGradient(D d, const float* from) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> LoadGradient(D d, const std::uint16_t* from) {
  return lanes::LoadBF16(d, from);
}
template <class D>
HWY_INLINE void StoreGradient(hn::Vec<D> value, D d, float* to) {
  hn::StoreU(value, d, to);
}
template <class D>
HWY_INLINE void StoreGradient(hn::Vec<D> value, D d, std::uint16_t* to) {
  lanes::StoreBF16(value, d, to);
}

using One = hn::CappedTag<float, 1>;

#if HWY_TARGET != HWY_SCALAR
using Pair = hn::FixedTag<double, 2>;

template <typename T>
HWY_INLINE hn::Vec<Pair> LoadPair(const T* gradient) {
  return hn::PromoteTo(Pair(), LoadGradient(hn::FixedTag<float, 2>(), gradient));
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
    entry.sum += static_cast<double>(hn::GetLane(LoadGradient(One(), gradient + i)));
    entry.count += 1;
  }
}
void SumF32(const std::uint16_t* patterns, const float* gradient, std::size_t n, PatternSum* sums) {
  Sum(patterns, gradient, n, sums);
}
void SumBF16(const std::uint16_t* patterns, const std::uint16_t* gradient, std::size_t n, PatternSum* sums) {
  Sum(patterns, gradient, n, sums);
}

#if HWY_TARGET != HWY_SCALAR
using Four = hn::FixedTag<float, 4>;

// {slope, offset, slope, offset} of two weights.
HWY_INLINE hn::Vec<Four> LoadEntries(const SlopeOffsetBits* table, const std::uint16_t* patterns) {
  const hn::FixedTag<SlopeOffsetBits, 1> d1;
  const hn::FixedTag<SlopeOffsetBits, 2> d2;
  return hn::BitCast(Four(), hn::Combine(d2, hn::LoadU(d1, table + patterns[1]), hn::LoadU(d1, table + patterns[0])));
}
#endif

// Four weights at a time, from memory to memory: wider vectors, put together of entries through gathers or buffers,
// were slower by half.
template <typename T>
HWY_INLINE void Apply(const std::uint16_t* patterns, const T* gradient, std::size_t n, const SlopeOffsetBits* table,
                      T* output) {
  std::size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const Four d;
  for (; i + 4 <= n; i += 4) {
    const auto low = LoadEntries(table, patterns + i);
    const auto high = LoadEntries(table, patterns + i + 2);
    const auto g = LoadGradient(d, gradient + i);
    StoreGradient(hn::MulAdd(g, hn::ConcatEven(d, high, low), hn::ConcatOdd(d, high, low)), d, output + i);
  }
#endif
  const One d1;  // as above, to the bit
  for (; i < n; ++i) {
    const auto entry = std::bit_cast<SlopeOffset>(table[patterns[i]]);
    const auto g = LoadGradient(d1, gradient + i);
    StoreGradient(hn::MulAdd(g, hn::Set(d1, entry.slope), hn::Set(d1, entry.offset)), d1, output + i);
  }
}
void ApplyF32(const std::uint16_t* patterns, const float* gradient, std::size_t n, const SlopeOffsetBits* table,
              float* output) {
  Apply(patterns, gradient, n, table, output);
}
void ApplyBF16(const std::uint16_t* patterns, const std::uint16_t* gradient, std::size_t n,
               const SlopeOffsetBits* table, std::uint16_t* output) {
  Apply(patterns, gradient, n, table, output);
}

}  // namespace HWY_NAMESPACE
}  // namespace tierlib::dkm::host
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tierlib::dkm::host {

HWY_EXPORT(SumF32);
HWY_EXPORT(SumBF16);
HWY_EXPORT(ApplyF32);
HWY_EXPORT(ApplyBF16);

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
  HWY_DYNAMIC_DISPATCH(ApplyF32)(patterns, gradient, n, table, output);
}
void ApplyByPattern(const std::uint16_t* patterns, const std::uint16_t* gradient, std::size_t n,
                    const SlopeOffsetBits* table, std::uint16_t* output) {
  HWY_DYNAMIC_DISPATCH(ApplyBF16)(patterns, gradient, n, table, output);
}

}  // namespace tierlib::dkm::host
#endif  // HWY_ONCE
