#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>

#include "llama/commands.h"
#include "llama/decoder_model.h"
#include "llama/file_reader.h"
#include "llama/sampler.h"
#include "llama/texts.h"
#include "llama/tokenizer.h"

namespace llama {

using tierlib::Status;

Status PrintPerplexity(const PerplexityOptions& options) {
  TIERLIB_ASSIGN_OR_RETURN(DecoderModel model, OpenForDecoder(options.model, options.threads));
  TIERLIB_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Read(options.tokenizer, model.shape.vocabulary));
  TIERLIB_ASSIGN_OR_RETURN(FileReader file, FileReader::Open(options.text));
  std::string texts(file.bytes(), '\0');
  TIERLIB_RETURN_IF_ERROR(file.Read(texts.data(), texts.size()));
  Decoder decoder(model.shape, std::move(model.weights));
  double sum = 0;
  std::int64_t count = 0;
  for (const std::string_view text : SplitTexts(texts)) {
    decoder.Reset();
    std::int32_t token = Tokenizer::kBegin;
    for (const std::int32_t next : tokenizer.Encode(text)) {
      if (decoder.position() == model.shape.context) break;  // what is beyond is left out
      TIERLIB_ASSIGN_OR_RETURN(const float* const logits, decoder.Next(token));
      sum += LogProbability(logits, model.shape.vocabulary, next);
      ++count;
      token = next;
    }
  }
  if (count == 0) return tierlib::InvalidArgumentError(options.text + ": the text is empty");
  std::printf("perplexity %.4f over %lld tokens\n", std::exp(-sum / static_cast<double>(count)),
              static_cast<long long>(count));
  return tierlib::OkStatus();
}

}  // namespace llama
