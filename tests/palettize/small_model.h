// A small model of every kind of tensor that real ones have.
#ifndef TIERLIB_TESTS_PALETTIZE_SMALL_MODEL_H_
#define TIERLIB_TESTS_PALETTIZE_SMALL_MODEL_H_

#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "autograd/kernels/host/float16.h"
#include "base/random.h"
#include "tierlib/io/safetensors.h"

namespace tierlib {

// Tensors with bytes of their own, to be written.
class TensorList {
 public:
  void Add(const std::string& name, DType dtype, const std::vector<std::int64_t>& sizes,
           const std::vector<float>& values) {
    std::vector<char>& bytes = bytes_.emplace_back(values.size() * ElementBytes(dtype));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint16_t half =
          dtype == DType::kF16 ? autograd::host::F16FromFloat(values[i]) : autograd::host::BF16FromFloat(values[i]);
      if (dtype == DType::kF32) std::memcpy(bytes.data() + 4 * i, &values[i], 4);
      if (dtype == DType::kF16 || dtype == DType::kBF16) std::memcpy(bytes.data() + 2 * i, &half, 2);
      if (dtype == DType::kU8) bytes[i] = static_cast<char>(values[i]);
    }
    tensors_.push_back({name, dtype, sizes, bytes.data()});
  }

  // N(0, 0.02).
  void AddNormal(const std::string& name, DType dtype, const std::vector<std::int64_t>& sizes) {
    std::size_t count = 1;
    for (const std::int64_t size : sizes) count *= static_cast<std::size_t>(size);
    Random random(tensors_.size() + 1);
    std::vector<float> values(count);
    for (float& value : values) value = 0.02f * static_cast<float>(random.Normal());
    Add(name, dtype, sizes, values);
  }

  Status Write(const std::string& path, const std::map<std::string, std::string>& metadata = {}) const {
    return io::WriteSafetensors(path, tensors_, metadata);
  }
  const std::vector<io::TensorToWrite>& tensors() const { return tensors_; }

 private:
  std::deque<std::vector<char>> bytes_;
  std::vector<io::TensorToWrite> tensors_;
};

// The names of a Llama, cut down: each kind of tensor, each type.
inline TensorList SmallModel() {
  TensorList model;
  model.AddNormal("model.embed_tokens.weight", DType::kBF16, {100, 64});
  model.AddNormal("model.layers.0.mlp.up_proj.weight", DType::kBF16, {97, 65});
  model.AddNormal("model.layers.0.mlp.down_proj.weight", DType::kF16, {64, 100});
  model.AddNormal("model.layers.0.conv.weight", DType::kF32, {32, 8, 3, 3});
  model.AddNormal("model.layers.0.large.weight", DType::kBF16, {1000, 1100});  // 2.1 MiB: unpacked in pieces
  model.AddNormal("model.layers.0.norm.weight", DType::kBF16, {4096});
  model.AddNormal("model.layers.0.small.weight", DType::kBF16, {45, 45});  // 2,025 weights
  model.Add("step", DType::kF32, {}, {12});
  model.Add("none", DType::kF32, {0, 4}, {});
  model.Add("mask", DType::kU8, {64, 64}, std::vector<float>(4096, 1));
  model.AddNormal("lm_head.weight", DType::kBF16, {100, 64});
  return model;
}

}  // namespace tierlib

#endif  // TIERLIB_TESTS_PALETTIZE_SMALL_MODEL_H_
