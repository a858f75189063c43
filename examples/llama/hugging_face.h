// LLaMA models as Hugging Face stores them: config.json beside model.safetensors or its index of shards, or beside a
// file of tierlib-palettize. A model is named by its folder, or by one of these files in it.
#ifndef LLAMA_HUGGING_FACE_H_
#define LLAMA_HUGGING_FACE_H_

#include <string>

#include "llama/model.h"
#include "tierlib/status.h"

namespace llama {

// The shape that config.json says. InvalidArgument where it is no JSON, lacks a number, has one that cannot be
// (CheckShape) or is of another architecture; Unimplemented for what this example does not compute (scaled rotary
// angles, biases, heads of another width); NotFound.
tierlib::StatusOr<Shape> ReadConfig(const std::string& path);

// All weights in float32, from f32, bf16 or f16. InvalidArgument names a tensor that is missing or of other sizes or
// dtype; DataLoss as CheckFinite; errors of SafetensorsModel.
tierlib::StatusOr<Model> ReadHuggingFace(const std::string& path);

// Writes model.safetensors and config.json into a folder that there is, the rows of queries and keys in the order in
// which Hugging Face turns them (kHalves). Each file replaces what stood there as a whole. FailedPrecondition where an
// index of shards stands there, which would be read in place of the file.
tierlib::Status WriteHuggingFace(const Model& model, const std::string& folder);

}  // namespace llama

#endif  // LLAMA_HUGGING_FACE_H_
