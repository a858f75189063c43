// The arithmetic of the CUDA kernels. Every function gives the same bits on host and device: fused products are
// written as such, and files that use it are compiled without contraction.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_NUMBER_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_NUMBER_H_

#include <math.h>

#include <bit>
#include <cstdint>

#include "autograd/kernels/host/float16.h"
#include "base/cuda/grid.h"
#include "tierlib/dtype.h"

namespace tierlib::dkm::cuda {

TIERLIB_HOST_DEVICE inline float Fma(float a, float b, float c) { return ::fmaf(a, b, c); }
TIERLIB_HOST_DEVICE inline double Fma(double a, double b, double c) { return ::fma(a, b, c); }
TIERLIB_HOST_DEVICE inline float Root(float x) { return ::sqrtf(x); }
TIERLIB_HOST_DEVICE inline double Root(double x) { return ::sqrt(x); }

// What multiplies a distance before Exponential.
TIERLIB_HOST_DEVICE inline float ExponentScale(float, double tau) {
  return static_cast<float>(1.4426950408889634 / tau);
}
TIERLIB_HOST_DEVICE inline double ExponentScale(double, double tau) { return 1 / tau; }

// 2^y for y <= 0, the host kernels' (host/tile_pass.cc) to the bit: relative error 2e-8 before rounding; below -87, and
// for NaN, 0.
TIERLIB_HOST_DEVICE inline float Exponential(float y) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which stands in the low bits
  if (!(y >= -87.0f)) return 0.0f;
  const float shifted = y + kMagic;
  const float r = y - (shifted - kMagic);
  float q = 1.5453163359779865e-4f;
  q = Fma(q, r, 1.3390863314270973e-3f);
  q = Fma(q, r, 9.618083015084267e-3f);
  q = Fma(q, r, 5.5503569543361664e-2f);
  q = Fma(q, r, 0.24022650718688965f);
  q = Fma(q, r, 0.6931471824645996f);
  q = Fma(q, r, 1.0f);
  const std::uint32_t exponent = std::bit_cast<std::uint32_t>(shifted) << 23;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(q) + exponent);
}

// e^y for y <= 0, by its series after y = n ln 2 + r, |r| <= 0.35: the 14th term is below 4e-18. Below -708 it is 0; a
// NaN stays.
TIERLIB_HOST_DEVICE inline double Exponential(double y) {
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52
  if (y != y) return y;
  if (y < -708.0) return 0.0;
  const double shifted = Fma(y, 1.4426950408889634, kMagic);
  const double n = shifted - kMagic;
  double r = Fma(n, -6.93147180369123816490e-01, y);
  r = Fma(n, -1.90821492927058770002e-10, r);
  double q = 1.0 / 6227020800.0;
  q = Fma(q, r, 1.0 / 479001600.0);
  q = Fma(q, r, 1.0 / 39916800.0);
  q = Fma(q, r, 1.0 / 3628800.0);
  q = Fma(q, r, 1.0 / 362880.0);
  q = Fma(q, r, 1.0 / 40320.0);
  q = Fma(q, r, 1.0 / 5040.0);
  q = Fma(q, r, 1.0 / 720.0);
  q = Fma(q, r, 1.0 / 120.0);
  q = Fma(q, r, 1.0 / 24.0);
  q = Fma(q, r, 1.0 / 6.0);
  q = Fma(q, r, 0.5);
  q = Fma(q, r, 1.0);
  q = Fma(q, r, 1.0);
  const std::uint64_t exponent = std::bit_cast<std::uint64_t>(shifted) << 52;
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(q) + exponent);
}

// 2^n for -1022 <= n <= 1023.
TIERLIB_HOST_DEVICE inline double PowerOfTwo(int n) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(n + 1023) << 52);
}
// For -126 <= n <= 127.
TIERLIB_HOST_DEVICE inline float PowerOfTwoF32(int n) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

// Between float32 and the bits of bf16 or f16.
TIERLIB_HOST_DEVICE inline float FromBits(DType type, std::uint16_t bits) {
  return type == DType::kBF16 ? autograd::host::FloatFromBF16(bits) : autograd::host::FloatFromF16(bits);
}
TIERLIB_HOST_DEVICE inline std::uint16_t ToBits(DType type, float value) {
  return type == DType::kBF16 ? autograd::host::BF16FromFloat(value) : autograd::host::F16FromFloat(value);
}

// Element i of an array of f32, bf16 or f16.
TIERLIB_HOST_DEVICE inline float ReadElement(DType type, const void* data, std::int64_t i) {
  if (type == DType::kF32) return static_cast<const float*>(data)[i];
  return FromBits(type, static_cast<const std::uint16_t*>(data)[i]);
}
TIERLIB_HOST_DEVICE inline void WriteElement(DType type, void* data, std::int64_t i, float value) {
  if (type == DType::kF32) {
    static_cast<float*>(data)[i] = value;
  } else {
    static_cast<std::uint16_t*>(data)[i] = ToBits(type, value);
  }
}

// As dkm/kernels/palettize.h: float32's nearest; beyond its range the largest, infinity only for infinity.
template <typename T>
TIERLIB_HOST_DEVICE inline float Single(T value) {
  constexpr T kLargest = static_cast<T>(0x1.fffffep127);
  if (value > kLargest && value - value == 0) return static_cast<float>(kLargest);
  if (value < -kLargest && value - value == 0) return static_cast<float>(-kLargest);
  return static_cast<float>(value);
}

// As dkm/kernels/palettize.h rounds a table's value; `scale` is the largest magnitude over 127, for i8.
TIERLIB_HOST_DEVICE inline float RoundedTo(DType type, float value, float scale) {
  if (type == DType::kF32) return value;
  if (type == DType::kI8) {
    if (scale == 0) return 0;
    const float steps = ::rintf(value / scale);
    return scale * (steps < -127.0f ? -127.0f : (steps > 127.0f ? 127.0f : steps));
  }
  const float largest = type == DType::kF16 ? 65504.0f : 0x1.fep127f;
  float inside = value;
  if (value - value == 0) inside = value > largest ? largest : (value < -largest ? -largest : value);
  return FromBits(type, ToBits(type, inside));
}

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_NUMBER_H_
