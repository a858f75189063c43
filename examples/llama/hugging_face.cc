#include "llama/hugging_face.h"

#include <cstddef>
#include <map>
#include <utility>

#include "llama/hugging_face_files.h"
#include "tierlib/dkm/palettized_model.h"
#include "tierlib/io/atomic_file.h"
#include "tierlib/io/safetensors.h"
#include "tierlib/io/safetensors_model.h"

namespace llama {

using tierlib::DType;
using tierlib::Status;
using tierlib::StatusOr;
using tierlib::io::AtomicFile;
using tierlib::io::SafetensorsModel;

StatusOr<Model> ReadHuggingFace(const std::string& path) {
  const std::string file = WeightsPath(path);
  Model model;
  TIERLIB_ASSIGN_OR_RETURN(model.shape, ReadConfig(path));
  TIERLIB_ASSIGN_OR_RETURN(const SafetensorsModel opened, SafetensorsModel::Open(file));
  if (opened.metadata().count(tierlib::dkm::kPalettizedKey) != 0) {
    return tierlib::InvalidArgumentError(file +
                                         ": the weights are palettes; tierlib-palettize --unpack makes them dense");
  }
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
  const Model turned = model.shape.pairs == tierlib::autograd::RotaryPairs::kHalves ? Model() : InHalves(model);
  const Model& written = turned.weights.empty() ? model : turned;
  std::vector<tierlib::io::TensorToWrite> tensors;
  const std::vector<WeightSpec> specs = WeightsOf(written.shape);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    tensors.push_back({specs[i].name, DType::kF32, specs[i].sizes, written.weights[i].data()});
  }
  const std::string inside = folder + (folder.empty() || folder.back() == '/' ? "" : "/");
  const std::string weights = inside + "model.safetensors";
  if (WeightsPath(folder) != weights) {
    return tierlib::FailedPreconditionError(WeightsPath(folder) +
                                            ": is there, and would be read in place of what is written");
  }
  // Begun first, so that weights do not change where the other file cannot be written.
  TIERLIB_ASSIGN_OR_RETURN(AtomicFile config, AtomicFile::Create(inside + "config.json"));
  const std::string text = ConfigText(model.shape);
  TIERLIB_RETURN_IF_ERROR(config.Append(text.data(), text.size()));
  TIERLIB_RETURN_IF_ERROR(tierlib::io::WriteSafetensors(weights, tensors, {{"format", "pt"}}));
  return config.Commit();
}

}  // namespace llama
