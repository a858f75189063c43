#include "llama/hugging_face.h"

#include <cstddef>
#include <map>
#include <utility>

#include "llama/hugging_face_files.h"
#include "tierlib/io/safetensors.h"
#include "tierlib/io/safetensors_model.h"

namespace llama {
namespace {

using tierlib::DType;
using tierlib::Status;
using tierlib::StatusOr;
using tierlib::io::SafetensorsModel;

// Rows of queries or keys from the order of interleaved pairs to that of halves: head by head, first the even ones.
std::vector<float> HalvesOf(const std::vector<float>& weight, std::int64_t head_width, std::int64_t columns) {
  std::vector<float> halves;
  halves.reserve(weight.size());
  const auto rows = static_cast<std::int64_t>(weight.size()) / columns;
  for (std::int64_t head = 0; head < rows; head += head_width) {
    for (const std::int64_t odd : {0, 1}) {
      for (std::int64_t row = head + odd; row < head + head_width; row += 2) {
        halves.insert(halves.end(), weight.begin() + row * columns, weight.begin() + (row + 1) * columns);
      }
    }
  }
  return halves;
}

}  // namespace

StatusOr<Model> ReadHuggingFace(const std::string& path) {
  const std::string file = WeightsPath(path);
  Model model;
  TIERLIB_ASSIGN_OR_RETURN(model.shape, ReadConfig(path));
  TIERLIB_ASSIGN_OR_RETURN(const SafetensorsModel opened, SafetensorsModel::Open(file));
  std::map<std::string, const SafetensorsModel::Tensor*> tensors;
  for (const SafetensorsModel::Tensor& tensor : opened.tensors()) tensors[tensor.entry.name] = &tensor;
  for (const WeightSpec& spec : WeightsOf(model.shape)) {
    const auto found = tensors.find(spec.name);
    if (found == tensors.end()) return MissingWeight(file, spec);
    TIERLIB_ASSIGN_OR_RETURN(std::vector<float> weight,
                             ReadWeight(file, spec, found->second->entry, opened.Data(*found->second)));
    opened.Release(*found->second);
    model.weights.push_back(std::move(weight));
  }
  return model;
}

Status WriteHuggingFace(const Model& model, const std::string& folder) {
  std::vector<std::vector<float>> turned;  // what stands in another order in the file
  turned.reserve(model.weights.size());
  std::vector<tierlib::io::TensorToWrite> tensors;
  const std::vector<WeightSpec> specs = WeightsOf(model.shape);
  for (std::size_t i = 0; i < specs.size(); ++i)
    tensors.push_back({specs[i].name, DType::kF32, specs[i].sizes, model.weights[i].data()});
  for (std::int64_t layer = 0; layer < model.shape.layers; ++layer) {
    if (model.shape.pairs == tierlib::autograd::RotaryPairs::kHalves) break;
    for (const LayerWeight weight : {kQueries, kKeys}) {
      const std::size_t position = Position(layer, weight);
      turned.push_back(HalvesOf(model.weights[position], model.shape.head_width(), model.shape.width));
      tensors[position].data = turned.back().data();
    }
  }
  const std::string inside = folder + (folder.empty() || folder.back() == '/' ? "" : "/");
  TIERLIB_RETURN_IF_ERROR(tierlib::io::WriteSafetensors(inside + "model.safetensors", tensors, {{"format", "pt"}}));
  return WriteConfig(model.shape, inside + "config.json");
}

}  // namespace llama
