// The LLaMA architecture in numbers, and which weights a model of it has.
#ifndef LLAMA_SHAPE_H_
#define LLAMA_SHAPE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tierlib/autograd/ops.h"
#include "tierlib/status.h"

namespace llama {

// RMSNorm before attention and before the SwiGLU layer, rotary embedding of queries and keys, `kv_heads` heads of keys
// and values that groups of `heads / kv_heads` heads of queries share.
struct Shape {
  std::int64_t vocabulary = 0;
  std::int64_t context = 0;  // positions at most
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t width = 0;
  std::int64_t hidden = 0;  // of the SwiGLU layer
  bool tied = true;         // the head is the token embedding
  double norm_epsilon = 1e-5;
  double rope_theta = 10000;
  // As the rows of the query and key projections lie.
  tierlib::autograd::RotaryPairs pairs = tierlib::autograd::RotaryPairs::kInterleaved;

  std::int64_t head_width() const { return width / heads; }
  std::int64_t kv_width() const { return head_width() * kv_heads; }
};

// InvalidArgument where a number is not positive, heads do not divide the width into even parts, kv_heads do not divide
// heads, or a weight would have more than 2^40 elements. `file` stands in front of the message.
tierlib::Status CheckShape(const Shape& shape, const std::string& file);

// Names are Hugging Face's.
struct WeightSpec {
  std::string name;
  std::vector<std::int64_t> sizes;

  std::size_t elements() const;
};
// In the order that a forward pass uses them: the embedding, nine weights a layer, the last norm, the head where it is
// not tied.
std::vector<WeightSpec> WeightsOf(const Shape& shape);

// Where a layer's weights lie in WeightsOf.
enum LayerWeight : std::size_t {
  kInputNorm,
  kQueries,
  kKeys,
  kValues,
  kAttentionOut,
  kMiddleNorm,
  kGate,
  kUp,
  kDown,
  kWeightsOfALayer
};
inline std::size_t Position(std::int64_t layer, LayerWeight weight) {
  return 1 + static_cast<std::size_t>(layer) * kWeightsOfALayer + weight;
}
inline std::size_t LastNormPosition(const Shape& shape) { return Position(shape.layers, kInputNorm); }
// Of the matrix that gives the logits.
inline std::size_t HeadPosition(const Shape& shape) { return shape.tied ? 0 : LastNormPosition(shape) + 1; }

}  // namespace llama

#endif  // LLAMA_SHAPE_H_
