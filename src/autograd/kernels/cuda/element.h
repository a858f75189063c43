// Elements as CUDA kernels of the autograd read and write them. Stored values are converted as host/chunk.cc does it,
// to the bit; arithmetic is in float32, or in float64 for float64.
//
// Thread-safety: pure functions of memory that the caller names.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ELEMENT_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ELEMENT_H_

#include <math.h>

#include <cstdint>

#include "autograd/kernels/host/float16.h"
#include "base/cuda/grid.h"
#include "tierlib/dtype.h"

namespace tierlib::autograd::cuda {

TIERLIB_HOST_DEVICE inline float Exp(float x) { return ::expf(x); }
TIERLIB_HOST_DEVICE inline double Exp(double x) { return ::exp(x); }
TIERLIB_HOST_DEVICE inline float Log(float x) { return ::logf(x); }
TIERLIB_HOST_DEVICE inline double Log(double x) { return ::log(x); }
TIERLIB_HOST_DEVICE inline float Root(float x) { return ::sqrtf(x); }
TIERLIB_HOST_DEVICE inline double Root(double x) { return ::sqrt(x); }
TIERLIB_HOST_DEVICE inline float Erf(float x) { return ::erff(x); }
TIERLIB_HOST_DEVICE inline double Erf(double x) { return ::erf(x); }

// One struct per stored form: its bits, the type of the arithmetic, and the conversions.
struct F32 {
  using Bits = float;
  using Compute = float;
  TIERLIB_HOST_DEVICE static float Load(float bits) { return bits; }
  TIERLIB_HOST_DEVICE static float Store(float value) { return value; }
};
struct F64 {
  using Bits = double;
  using Compute = double;
  TIERLIB_HOST_DEVICE static double Load(double bits) { return bits; }
  TIERLIB_HOST_DEVICE static double Store(double value) { return value; }
};
struct BF16 {
  using Bits = std::uint16_t;
  using Compute = float;
  TIERLIB_HOST_DEVICE static float Load(std::uint16_t bits) { return host::FloatFromBF16(bits); }
  TIERLIB_HOST_DEVICE static std::uint16_t Store(float value) { return host::BF16FromFloat(value); }
};
struct F16 {
  using Bits = std::uint16_t;
  using Compute = float;
  TIERLIB_HOST_DEVICE static float Load(std::uint16_t bits) { return host::FloatFromF16(bits); }
  TIERLIB_HOST_DEVICE static std::uint16_t Store(float value) { return host::F16FromFloat(value); }
};
// Bits that nobody looks at.
template <typename B>
struct Raw {
  using Bits = B;
  using Compute = B;
  TIERLIB_HOST_DEVICE static B Load(B bits) { return bits; }
  TIERLIB_HOST_DEVICE static B Store(B value) { return value; }
};

// Element i of an array of a float type, or of bytes that are numbers (bool: 0 or 1).
template <typename T>
TIERLIB_HOST_DEVICE inline T Read(DType dtype, const void* data, std::int64_t i) {
  switch (dtype) {
    case DType::kF32: return static_cast<T>(static_cast<const float*>(data)[i]);
    case DType::kF64: return static_cast<T>(static_cast<const double*>(data)[i]);
    case DType::kBF16: return static_cast<T>(BF16::Load(static_cast<const std::uint16_t*>(data)[i]));
    case DType::kF16: return static_cast<T>(F16::Load(static_cast<const std::uint16_t*>(data)[i]));
    default: return static_cast<T>(static_cast<const std::uint8_t*>(data)[i]);
  }
}
template <typename T>
TIERLIB_HOST_DEVICE inline void Write(DType dtype, void* data, std::int64_t i, T value) {
  switch (dtype) {
    case DType::kF32: static_cast<float*>(data)[i] = static_cast<float>(value); return;
    case DType::kF64: static_cast<double*>(data)[i] = static_cast<double>(value); return;
    case DType::kBF16: static_cast<std::uint16_t*>(data)[i] = BF16::Store(static_cast<float>(value)); return;
    default: static_cast<std::uint16_t*>(data)[i] = F16::Store(static_cast<float>(value)); return;
  }
}

// Calls f(float{}) or f(double{}), whichever values of `dtype` are computed in.
template <class F>
auto WithComputeType(DType dtype, const F& f) {
  return dtype == DType::kF64 ? f(double{}) : f(float{});
}
// Calls f(F32{}), f(F64{}) ... REQUIRES: a float type.
template <class F>
auto WithFormat(DType dtype, const F& f) {
  switch (dtype) {
    case DType::kF64: return f(F64{});
    case DType::kBF16: return f(BF16{});
    case DType::kF16: return f(F16{});
    default: return f(F32{});
  }
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ELEMENT_H_
