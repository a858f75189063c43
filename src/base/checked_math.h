// Arithmetic on sizes that come from a user or a file: says whether the exact result fits instead of wrapping around.
//
//   std::uint64_t bytes;
//   if (!CheckedMul(rows, row_bytes, &bytes)) return InvalidArgumentError(...);
#ifndef TIERLIB_SRC_BASE_CHECKED_MATH_H_
#define TIERLIB_SRC_BASE_CHECKED_MATH_H_

#include <limits>
#include <type_traits>

namespace tierlib {

// An integer of at least 32 bits: narrower ones would be widened before the arithmetic and hide the overflow.
template <typename T>
concept CheckedInteger = std::is_integral_v<T> && sizeof(T) >= 4;

// Each sets *result and returns true where the exact result fits into T; otherwise false, and *result is not to be
// used.
template <CheckedInteger T>
[[nodiscard]] constexpr bool CheckedAdd(T a, std::type_identity_t<T> b, std::type_identity_t<T>* result) noexcept {
  return !__builtin_add_overflow(a, b, result);
}
template <CheckedInteger T>
[[nodiscard]] constexpr bool CheckedSub(T a, std::type_identity_t<T> b, std::type_identity_t<T>* result) noexcept {
  return !__builtin_sub_overflow(a, b, result);
}
template <CheckedInteger T>
[[nodiscard]] constexpr bool CheckedMul(T a, std::type_identity_t<T> b, std::type_identity_t<T>* result) noexcept {
  return !__builtin_mul_overflow(a, b, result);
}
// Rounds `value` up to a multiple of `multiple`. REQUIRES: value >= 0, multiple > 0.
template <CheckedInteger T>
[[nodiscard]] constexpr bool CheckedRoundUp(T value, std::type_identity_t<T> multiple,
                                            std::type_identity_t<T>* result) noexcept {
  const T rest = value % multiple;
  *result = value;
  return rest == 0 || CheckedAdd(value, static_cast<T>(multiple - rest), result);
}
// Converts between integer types.
template <typename To, typename From>
[[nodiscard]] constexpr bool CheckedCast(From value, To* result) noexcept {
  static_assert(std::is_integral_v<To> && std::is_integral_v<From>);
  return !__builtin_add_overflow(value, From{0}, result);
}

// The product, or the largest T where it does not fit. REQUIRES: a >= 0, b >= 0.
template <CheckedInteger T>
[[nodiscard]] constexpr T SaturatingMul(T a, std::type_identity_t<T> b) noexcept {
  T result{};
  return CheckedMul(a, b, &result) ? result : std::numeric_limits<T>::max();
}

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_CHECKED_MATH_H_
