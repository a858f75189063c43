#include "llama/texts.h"

#include <cstddef>

namespace llama {

namespace {

// Where the first line from `begin` on begins that is kTextEnd and no more; the file's end where none is.
std::size_t FindTextEnd(std::string_view file, std::size_t begin) {
  for (std::size_t at = file.find(kTextEnd, begin); at != std::string_view::npos; at = file.find(kTextEnd, at + 1)) {
    const std::size_t behind = at + kTextEnd.size();
    if ((at == 0 || file[at - 1] == '\n') && (behind == file.size() || file[behind] == '\n')) return at;
  }
  return file.size();
}

}  // namespace

std::vector<std::string_view> SplitTexts(std::string_view file) {
  std::vector<std::string_view> texts;
  for (std::size_t begin = 0; begin <= file.size();) {
    const std::size_t end = FindTextEnd(file, begin);
    std::string_view text = file.substr(begin, end - begin);
    while (!text.empty() && text.front() == '\n') text.remove_prefix(1);
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    if (!text.empty()) texts.push_back(text);
    begin = end + kTextEnd.size();
  }
  return texts;
}

}  // namespace llama
