// Element types of tensors.
#ifndef TIERLIB_DTYPE_H_
#define TIERLIB_DTYPE_H_

#include <cstddef>
#include <cstdint>

namespace tierlib {

enum class DType : std::uint8_t { kF32, kF64, kBF16, kF16, kI8, kU8, kI16, kU16, kI32, kI64, kBool };

// Bytes of one element.
constexpr std::size_t ElementBytes(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64: return 8;
    case DType::kF32:
    case DType::kI32: return 4;
    case DType::kBF16:
    case DType::kF16:
    case DType::kI16:
    case DType::kU16: return 2;
    case DType::kI8:
    case DType::kU8:
    case DType::kBool: return 1;
  }
  return 0;
}

constexpr const char* DTypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kF64: return "f64";
    case DType::kBF16: return "bf16";
    case DType::kF16: return "f16";
    case DType::kI8: return "i8";
    case DType::kU8: return "u8";
    case DType::kI16: return "i16";
    case DType::kU16: return "u16";
    case DType::kI32: return "i32";
    case DType::kI64: return "i64";
    case DType::kBool: return "bool";
  }
  return "?";
}

constexpr bool IsFloat(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kBF16 || dtype == DType::kF16;
}

}  // namespace tierlib

#endif  // TIERLIB_DTYPE_H_
