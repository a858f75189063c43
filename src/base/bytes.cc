#include "tierlib/bytes.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <system_error>

#include "base/checked_math.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsSpace(char c) { return c == ' ' || c == '\t'; }

// What one unit stands for; 0 where the text names none.
std::uint64_t UnitBytes(std::string_view unit) {
  if (unit.empty()) return 1;
  if (unit.size() > 3) return 0;
  std::array<char, 3> u = {};
  for (std::size_t i = 0; i < unit.size(); ++i) u[i] = Lower(unit[i]);
  if (u[0] == 'b') return unit.size() == 1 ? 1 : 0;
  const std::size_t power = std::string_view("kmgt").find(u[0]);
  if (power == std::string_view::npos) return 0;
  const bool decimal = unit.size() == 2 && u[1] == 'b';
  if (!decimal && unit.size() != 1 && !(unit.size() == 3 && u[1] == 'i' && u[2] == 'b')) return 0;
  std::uint64_t bytes = decimal ? 1000 : 1024;
  for (std::size_t i = 0; i < power; ++i) bytes *= decimal ? 1000 : 1024;
  return bytes;
}

Status NotASize(std::string_view text) {
  return InvalidArgumentError(
      "\"" + std::string(text.substr(0, 64)) +
      "\" is not a size: give bytes, or a number with K, M, G, T (powers of 1024) or KB, MB, GB, "
      "TB (powers of 1000), such as 96MiB");
}
Status TooLarge(std::string_view text) {
  return InvalidArgumentError("\"" + std::string(text.substr(0, 64)) +
                              "\" is too large a size: at most 2^63 - 1 bytes");
}

}  // namespace

std::string FormatBytes(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  // 1023.5 would print as "1024": it already counts as one of the next unit.
  while (unit < 6 && value >= (unit == 0 ? 1024 : 1023.5)) {
    value /= 1024;
    ++unit;
  }
  const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  std::string result = text;
  if (decimals > 0) {
    while (result.back() == '0') result.pop_back();
    if (result.back() == '.') result.pop_back();
  }
  return result + ' ' + kUnits[unit];
}

StatusOr<std::uint64_t> ParseBytes(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty() && IsSpace(rest.front())) rest.remove_prefix(1);
  while (!rest.empty() && IsSpace(rest.back())) rest.remove_suffix(1);
  if (rest.empty() || !IsDigit(rest.front())) return NotASize(text);  // also keeps out signs, "inf" and "nan"

  const char* const end = rest.data() + rest.size();
  std::uint64_t whole = 0;
  double real = 0;
  const auto [whole_end, whole_error] = std::from_chars(rest.data(), end, whole);
  const auto [real_end, real_error] = std::from_chars(rest.data(), end, real);
  const bool is_whole = whole_end == real_end;  // neither a fraction nor an exponent
  std::string_view unit(real_end, static_cast<std::size_t>(end - real_end));
  while (!unit.empty() && IsSpace(unit.front())) unit.remove_prefix(1);
  const std::uint64_t unit_bytes = UnitBytes(unit);
  if (unit_bytes == 0) return NotASize(text);

  if (is_whole) {
    std::uint64_t bytes = 0;
    if (whole_error != std::errc() || !CheckedMul(whole, unit_bytes, &bytes) || bytes > kLargest) return TooLarge(text);
    return bytes;
  }
  const double bytes = std::round(real * static_cast<double>(unit_bytes));
  if (real_error != std::errc() || !(bytes < 0x1p63)) return TooLarge(text);
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace tierlib
