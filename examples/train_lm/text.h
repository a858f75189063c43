// The text that a model is trained on: characters as numbers, and its two parts.
#ifndef TRAIN_LM_TEXT_H_
#define TRAIN_LM_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "llama/tokenizer.h"
#include "tierlib/status.h"

namespace train_lm {

// A character's token id is its rank among the sorted distinct code points of the whole text. The first nine tenths are
// for training, the rest for validation.
struct Text {
  std::vector<char32_t> alphabet;  // token id to code point, ascending; empty where a tokenizer made the tokens
  std::int64_t vocabulary = 0;
  std::vector<std::int32_t> tokens;  // of the whole text
  std::int64_t training = 0;         // tokens[0, training) are for training
  std::uint64_t fingerprint = 0;     // of the bytes (FNV-1a): a checkpoint fits this text alone

  std::int64_t size() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t validation() const { return size() - training; }
  // Non-overlapping sequences of `context` tokens with their successors in the validation part.
  std::int64_t windows(std::int64_t context) const { return (validation() - 1) / context; }
};

// InvalidArgument where `bytes` is empty or not UTF-8 (naming the first bad byte), or where a part is shorter than one
// sequence of `context` characters and its successor. `name` stands for the text in messages.
tierlib::StatusOr<Text> MakeText(std::string_view bytes, std::int64_t context, const std::string& name);

// The same of a tokenizer's tokens: texts that llama/texts.h parts, each after the token that begins one. The
// fingerprint is of both. InvalidArgument also where there is no text.
tierlib::StatusOr<Text> MakeTokens(std::string_view bytes, const llama::Tokenizer& tokenizer, std::int64_t context,
                                   const std::string& name);

// Reads a file and makes a text of it, with the tokens of a tokenizer's file where one is named.
tierlib::StatusOr<Text> LoadText(const std::string& path, std::int64_t context, const std::string& tokenizer = "");

}  // namespace train_lm

#endif  // TRAIN_LM_TEXT_H_
