#include "train_lm/sample_text.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace train_lm {

std::string SampleText(std::size_t characters) {
  static constexpr const char* kWords[] = {"the", "tier",  "moves", "a",     "storage", "once",
                                           "and", "never", "twice", "höher", "bytes",   "return"};
  std::string text;
  std::uint64_t state = 42;
  for (int word = 1; text.size() < characters; ++word) {
    state = state * 6364136223846793005 + 1442695040888963407;
    text += kWords[(state >> 33) % 12];
    text += word % 9 == 0 ? ".\n" : " ";
  }
  return text;
}

std::vector<std::string> SmallRun(const std::string& data, const std::vector<std::string>& more) {
  const std::vector<std::pair<std::string, std::string>> defaults = {
      {"--data", data},  {"--context", "16"}, {"--batch", "4"},  {"--layers", "2"},        {"--heads", "2"},
      {"--width", "32"}, {"--steps", "6"},    {"--warmup", "2"}, {"--device", "emulated"},
  };
  std::vector<std::string> arguments = more;
  for (const auto& [option, value] : defaults) {
    if (std::find(more.begin(), more.end(), option) != more.end()) continue;
    arguments.insert(arguments.end(), {option, value});
  }
  return arguments;
}

}  // namespace train_lm
