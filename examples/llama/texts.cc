#include "llama/texts.h"

#include <algorithm>
#include <cstddef>

namespace llama {

std::vector<std::string_view> SplitTexts(std::string_view file) {
  std::vector<std::string_view> texts;
  for (std::size_t begin = 0; begin <= file.size();) {
    const std::size_t end = std::min(file.find(kTextEnd, begin), file.size());
    std::string_view text = file.substr(begin, end - begin);
    while (!text.empty() && text.front() == '\n') text.remove_prefix(1);
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    if (!text.empty()) texts.push_back(text);
    begin = end + kTextEnd.size();
  }
  return texts;
}

}  // namespace llama
