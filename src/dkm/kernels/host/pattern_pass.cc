// The pattern passes. One load per weight from a table, at most a store beside it: vectors serve where they take work
// from the loads and stores, with Highway: one source for SSE2, AVX2, AVX-512 and NEON, chosen when the program runs.
#include "dkm/kernels/pattern_pass.h"

#include "autograd/kernels/host/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dkm/kernels/host/pattern_pass.cc"
#include "hwy/foreach_target.h"  // compiles the rest of this file once per target
//
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::dkm::host {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Entries are brought together by loads of 8 bytes, which cost less than the two gathers that would do the same.
void Apply(const std::uint16_t* patterns, const float* gradient, std::size_t n, const SlopeOffset* table,
           float* output) {
  std::size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::CappedTag<float, 16> d;
  const std::size_t lanes = hn::Lanes(d);
  alignas(64) SlopeOffset entries[16];
  for (; i + lanes <= n; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) entries[lane] = table[patterns[i + lane]];
    const auto low = hn::Load(d, &entries[0].slope);
    const auto high = hn::Load(d, &entries[lanes / 2].slope);
    const auto slope = hn::ConcatEven(d, high, low);
    const auto offset = hn::ConcatOdd(d, high, low);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, gradient + i), slope, offset), d, output + i);
  }
#endif
  const hn::CappedTag<float, 1> d1;  // as above, to the bit
  for (; i < n; ++i) {
    const SlopeOffset entry = table[patterns[i]];
    hn::StoreU(hn::MulAdd(hn::LoadU(d1, gradient + i), hn::Set(d1, entry.slope), hn::Set(d1, entry.offset)), d1,
               output + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tierlib::dkm::host
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tierlib::dkm::host {

HWY_EXPORT(Apply);

void CountPatterns(const std::uint16_t* patterns, std::size_t n, std::uint32_t* counts) {
  for (std::size_t i = 0; i < n; ++i) ++counts[patterns[i]];
}

void SumByPattern(const std::uint16_t* patterns, const float* gradient, std::size_t n, PatternSum* sums) {
  for (std::size_t i = 0; i < n; ++i) {
    PatternSum& entry = sums[patterns[i]];
    entry.sum += static_cast<double>(gradient[i]);
    entry.count += 1;
  }
}

void GatherByPattern(const std::uint16_t* patterns, std::size_t n, const std::uint16_t* table, std::uint16_t* output) {
  for (std::size_t i = 0; i < n; ++i) output[i] = table[patterns[i]];
}

void GatherByPattern(const std::uint16_t* patterns, std::size_t n, const float* table, float* output) {
  for (std::size_t i = 0; i < n; ++i) output[i] = table[patterns[i]];
}

void ApplyByPattern(const std::uint16_t* patterns, const float* gradient, std::size_t n, const SlopeOffset* table,
                    float* output) {
  HWY_DYNAMIC_DISPATCH(Apply)(patterns, gradient, n, table, output);
}

}  // namespace tierlib::dkm::host
#endif  // HWY_ONCE
