#include "text_lines.h"

#include <charconv>

#include "trace_viewer/numbers.h"

namespace tierlib::trace_replay {
namespace {

constexpr std::size_t kShownMost = 40;

bool Parse(std::string_view text, int base, std::uint64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, base);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

TextLines::TextLines(std::string_view text) : rest_(text) {
  if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);  // a byte order mark
}

bool TextLines::Next(std::string_view* line) {
  if (rest_.empty()) return false;
  const std::size_t end = rest_.find('\n');
  unended_ = end == std::string_view::npos;
  *line = rest_.substr(0, end);
  rest_.remove_prefix(unended_ ? rest_.size() : end + 1);
  if (line->ends_with('\r')) line->remove_suffix(1);
  ++number_;
  return true;
}

std::string_view TakeField(std::string_view* rest, char separator) {
  const std::size_t end = rest->find(separator);
  const std::string_view field = rest->substr(0, end);
  rest->remove_prefix(end == std::string_view::npos ? rest->size() : end + 1);
  return field;
}

bool ParseDecimal(std::string_view text, std::uint64_t* value) { return Parse(text, 10, value); }

bool ParseHexadecimal(std::string_view text, std::uint64_t* value) {
  if (text == "(nil)") {
    *value = 0;
    return true;
  }
  if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
  return Parse(text, 16, value);
}

Status WrongField(std::uint64_t line, std::string_view field, std::string_view text, std::string_view right) {
  return InvalidArgumentError("line " + std::to_string(line) + ": " + std::string(field) + " \"" +
                              trace_viewer::Printable(text, kShownMost) + "\" should be " + std::string(right));
}

}  // namespace tierlib::trace_replay
