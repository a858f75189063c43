// Byte-pair encoding as llama2.c stores it: a piece of text and a score for each token.
//
// File: the length of the longest piece (int32), then for each token its score (float32), its length (int32) and its
// bytes, little-endian. Token 1 begins a text, 2 ends it, 3 to 258 stand for single bytes ("<0x00>" to "<0xFF>").
#ifndef LLAMA_TOKENIZER_H_
#define LLAMA_TOKENIZER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tierlib/status.h"

namespace llama {

class Tokenizer {
 public:
  static constexpr std::int32_t kBegin = 1;
  static constexpr std::int32_t kEnd = 2;

  // `vocabulary` 0: as many tokens as the file has. Errors name the file: NotFound and the like, DataLoss where it ends
  // early, goes on behind the last token or a length cannot be; InvalidArgument where `vocabulary` is too small for the
  // tokens that every file has.
  static tierlib::StatusOr<Tokenizer> Read(const std::string& path, std::int64_t vocabulary);

  // The tokens of a text, without kBegin: a space in front of it as in training, characters or, where the vocabulary
  // has them not, bytes, and then the pair with the highest score joined, the leftmost first, until none is left.
  std::vector<std::int32_t> Encode(std::string_view text) const;

  // The bytes of a token that follows `previous`: behind kBegin the space in front goes. "" for kBegin, kEnd and tokens
  // that there are not.
  std::string Decode(std::int32_t previous, std::int32_t token) const;

  // Of all pieces and scores (FNV-1a).
  std::uint64_t fingerprint() const;
  std::int64_t vocabulary() const { return static_cast<std::int64_t>(pieces_.size()); }

 private:
  std::int32_t Find(const std::string& piece) const;  // -1: none
  std::vector<std::int32_t> Join(std::vector<std::int32_t> tokens) const;

  std::vector<std::string> pieces_;
  std::vector<float> scores_;
  std::map<std::string, std::int32_t, std::less<>> tokens_;  // of equal pieces the first
};

}  // namespace llama

#endif  // LLAMA_TOKENIZER_H_
