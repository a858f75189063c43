#include "trace/stream_text.h"

#include <charconv>

namespace tierlib::trace {
namespace {

constexpr std::string_view kOne = "stream ";
constexpr std::string_view kSeveral = "streams ";
constexpr std::string_view kSeparator = ", ";

bool TakeOff(std::string_view* text, std::string_view beginning) {
  if (text->substr(0, beginning.size()) != beginning) return false;
  text->remove_prefix(beginning.size());
  return true;
}

}  // namespace

std::string StreamsText(absl::Span<const std::uint64_t> numbers) {
  std::string text;
  for (const std::uint64_t number : numbers) {
    text += text.empty() ? (numbers.size() == 1 ? kOne : kSeveral) : kSeparator;
    text += std::to_string(number);
  }
  return text;
}

std::vector<std::uint64_t> ParseStreamsText(std::string_view text) {
  const bool several = TakeOff(&text, kSeveral);
  if (!several && !TakeOff(&text, kOne)) return {};
  std::vector<std::uint64_t> numbers;
  do {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return {};
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    numbers.push_back(number);
  } while (TakeOff(&text, kSeparator));
  if (!text.empty() || several != (numbers.size() > 1)) return {};
  return numbers;
}

}  // namespace tierlib::trace
