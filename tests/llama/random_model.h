// A small model of random weights, and its file as llama2.c writes it.
#ifndef TIERLIB_TESTS_LLAMA_RANDOM_MODEL_H_
#define TIERLIB_TESTS_LLAMA_RANDOM_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "llama/model.h"

namespace llama {

// Two layers, four heads that share two of keys and values, 300 tokens.
Shape SmallShape(bool tied = true);
Model RandomModel(const Shape& shape, std::uint64_t seed);
// The bytes of llama2.c's first format, angles included.
std::string Llama2cBytes(const Model& model);
void WriteBytes(const std::string& path, const std::string& bytes);

// A file of tokens (llama/tokenizer.h): what every file has, and then these pieces, of token 259 on.
struct Piece {
  std::string text;
  float score = 0;
};
std::string TokenFile(const std::vector<Piece>& pieces);
// The same for the printable characters of ASCII, from the space on, as many as fill the vocabulary.
std::string CharacterFile(std::int64_t vocabulary);

// The logits after each of the tokens.
std::vector<std::vector<float>> AllLogits(Model model, const std::vector<std::int32_t>& tokens);

}  // namespace llama

#endif  // TIERLIB_TESTS_LLAMA_RANDOM_MODEL_H_
