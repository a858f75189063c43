#include "llama/float_convert.h"

#include <cmath>
#include <cstring>

namespace llama {
namespace {

template <typename T>
T Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <typename T>
void Store(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

}  // namespace

std::uint16_t ToBF16(float value) {
  const std::uint32_t bits = Load<std::uint32_t>(reinterpret_cast<const char*>(&value));
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40);  // quiet, never infinity
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float FromBF16(std::uint16_t bits) {
  const std::uint32_t wide = std::uint32_t{bits} << 16;
  return Load<float>(reinterpret_cast<const char*>(&wide));
}

std::uint16_t ToF16(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value)) return sign | 0x7e00;
  const double magnitude = std::fabs(static_cast<double>(value));
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 0x1p-14) return sign | static_cast<std::uint16_t>(std::nearbyint(magnitude * 0x1p24));  // subnormal
  int exponent;
  const double fraction = std::frexp(magnitude, &exponent);                      // in [0.5, 1)
  const auto mantissa = static_cast<int>(std::nearbyint(fraction * 2048));       // in [1024, 2048]
  return sign | static_cast<std::uint16_t>(((exponent + 13) << 10) + mantissa);  // 2048 carries into the exponent
}

float FromF16(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  float value;
  if (exponent == 31) {
    value = mantissa == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    value = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

std::vector<double> ReadFloats(const void* source, tierlib::DType from, std::int64_t count) {
  std::vector<double> values(static_cast<std::size_t>(count));
  const char* at = static_cast<const char*>(source);
  for (double& value : values) {
    switch (from) {
      case tierlib::DType::kF64: value = Load<double>(at); break;
      case tierlib::DType::kBF16: value = static_cast<double>(FromBF16(Load<std::uint16_t>(at))); break;
      case tierlib::DType::kF16: value = static_cast<double>(FromF16(Load<std::uint16_t>(at))); break;
      default: value = static_cast<double>(Load<float>(at)); break;
    }
    at += tierlib::ElementBytes(from);
  }
  return values;
}

std::vector<char> WriteFloats(const std::vector<double>& values, tierlib::DType to) {
  std::vector<char> bytes(values.size() * tierlib::ElementBytes(to));
  char* at = bytes.data();
  for (const double value : values) {
    switch (to) {
      case tierlib::DType::kF64: Store(at, value); break;
      case tierlib::DType::kBF16: Store(at, ToBF16(static_cast<float>(value))); break;
      case tierlib::DType::kF16: Store(at, ToF16(static_cast<float>(value))); break;
      default: Store(at, static_cast<float>(value)); break;
    }
    at += tierlib::ElementBytes(to);
  }
  return bytes;
}

}  // namespace llama
