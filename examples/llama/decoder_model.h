// Models as a decoder takes them, from every kind of file.
#ifndef LLAMA_DECODER_MODEL_H_
#define LLAMA_DECODER_MODEL_H_

#include <cstdint>
#include <string>

#include "llama/decoder.h"
#include "llama/model.h"
#include "tierlib/status.h"

namespace llama {

struct DecoderModel {
  Shape shape;
  DecoderWeights weights;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;  // of the weights, as they are held in memory or mapped
};

// A dense model. REQUIRES: its weights are those of WeightsOf(model.shape).
DecoderModel ForDecoder(Model model);

// `path` ends in .bin: a file of llama2.c. Otherwise a model of Hugging Face, dense or of tierlib-palettize; then its
// palettes stay packed, their bytes are mapped, and products are made from them on `threads` threads (0: all
// processors). Errors as ReadLlama2c and ReadHuggingFace.
tierlib::StatusOr<DecoderModel> OpenForDecoder(const std::string& path, int threads);

// The dense model that the path leads to, by the same rule. InvalidArgument where weights are palettes.
tierlib::StatusOr<Model> ReadModel(const std::string& path);
// Its shape alone, also of palettes.
tierlib::StatusOr<Shape> ReadModelShape(const std::string& path);

}  // namespace llama

#endif  // LLAMA_DECODER_MODEL_H_
