// Many texts in one file: between two of them stands a line of its own, as in TinyStories.
#ifndef LLAMA_TEXTS_H_
#define LLAMA_TEXTS_H_

#include <string_view>
#include <vector>

namespace llama {

inline constexpr std::string_view kTextEnd = "<|endoftext|>";

// The texts, without that line (one that is kTextEnd and no more, at a file's end also without a line break) and the
// line breaks around it; empty ones are left out.
std::vector<std::string_view> SplitTexts(std::string_view file);

}  // namespace llama

#endif  // LLAMA_TEXTS_H_
