#include "numbers.h"

#include <cstdio>

#include "tierlib/bytes.h"

namespace tierlib::trace_viewer {
namespace {

std::string ThreeDigits(double value) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2, value);
  std::string result = text;
  if (result.find('.') != std::string::npos) {
    while (result.back() == '0') result.pop_back();
    if (result.back() == '.') result.pop_back();
  }
  return result;
}

// Bytes of the UTF-8 character at the start of `text`; 0 where there is none, or one that steers a terminal.
std::size_t PrintableCharacter(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const std::size_t size = lead >= 0xC2 && lead < 0xE0   ? 2
                           : lead >= 0xE0 && lead < 0xF0 ? 3
                           : lead >= 0xF0 && lead < 0xF5 ? 4
                                                         : 0;
  if (size == 0 || text.size() < size) return 0;
  std::uint32_t code = lead & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  const bool steers = code < 0xA0 || (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
                      (code >= 0x2060 && code <= 0x2069) || code == 0xFEFF;  // C1, zero width, line ends, directions
  return overlong || surrogate || steers || code > 0x10FFFF ? 0 : size;
}

}  // namespace

std::string FormatCount(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t i = text.size(); i > 3;) {
    i -= 3;
    text.insert(i, ",");
  }
  return text;
}

std::string FormatCount(std::uint64_t count, std::string_view singular) {
  std::string text = FormatCount(count) + ' ' + std::string(singular);
  if (count == 1) return text;
  if (text.ends_with('y')) {
    text.pop_back();
    return text + "ies";
  }
  return text + 's';
}

std::string FormatDuration(std::uint64_t ns) {
  struct Unit {
    double ns;
    const char* name;
  };
  static constexpr Unit kUnits[] = {{3.6e12, " h"}, {6e10, " min"}, {1e9, " s"},
                                    {1e6, " ms"},   {1e3, " us"},   {1, " ns"}};
  if (ns == 0) return "0 s";
  const double value = static_cast<double>(ns);
  for (const Unit& unit : kUnits) {
    // Minutes and hours only where seconds would be a long number: "90 s", but "10 min".
    const double least = unit.ns > 1e9 ? unit.ns * (unit.ns > 6e10 ? 2 : 10) : unit.ns;
    if (value >= least * 0.9995) return ThreeDigits(value / unit.ns) + unit.name;
  }
  return "0 s";
}

std::string FormatPercent(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0 || part == 0) return "0 %";
  const double percent = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  if (percent < 1) return "<1 %";
  char text[32];
  std::snprintf(text, sizeof text, "%.0f %%", percent);
  return text;
}

std::string FormatRate(double bytes_per_second) {
  return FormatBytes(static_cast<std::uint64_t>(bytes_per_second < 1e18 ? bytes_per_second : 1e18)) + "/s";
}

std::string Printable(std::string_view text, std::size_t most) {
  std::string result;
  std::size_t columns = 0;
  while (!text.empty()) {
    if (columns == most) return result + "...";
    const std::size_t size = PrintableCharacter(text);
    if (size == 0) {
      result += '?';
    } else {
      result += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
    ++columns;
  }
  return result;
}

}  // namespace tierlib::trace_viewer
