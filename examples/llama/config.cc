// config.json, read and written.
#include <fstream>
#include <nlohmann/json.hpp>

#include "llama/hugging_face.h"
#include "llama/hugging_face_files.h"

namespace llama {
namespace {

using nlohmann::json;
using tierlib::InvalidArgumentError;
using tierlib::Status;
using tierlib::StatusOr;

class Config {
 public:
  Config(std::string path, json values) : path_(std::move(path)), values_(std::move(values)) {}

  bool Has(const char* key) const { return values_.contains(key) && !values_[key].is_null(); }
  // The object under a key, as a config of its own; empty where it is not there.
  StatusOr<Config> Inside(const char* key) const {
    if (!Has(key)) return Config(path_, json::object());
    if (!values_[key].is_object()) return Wrong(key, "an object");
    return Config(path_ + ": " + key, values_[key]);
  }
  Status Read(const char* key, std::int64_t* value) const {
    if (!Has(key)) return Missing(key);
    if (!values_[key].is_number_integer()) return Wrong(key, "a whole number");
    *value = values_[key].get<std::int64_t>();
    return tierlib::OkStatus();
  }
  // What is not there keeps its default.
  Status ReadDefault(const char* key, double* value) const {
    if (!Has(key)) return tierlib::OkStatus();
    if (!values_[key].is_number()) return Wrong(key, "a number");
    *value = values_[key].get<double>();
    return *value > 0 ? tierlib::OkStatus() : Wrong(key, "above 0");
  }
  Status ReadDefault(const char* key, bool* value) const {
    if (!Has(key)) return tierlib::OkStatus();
    if (!values_[key].is_boolean()) return Wrong(key, "true or false");
    *value = values_[key].get<bool>();
    return tierlib::OkStatus();
  }
  Status ReadDefault(const char* key, std::string* value) const {
    if (!Has(key)) return tierlib::OkStatus();
    if (!values_[key].is_string()) return Wrong(key, "a text");
    *value = values_[key].get<std::string>();
    return tierlib::OkStatus();
  }

 private:
  Status Missing(const char* key) const { return InvalidArgumentError(path_ + ": " + key + " is missing"); }
  Status Wrong(const char* key, const char* right) const {
    return InvalidArgumentError(path_ + ": " + key + " is " + values_[key].dump() + "; it must be " + right);
  }

  std::string path_;
  json values_;
};

StatusOr<Config> Open(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    return tierlib::NotFoundError(path + ": cannot be read; a model of Hugging Face has it beside its weights");
  // What is read lies at the top or in one object there; of what is deeper only that it is there matters.
  const auto shallow = [](int depth, json::parse_event_t, const json&) { return depth <= 2; };
  json values = json::parse(file, shallow, /*allow_exceptions=*/false);
  if (!values.is_object()) return InvalidArgumentError(path + ": is no JSON object");
  return Config(path, std::move(values));
}

// What the numbers alone do not say.
Status CheckComputable(const Config& config, const Shape& shape, const std::string& path) {
  std::string type = "llama";
  TIERLIB_RETURN_IF_ERROR(config.ReadDefault("model_type", &type));
  if (type != "llama") return InvalidArgumentError(path + ": model_type is " + type + ", not llama");
  std::string activation = "silu";
  TIERLIB_RETURN_IF_ERROR(config.ReadDefault("hidden_act", &activation));
  bool attention_bias = false;
  bool mlp_bias = false;
  TIERLIB_RETURN_IF_ERROR(config.ReadDefault("attention_bias", &attention_bias));
  TIERLIB_RETURN_IF_ERROR(config.ReadDefault("mlp_bias", &mlp_bias));
  std::int64_t head_width = shape.head_width();
  if (config.Has("head_dim")) TIERLIB_RETURN_IF_ERROR(config.Read("head_dim", &head_width));
  const char* what = activation != "silu"               ? "hidden_act other than silu"
                     : attention_bias || mlp_bias       ? "biases"
                     : config.Has("rope_scaling")       ? "rope_scaling"
                     : head_width != shape.head_width() ? "head_dim other than hidden_size / num_attention_heads"
                                                        : nullptr;
  if (what == nullptr) return tierlib::OkStatus();
  return tierlib::UnimplementedError(path + ": this example does not compute " + what);
}

// What newer files say of rotary angles in an object of its own.
Status ReadRotary(const Config& config, const std::string& path, double* theta) {
  TIERLIB_ASSIGN_OR_RETURN(const Config rotary, config.Inside("rope_parameters"));
  TIERLIB_RETURN_IF_ERROR(rotary.ReadDefault("rope_theta", theta));
  std::string type = "default";
  TIERLIB_RETURN_IF_ERROR(rotary.ReadDefault("rope_type", &type));
  if (type == "default") return tierlib::OkStatus();
  return tierlib::UnimplementedError(path + ": this example does not compute rope_type " + type);
}

}  // namespace

StatusOr<Shape> ReadConfig(const std::string& model_path) {
  const std::string path = ConfigPath(model_path);
  TIERLIB_ASSIGN_OR_RETURN(const Config config, Open(path));
  Shape shape;
  TIERLIB_RETURN_IF_ERROR(config.Read("hidden_size", &shape.width));
  TIERLIB_RETURN_IF_ERROR(config.Read("intermediate_size", &shape.hidden));
  TIERLIB_RETURN_IF_ERROR(config.Read("num_hidden_layers", &shape.layers));
  TIERLIB_RETURN_IF_ERROR(config.Read("num_attention_heads", &shape.heads));
  TIERLIB_RETURN_IF_ERROR(config.Read("vocab_size", &shape.vocabulary));
  TIERLIB_RETURN_IF_ERROR(config.Read("max_position_embeddings", &shape.context));
  shape.kv_heads = shape.heads;
  if (config.Has("num_key_value_heads")) {
    TIERLIB_RETURN_IF_ERROR(config.Read("num_key_value_heads", &shape.kv_heads));
  }
  shape.norm_epsilon = 1e-6;  // Hugging Face's defaults
  shape.tied = false;
  TIERLIB_RETURN_IF_ERROR(config.ReadDefault("rms_norm_eps", &shape.norm_epsilon));
  TIERLIB_RETURN_IF_ERROR(config.ReadDefault("rope_theta", &shape.rope_theta));
  TIERLIB_RETURN_IF_ERROR(ReadRotary(config, path, &shape.rope_theta));
  TIERLIB_RETURN_IF_ERROR(config.ReadDefault("tie_word_embeddings", &shape.tied));
  shape.pairs = tierlib::autograd::RotaryPairs::kHalves;
  TIERLIB_RETURN_IF_ERROR(CheckShape(shape, path));
  TIERLIB_RETURN_IF_ERROR(CheckComputable(config, shape, path));
  return shape;
}

std::string ConfigText(const Shape& shape) {
  const json config = {{"architectures", {"LlamaForCausalLM"}},
                       {"model_type", "llama"},
                       {"hidden_act", "silu"},
                       {"hidden_size", shape.width},
                       {"intermediate_size", shape.hidden},
                       {"num_hidden_layers", shape.layers},
                       {"num_attention_heads", shape.heads},
                       {"num_key_value_heads", shape.kv_heads},
                       {"vocab_size", shape.vocabulary},
                       {"max_position_embeddings", shape.context},
                       {"rms_norm_eps", shape.norm_epsilon},
                       {"rope_theta", shape.rope_theta},
                       {"tie_word_embeddings", shape.tied},
                       {"torch_dtype", "float32"}};
  return config.dump(2) + "\n";
}

}  // namespace llama
