// The weights of a model on the host: which there are, how they begin, and how they are read from a file.
#ifndef TRAIN_LM_WEIGHTS_H_
#define TRAIN_LM_WEIGHTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tierlib/dtype.h"
#include "tierlib/status.h"
#include "train_lm/options.h"

namespace train_lm {

// What the LLaMA architecture has beside the numbers of every model.
struct LlamaNumbers {
  std::int64_t kv_heads = 0;  // heads of keys and values
  std::int64_t hidden = 0;    // width of the SwiGLU layer
  bool tied = true;           // the head is the token embedding
  double norm_epsilon = 1e-5;
  double rope_theta = 10000;
};

struct ModelShape {
  std::int64_t vocabulary = 0;
  std::int64_t context = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t width = 0;
  std::optional<LlamaNumbers> llama;  // nothing: nanoGPT's GPT
};

// One weight. Names are nanoGPT's, with the head tied to wte.weight, or Hugging Face's for LLaMA.
struct WeightSpec {
  std::string name;
  std::vector<std::int64_t> sizes;
  double deviation = 0;       // of the normal distribution it is drawn from; 0: ones
  bool block_matrix = false;  // clustered with --bits 1 to 8

  std::int64_t elements() const;
};

// In the order that a forward pass uses them: wte, wpe, the blocks of six weights, ln_f; for LLaMA as
// llama::WeightsOf.
std::vector<WeightSpec> WeightsOf(const ModelShape& shape);

// Row-major elements of one weight.
struct HostWeight {
  tierlib::DType dtype = tierlib::DType::kF32;
  std::vector<char> bytes;
};
using HostWeights = std::vector<HostWeight>;  // in the order of WeightsOf

// Over all weights. The options' ranges, and those of llama::CheckShape, keep it far below 2^63.
std::uint64_t ParameterCount(const ModelShape& shape);

// InvalidArgument where the model has more parameters than any machine here could hold.
tierlib::Status CheckParameterCount(const ModelShape& shape);

// Drawn from (seed, weight, element): GPT-2's initialisation as nanoGPT has it.
HostWeights DrawWeights(const ModelShape& shape, tierlib::DType dtype, std::uint64_t seed);

// From a safetensors file of floats of any kind, converted to `dtype`. Errors name the file, the tensor and what is
// wrong: missing, of other sizes (both are told), a layer too many, a tensor that the model has not, a head that is not
// tied, NaN or Inf (with its position).
tierlib::StatusOr<HostWeights> LoadWeights(const std::string& path, const ModelShape& shape, tierlib::DType dtype);

// The same for --init of the LLaMA architecture: a model that llama::ReadModel reads, whose shape the options have.
tierlib::StatusOr<HostWeights> LoadLlamaWeights(const std::string& path, tierlib::DType dtype);

// "[384, 128]"
std::string SizesText(const std::vector<std::int64_t>& sizes);

}  // namespace train_lm

#endif  // TRAIN_LM_WEIGHTS_H_
