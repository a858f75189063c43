// make_llama FOLDER [LAYERS]: a model with the names and shapes of LLaMA-7B (32 layers: 12.6 GiB of bf16) in two shards
// with an index, as Hugging Face writes one; norms are 1, all other weights are drawn from N(0, 0.02) at 65,536
// quantiles. The same bytes every time. For bench/results/palettize.md.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "autograd/kernels/host/float16.h"
#include "base/random.h"
#include "tierlib/io/atomic_file.h"
#include "tierlib/io/safetensors_writer.h"

namespace tierlib {
namespace {

constexpr std::int64_t kWidth = 4096;
constexpr std::int64_t kInner = 11008;
constexpr std::int64_t kVocabulary = 32000;

void AddMatrix(std::vector<io::TensorEntry>& tensors, const std::string& name, std::int64_t rows,
               std::int64_t columns) {
  tensors.push_back({name + ".weight", DType::kBF16, {rows, columns}});
}

std::vector<io::TensorEntry> Layer(int number) {
  std::vector<io::TensorEntry> tensors;
  const std::string layer = "model.layers." + std::to_string(number) + ".";
  for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
    AddMatrix(tensors, layer + "self_attn." + name, kWidth, kWidth);
  }
  AddMatrix(tensors, layer + "mlp.gate_proj", kInner, kWidth);
  AddMatrix(tensors, layer + "mlp.up_proj", kInner, kWidth);
  AddMatrix(tensors, layer + "mlp.down_proj", kWidth, kInner);
  tensors.push_back({layer + "input_layernorm.weight", DType::kBF16, {kWidth}});
  tensors.push_back({layer + "post_attention_layernorm.weight", DType::kBF16, {kWidth}});
  return tensors;
}

// Values at the middles of 65,536 equal parts of the distribution, by bisection of the error function.
std::vector<std::uint16_t> Quantiles() {
  std::vector<std::uint16_t> quantiles(65536);
  for (std::size_t i = 0; i < quantiles.size(); ++i) {
    const double part = (static_cast<double>(i) + 0.5) / 65536;
    double low = -8, high = 8;
    for (int step = 0; step < 50; ++step) {
      const double middle = 0.5 * (low + high);
      (0.5 * std::erfc(-middle / std::sqrt(2.0)) < part ? low : high) = middle;
    }
    quantiles[i] = autograd::host::BF16FromFloat(static_cast<float>(0.02 * low));
  }
  return quantiles;
}

class Shards {
 public:
  explicit Shards(std::string folder) : folder_(std::move(folder)), quantiles_(Quantiles()) {}

  Status Write(const std::string& name, const std::vector<io::TensorEntry>& tensors) {
    TIERLIB_ASSIGN_OR_RETURN(io::SafetensorsWriter writer,
                             io::SafetensorsWriter::Create(folder_ + "/" + name, tensors, {{"format", "pt"}}));
    for (const io::TensorEntry& tensor : tensors) {
      std::uint64_t count = 1;
      for (const std::int64_t size : tensor.sizes) count *= static_cast<std::uint64_t>(size);
      std::vector<std::uint16_t> values(count, autograd::host::BF16FromFloat(1));
      if (tensor.sizes.size() > 1) Draw(values);
      TIERLIB_RETURN_IF_ERROR(writer.Write(tensor.name, 0, values.data(), 2 * count));
      map_[tensor.name] = name;
      bytes_ += 2 * count;
    }
    return writer.Commit();
  }

  Status WriteIndex() {
    const nlohmann::json index = {{"metadata", {{"total_size", bytes_}}}, {"weight_map", map_}};
    const std::string text = index.dump(2);
    TIERLIB_ASSIGN_OR_RETURN(io::AtomicFile file, io::AtomicFile::Create(folder_ + "/model.safetensors.index.json"));
    TIERLIB_RETURN_IF_ERROR(file.Append(text.data(), text.size()));
    return file.Commit();
  }

 private:
  void Draw(std::vector<std::uint16_t>& values) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      bits = i % 4 == 0 ? SplitMix64(&state_) : bits >> 16;
      values[i] = quantiles_[bits & 0xffff];
    }
  }

  const std::string folder_;
  const std::vector<std::uint16_t> quantiles_;
  std::uint64_t state_ = 7;
  nlohmann::json map_ = nlohmann::json::object();
  std::uint64_t bytes_ = 0;
};

Status Make(const std::string& folder, int layers) {
  std::vector<io::TensorEntry> shards[2];
  AddMatrix(shards[0], "model.embed_tokens", kVocabulary, kWidth);
  for (int layer = 0; layer < layers; ++layer) {
    std::vector<io::TensorEntry>& shard = shards[layer < 3 * layers / 4 ? 0 : 1];
    for (io::TensorEntry& tensor : Layer(layer)) shard.push_back(std::move(tensor));
  }
  shards[1].push_back({"model.norm.weight", DType::kBF16, {kWidth}});
  AddMatrix(shards[1], "lm_head", kVocabulary, kWidth);
  Shards model(folder);
  TIERLIB_RETURN_IF_ERROR(model.Write("model-00001-of-00002.safetensors", shards[0]));
  TIERLIB_RETURN_IF_ERROR(model.Write("model-00002-of-00002.safetensors", shards[1]));
  return model.WriteIndex();
}

}  // namespace
}  // namespace tierlib

int main(int argc, char** argv) {
  const int layers = argc == 3 ? std::atoi(argv[2]) : 32;
  if (argc < 2 || argc > 3 || layers < 1 || layers > 1000) {
    std::fprintf(stderr, "usage: make_llama FOLDER [LAYERS]\n");
    return 2;
  }
  const tierlib::Status status = tierlib::Make(argv[1], layers);
  if (status.ok()) return 0;
  std::fprintf(stderr, "make_llama: %s\n", std::string(status.message()).c_str());
  return 1;
}
