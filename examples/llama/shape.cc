#include "llama/shape.h"

#include <algorithm>

namespace llama {

using tierlib::InvalidArgumentError;
using tierlib::Status;

Status CheckShape(const Shape& shape, const std::string& file) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  const struct {
    const char* name;
    std::int64_t value;
  } numbers[] = {{"vocabulary", shape.vocabulary}, {"context", shape.context},   {"layers", shape.layers},
                 {"heads", shape.heads},           {"kv_heads", shape.kv_heads}, {"width", shape.width},
                 {"hidden width", shape.hidden}};
  for (const auto& [name, value] : numbers) {
    if (value < 1 || value >= kMost) {
      return InvalidArgumentError(file + ": the model's " + name + " is " + std::to_string(value) +
                                  "; it must be from 1 to " + std::to_string(kMost - 1));
    }
  }
  if (shape.width % shape.heads != 0 || shape.head_width() % 2 != 0) {
    return InvalidArgumentError(file + ": " + std::to_string(shape.heads) + " heads do not divide a width of " +
                                std::to_string(shape.width) + " into even parts");
  }
  if (shape.heads % shape.kv_heads != 0) {
    return InvalidArgumentError(file + ": " + std::to_string(shape.kv_heads) +
                                " heads of keys and values do not divide " + std::to_string(shape.heads) + " heads");
  }
  constexpr std::int64_t kMostElements = std::int64_t{1} << 40;
  const std::int64_t longest = std::max({shape.vocabulary, shape.hidden, shape.width});
  if (longest > kMostElements / shape.width || shape.layers > (1 << 16)) {
    return InvalidArgumentError(file + ": a model of " + std::to_string(shape.layers) + " layers of width " +
                                std::to_string(shape.width) + " is beyond any that fits here");
  }
  return tierlib::OkStatus();
}

std::size_t WeightSpec::elements() const {
  std::size_t elements = 1;
  for (const std::int64_t size : sizes) elements *= static_cast<std::size_t>(size);
  return elements;
}

std::vector<WeightSpec> WeightsOf(const Shape& shape) {
  const std::int64_t c = shape.width;
  const std::int64_t kv = shape.kv_width();
  std::vector<WeightSpec> specs = {{"model.embed_tokens.weight", {shape.vocabulary, c}}};
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const std::string name = "model.layers." + std::to_string(layer) + ".";
    specs.push_back({name + "input_layernorm.weight", {c}});
    specs.push_back({name + "self_attn.q_proj.weight", {c, c}});
    specs.push_back({name + "self_attn.k_proj.weight", {kv, c}});
    specs.push_back({name + "self_attn.v_proj.weight", {kv, c}});
    specs.push_back({name + "self_attn.o_proj.weight", {c, c}});
    specs.push_back({name + "post_attention_layernorm.weight", {c}});
    specs.push_back({name + "mlp.gate_proj.weight", {shape.hidden, c}});
    specs.push_back({name + "mlp.up_proj.weight", {shape.hidden, c}});
    specs.push_back({name + "mlp.down_proj.weight", {c, shape.hidden}});
  }
  specs.push_back({"model.norm.weight", {c}});
  if (!shape.tied) specs.push_back({"lm_head.weight", {shape.vocabulary, c}});
  return specs;
}

}  // namespace llama
