#include <chrono>
#include <cstdio>
#include <vector>

#include "llama/commands.h"
#include "llama/decoder_model.h"
#include "llama/sampler.h"
#include "llama/texts.h"
#include "llama/tokenizer.h"
#include "tierlib/bytes.h"

namespace llama {

using tierlib::Status;

namespace {

// One text after the prompt, to the standard output; the number of tokens that the model was asked for.
tierlib::StatusOr<std::int64_t> Write(Decoder& decoder, const Tokenizer& tokenizer, const GenerateOptions& options,
                                      Sampler& sampler) {
  decoder.Reset();
  std::vector<std::int32_t> tokens = {Tokenizer::kBegin};
  const std::vector<std::int32_t> prompt = tokenizer.Encode(options.prompt);
  tokens.insert(tokens.end(), prompt.begin(), prompt.end());
  std::fputs(options.prompt.c_str(), stdout);
  std::int64_t asked = 0;
  for (std::size_t i = 0; static_cast<std::int64_t>(i) < options.tokens; ++i, ++asked) {
    const tierlib::StatusOr<const float*> logits = decoder.Next(tokens[i]);
    if (logits.status().code() == tierlib::StatusCode::kOutOfRange && i > prompt.size()) break;  // the context is full
    TIERLIB_RETURN_IF_ERROR(logits.status());
    if (i + 1 < tokens.size()) continue;
    const std::int32_t next = sampler.Next(*logits, tokenizer.vocabulary());
    if (next == Tokenizer::kBegin || next == Tokenizer::kEnd) break;
    const std::string piece = tokenizer.Decode(tokens[i], next);
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    if (options.texts == 1) std::fflush(stdout);
    tokens.push_back(next);
  }
  std::fputc('\n', stdout);
  return asked;
}

}  // namespace

Status Generate(const GenerateOptions& options) {
  TIERLIB_ASSIGN_OR_RETURN(DecoderModel model, OpenForDecoder(options.model, options.threads));
  TIERLIB_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Read(options.tokenizer, model.shape.vocabulary));
  const double bits = 8.0 * static_cast<double>(model.bytes) / static_cast<double>(model.elements);
  Decoder decoder(model.shape, std::move(model.weights));
  Sampler sampler(options.temperature, options.seed);
  const auto begin = std::chrono::steady_clock::now();
  std::int64_t asked = 0;
  for (std::int64_t text = 0; text < options.texts; ++text) {
    if (text > 0) std::printf("%.*s\n", static_cast<int>(kTextEnd.size()), kTextEnd.data());
    TIERLIB_ASSIGN_OR_RETURN(const std::int64_t tokens, Write(decoder, tokenizer, options, sampler));
    asked += tokens;
  }
  if (std::fflush(stdout) != 0) return tierlib::UnavailableError("the text could not be written");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::fprintf(stderr, "%lld tokens, %.0f a second; weights %s, %.2f bits each\n", static_cast<long long>(asked),
               static_cast<double>(asked) / seconds.count(), tierlib::FormatBytes(model.bytes).c_str(), bits);
  return tierlib::OkStatus();
}

}  // namespace llama
