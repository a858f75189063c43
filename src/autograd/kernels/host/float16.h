// bfloat16 and IEEE binary16 as bits in a uint16_t, converted without special instructions, so that every machine gives
// the same bits. lanes_convert.cc does the same for whole rows.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_FLOAT16_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_FLOAT16_H_

#include <bit>
#include <cstdint>

namespace tierlib::autograd::host {

constexpr float FloatFromBF16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

// To nearest, ties to even. A NaN stays a NaN (quiet, its sign kept).
constexpr std::uint16_t BF16FromFloat(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<std::uint16_t>((bits >> 16) | 0x0040);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Exact. Multiplying by 2^112 moves the exponent's bias from 15 to 127, subnormals included.
constexpr float FloatFromF16(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16;
  const std::uint32_t magnitude = std::uint32_t{bits & 0x7fffu} << 13;
  if (magnitude >= 0x0f800000) return std::bit_cast<float>(sign | magnitude | 0x7f800000);  // infinity and NaN
  const float value = std::bit_cast<float>(magnitude) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
}

// To nearest, ties to even; beyond 65504 (from 65520 on) infinity. A NaN stays a NaN (quiet, its sign kept).
constexpr std::uint16_t F16FromFloat(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000);
  const std::uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);  // from 65536 on
  if (magnitude < 0x38800000) {  // subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1;
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

// The bits of which FloatFromF16 made a float with these bits: a NaN comes back as it was, quiet or not.
constexpr std::uint16_t F16FromWidened(std::uint32_t bits) {
  if ((bits & 0x7fffffff) < 0x7f800000) return F16FromFloat(std::bit_cast<float>(bits));
  return static_cast<std::uint16_t>(((bits >> 16) & 0x8000) | 0x7c00 | ((bits >> 13) & 0x3ff));
}

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_FLOAT16_H_
