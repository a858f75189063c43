// The commands of `llama`. Each gives the program's exit code.
#ifndef LLAMA_COMMANDS_H_
#define LLAMA_COMMANDS_H_

#include <cstdint>
#include <string>

#include "tierlib/status.h"

namespace llama {

struct GenerateOptions {
  std::string model;
  std::string tokenizer;
  std::string prompt;
  std::int64_t tokens = 256;  // at most, of each text
  std::int64_t texts = 1;
  double temperature = 0;  // 0: the likeliest token always
  std::uint64_t seed = 1;
  int threads = 0;
};
// Writes texts to the standard output, each ended by a newline and apart as texts.h says; rate and size of the weights
// to the standard error.
tierlib::Status Generate(const GenerateOptions& options);

struct PerplexityOptions {
  std::string model;
  std::string tokenizer;
  std::string text;
  int threads = 0;
};
// exp of the mean of -log p of every token of the texts (texts.h), as far as the model's context goes.
tierlib::Status PrintPerplexity(const PerplexityOptions& options);

// Writes a model as Hugging Face does into a folder that there is.
tierlib::Status Convert(const std::string& model, const std::string& folder);

}  // namespace llama

#endif  // LLAMA_COMMANDS_H_
