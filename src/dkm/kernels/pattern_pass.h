// Pattern passes: what the exact form of DKM does with runs of weights, each by its pattern, the 16 bits that it is.
// Private to exact.cc, which runs them over all weights.
//
// A pattern indexes a table of 65,536 entries. Those of the weights of one layer lie close together, so that what is
// used of a table stays in the first-level cache or the second.
//
// Thread-safety: pure functions of their arguments; they allocate nothing.
#ifndef TIERLIB_SRC_DKM_KERNELS_PATTERN_PASS_H_
#define TIERLIB_SRC_DKM_KERNELS_PATTERN_PASS_H_

#include <cstddef>
#include <cstdint>

namespace tierlib::dkm::host {

inline constexpr std::size_t kPatterns = 65536;

// Of the weights with one pattern: the sum of what was given for each, and how many there are (exact up to 2^53).
struct alignas(16) PatternSum {
  double sum = 0;
  double count = 0;
};

// What makes the gradient of a weight from that of the output: G slope + offset. Tables hold it as a number of 8 bytes,
// which is one load.
struct SlopeOffset {
  float slope = 0;
  float offset = 0;
};
using SlopeOffsetBits = std::int64_t;

// counts[patterns[i]] += 1.
void CountPatterns(const std::uint16_t* patterns, std::size_t n, std::uint32_t* counts);

// sums[patterns[i]] += {gradient[i], 1}, in the order of i; the gradient in f32, or the bits of bf16.
void SumByPattern(const std::uint16_t* patterns, const float* gradient, std::size_t n, PatternSum* sums);
void SumByPattern(const std::uint16_t* patterns, const std::uint16_t* gradient, std::size_t n, PatternSum* sums);

// output[i] = table[patterns[i]].
void GatherByPattern(const std::uint16_t* patterns, std::size_t n, const std::uint16_t* table, std::uint16_t* output);
void GatherByPattern(const std::uint16_t* patterns, std::size_t n, const float* table, float* output);

// output[i] = gradient[i] slope + offset, of patterns[i], in f32, or the bits of bf16. `output` may be `gradient`.
void ApplyByPattern(const std::uint16_t* patterns, const float* gradient, std::size_t n, const SlopeOffsetBits* table,
                    float* output);
void ApplyByPattern(const std::uint16_t* patterns, const std::uint16_t* gradient, std::size_t n,
                    const SlopeOffsetBits* table, std::uint16_t* output);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_PATTERN_PASS_H_
