#include "llama/decoder_model.h"

#include <cstddef>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "llama/hugging_face.h"
#include "llama/hugging_face_files.h"
#include "llama/llama2c_file.h"
#include "llama/palette_matrix.h"
#include "tierlib/dkm/palettized_model.h"

namespace llama {
namespace {

using tierlib::StatusOr;
using tierlib::dkm::PalettizedModel;
using tierlib::io::TensorEntry;

bool IsLlama2c(const std::string& path) {
  constexpr std::string_view kEnd = ".bin";
  return path.size() >= kEnd.size() && path.compare(path.size() - kEnd.size(), kEnd.size(), kEnd) == 0;
}

void Place(const WeightSpec& spec, std::vector<float> weight, std::size_t position, DecoderWeights* weights) {
  if (spec.sizes.size() == 2) {
    weights->matrices[position] = DenseMatrix(std::move(weight), spec.sizes[0], spec.sizes[1]);
  } else {
    weights->norms[position] = std::move(weight);
  }
}

DecoderModel Unfilled(const Shape& shape, std::size_t weights) {
  DecoderModel model;
  model.shape = shape;
  model.weights.matrices.resize(weights);
  model.weights.norms.resize(weights);
  return model;
}

StatusOr<DecoderModel> OpenPalettized(const std::string& file, const Shape& shape, PalettizedModel opened,
                                      int threads) {
  const auto packed = std::make_shared<const PalettizedModel>(std::move(opened));
  const auto palettizer = std::make_shared<tierlib::dkm::Palettizer>(threads);
  std::map<std::string, std::size_t> palettes, dense;
  for (std::size_t i = 0; i < packed->palettes().size(); ++i) palettes[packed->palettes()[i].name] = i;
  for (std::size_t i = 0; i < packed->dense().size(); ++i) dense[packed->dense()[i].name] = i;
  const std::vector<WeightSpec> specs = WeightsOf(shape);
  DecoderModel model = Unfilled(shape, specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    model.elements += specs[i].elements();
    if (const auto found = palettes.find(specs[i].name); found != palettes.end()) {
      const tierlib::dkm::PalettizedTensor& palette = packed->palettes()[found->second];
      TIERLIB_RETURN_IF_ERROR(CheckSizes(file, specs[i], palette.sizes));
      if (specs[i].sizes.size() == 2) {
        model.weights.matrices[i] = PaletteMatrix(packed, found->second, palettizer);
      } else {
        std::vector<float>& norm = model.weights.norms[i];
        norm.resize(specs[i].elements());
        TIERLIB_RETURN_IF_ERROR(palettizer->Unpack(packed->View(found->second), tierlib::DType::kF32, norm.data()));
        TIERLIB_RETURN_IF_ERROR(CheckFinite(norm, specs[i].name, file));
      }
      model.bytes +=
          static_cast<std::uint64_t>(palette.shape.index_bytes()) +
          static_cast<std::uint64_t>(palette.shape.table_values()) * tierlib::ElementBytes(palette.table_dtype);
      continue;
    }
    const auto found = dense.find(specs[i].name);
    if (found == dense.end()) return MissingWeight(file, specs[i]);
    const TensorEntry& entry = packed->dense()[found->second];
    TIERLIB_ASSIGN_OR_RETURN(std::vector<float> weight, ReadWeight(file, specs[i], entry, packed->Data(found->second)));
    model.bytes += entry.bytes;
    Place(specs[i], std::move(weight), i, &model.weights);
  }
  return model;
}

}  // namespace

DecoderModel ForDecoder(Model model) {
  const std::vector<WeightSpec> specs = WeightsOf(model.shape);
  DecoderModel decoder = Unfilled(model.shape, specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    decoder.elements += specs[i].elements();
    Place(specs[i], std::move(model.weights[i]), i, &decoder.weights);
  }
  decoder.bytes = decoder.elements * sizeof(float);
  return decoder;
}

StatusOr<DecoderModel> OpenForDecoder(const std::string& path, int threads) {
  if (!IsLlama2c(path)) {
    TIERLIB_ASSIGN_OR_RETURN(const Shape shape, ReadConfig(path));
    const std::string file = WeightsPath(path);
    StatusOr<PalettizedModel> packed = PalettizedModel::Open(file);
    if (packed.ok()) return OpenPalettized(file, shape, *std::move(packed), threads);
    if (packed.status().code() != tierlib::StatusCode::kFailedPrecondition) return packed.status();
  }
  TIERLIB_ASSIGN_OR_RETURN(Model model, ReadModel(path));
  return ForDecoder(std::move(model));
}

StatusOr<Shape> ReadModelShape(const std::string& path) {
  return IsLlama2c(path) ? ReadLlama2cShape(path) : ReadConfig(path);
}

StatusOr<Model> ReadModel(const std::string& path) {
  return IsLlama2c(path) ? ReadLlama2c(path) : ReadHuggingFace(path);
}

}  // namespace llama
