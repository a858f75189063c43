// What readers of Hugging Face's models share: where the files are, and one tensor out of them.
#ifndef LLAMA_HUGGING_FACE_FILES_H_
#define LLAMA_HUGGING_FACE_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "llama/shape.h"
#include "tierlib/io/safetensors.h"
#include "tierlib/status.h"

namespace llama {

// config.json in the folder `path`, or beside the file `path`.
std::string ConfigPath(const std::string& path);
// What config.json says of a shape.
std::string ConfigText(const Shape& shape);
// The file with the weights that `path` means: of a folder its index of shards or else its one file.
std::string WeightsPath(const std::string& path);

// A dense tensor's elements (f32, bf16 or f16 at `data`) in float32. InvalidArgument where its sizes or dtype are
// others, DataLoss where an element is NaN or infinite; `file` stands in front of messages.
tierlib::StatusOr<std::vector<float>> ReadWeight(const std::string& file, const WeightSpec& spec,
                                                 const tierlib::io::TensorEntry& entry, const void* data);
tierlib::Status CheckSizes(const std::string& file, const WeightSpec& spec, const std::vector<std::int64_t>& sizes);
tierlib::Status MissingWeight(const std::string& file, const WeightSpec& spec);

}  // namespace llama

#endif  // LLAMA_HUGGING_FACE_FILES_H_
