#include "autograd/kernels/host/chunk.h"

#include <algorithm>

#include "autograd/kernels/host/float16.h"
#include "autograd/kernels/host/lanes_convert.h"
#include "base/check.h"

namespace tierlib::autograd::host {
namespace {

// One struct per float dtype: its stored type, and the conversions.
struct F32 {
  using Stored = float;
  static float From(float value) { return value; }
  static float To(float value) { return value; }
  static float To(double value) { return static_cast<float>(value); }
};
struct F64 {
  using Stored = double;
  static double From(double value) { return value; }
  static double To(float value) { return value; }
  static double To(double value) { return value; }
};
struct BF16 {
  using Stored = std::uint16_t;
  static float From(Stored bits) { return FloatFromBF16(bits); }
  static Stored To(float value) { return BF16FromFloat(value); }
  static Stored To(double value) { return BF16FromFloat(static_cast<float>(value)); }
};
struct F16 {
  using Stored = std::uint16_t;
  static float From(Stored bits) { return FloatFromF16(bits); }
  static Stored To(float value) { return F16FromFloat(value); }
  static Stored To(double value) { return F16FromFloat(static_cast<float>(value)); }
};

template <class F>
void WithFormat(DType dtype, const F& f) {
  switch (dtype) {
    case DType::kF32: return f(F32{});
    case DType::kF64: return f(F64{});
    case DType::kBF16: return f(BF16{});
    case DType::kF16: return f(F16{});
    default: TIERLIB_CHECK(false, "a kernel for float types was given another dtype");
  }
}

}  // namespace

template <typename T>
const T* ReadChunk(DType dtype, const void* data, std::int64_t first, std::int64_t stride, std::int64_t n, T* buffer) {
  if (dtype == kDTypeOf<T> && stride == 1) return static_cast<const T*>(data) + first;
  if constexpr (sizeof(T) == 4) {
    if (stride == 1 && (dtype == DType::kBF16 || dtype == DType::kF16)) {
      const auto* bits = static_cast<const std::uint16_t*>(data) + first;
      const auto count = static_cast<std::size_t>(n);
      dtype == DType::kBF16 ? FloatFromBF16Lanes(bits, buffer, count) : FloatFromF16Lanes(bits, buffer, count);
      return buffer;
    }
  }
  WithFormat(dtype, [&](auto format) {
    using Format = decltype(format);
    const auto* from = static_cast<const typename Format::Stored*>(data) + first;
    if (stride == 0) {
      std::fill(buffer, buffer + n, static_cast<T>(Format::From(*from)));
    } else {
      for (std::int64_t i = 0; i < n; ++i) buffer[i] = static_cast<T>(Format::From(from[i * stride]));
    }
  });
  return buffer;
}

template <typename T>
void CloseChunk(DType dtype, void* data, std::int64_t first, std::int64_t stride, std::int64_t n, const T* chunk) {
  if (dtype == kDTypeOf<T> && stride == 1) return;
  if constexpr (sizeof(T) == 4) {
    if (stride == 1 && (dtype == DType::kBF16 || dtype == DType::kF16)) {
      auto* bits = static_cast<std::uint16_t*>(data) + first;
      const auto count = static_cast<std::size_t>(n);
      dtype == DType::kBF16 ? BF16FromFloatLanes(chunk, bits, count) : F16FromFloatLanes(chunk, bits, count);
      return;
    }
  }
  WithFormat(dtype, [&](auto format) {
    using Format = decltype(format);
    auto* to = static_cast<typename Format::Stored*>(data) + first;
    for (std::int64_t i = 0; i < n; ++i) to[i * stride] = Format::To(chunk[i]);
  });
}

template <typename T>
T ReadElement(DType dtype, const void* data, std::int64_t index) {
  T value{};
  WithFormat(dtype, [&](auto format) {
    using Format = decltype(format);
    value = static_cast<T>(Format::From(static_cast<const typename Format::Stored*>(data)[index]));
  });
  return value;
}

template <typename T>
void WriteElement(DType dtype, void* data, std::int64_t index, T value) {
  WithFormat(dtype, [&](auto format) {
    using Format = decltype(format);
    static_cast<typename Format::Stored*>(data)[index] = Format::To(value);
  });
}

template const float* ReadChunk(DType, const void*, std::int64_t, std::int64_t, std::int64_t, float*);
template const double* ReadChunk(DType, const void*, std::int64_t, std::int64_t, std::int64_t, double*);
template void CloseChunk(DType, void*, std::int64_t, std::int64_t, std::int64_t, const float*);
template void CloseChunk(DType, void*, std::int64_t, std::int64_t, std::int64_t, const double*);
template float ReadElement(DType, const void*, std::int64_t);
template double ReadElement(DType, const void*, std::int64_t);
template void WriteElement(DType, void*, std::int64_t, float);
template void WriteElement(DType, void*, std::int64_t, double);

}  // namespace tierlib::autograd::host
