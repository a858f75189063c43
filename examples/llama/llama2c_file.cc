#include "llama/llama2c_file.h"

#include <array>
#include <cstdint>

#include "llama/file_reader.h"

namespace llama {
namespace {

using tierlib::DataLossError;
using tierlib::Status;
using tierlib::StatusOr;

struct Header {
  std::int32_t width, hidden, layers, heads, kv_heads, vocabulary, context;
};

// The order of a layer's weights in the file: each stands there for all layers.
constexpr std::array<LayerWeight, kWeightsOfALayer> kFileOrder = {kInputNorm,  kQueries, kKeys, kValues, kAttentionOut,
                                                                  kMiddleNorm, kGate,    kDown, kUp};

StatusOr<Shape> ReadShape(FileReader& file) {
  Header header{};
  TIERLIB_RETURN_IF_ERROR(file.Read(&header, sizeof header));
  Shape shape;
  shape.width = header.width;
  shape.hidden = header.hidden;
  shape.layers = header.layers;
  shape.heads = header.heads;
  shape.kv_heads = header.kv_heads;
  shape.tied = header.vocabulary > 0;
  shape.vocabulary = std::int64_t{header.vocabulary} * (shape.tied ? 1 : -1);
  shape.context = header.context;
  TIERLIB_RETURN_IF_ERROR(CheckShape(shape, file.path()));
  return shape;
}

// Bytes of the whole file by its header.
std::uint64_t FileBytes(const Shape& shape, const std::vector<WeightSpec>& specs) {
  std::uint64_t elements = static_cast<std::uint64_t>(shape.context) * static_cast<std::uint64_t>(shape.head_width());
  for (const WeightSpec& spec : specs) elements += spec.elements();
  return sizeof(Header) + elements * sizeof(float);
}

Status ReadWeight(FileReader& file, const WeightSpec& spec, std::vector<float>* weight) {
  weight->resize(spec.elements());
  TIERLIB_RETURN_IF_ERROR(file.Read(weight->data(), weight->size() * sizeof(float)));
  return CheckFinite(*weight, spec.name, file.path());
}

}  // namespace

StatusOr<Shape> ReadLlama2cShape(const std::string& path) {
  TIERLIB_ASSIGN_OR_RETURN(FileReader file, FileReader::Open(path));
  return ReadShape(file);
}

StatusOr<Model> ReadLlama2c(const std::string& path) {
  TIERLIB_ASSIGN_OR_RETURN(FileReader file, FileReader::Open(path));
  Model model;
  TIERLIB_ASSIGN_OR_RETURN(model.shape, ReadShape(file));
  const std::vector<WeightSpec> specs = WeightsOf(model.shape);
  const std::uint64_t bytes = FileBytes(model.shape, specs);
  if (file.bytes() != bytes) {
    return DataLossError(path + ": has " + std::to_string(file.bytes()) + " bytes where its header asks for " +
                         std::to_string(bytes) + "; is it of llama2.c's first format?");
  }
  model.weights.resize(specs.size());
  const auto read = [&](std::size_t position) { return ReadWeight(file, specs[position], &model.weights[position]); };
  TIERLIB_RETURN_IF_ERROR(read(0));
  for (const LayerWeight weight : kFileOrder) {
    for (std::int64_t layer = 0; layer < model.shape.layers; ++layer) {
      TIERLIB_RETURN_IF_ERROR(read(Position(layer, weight)));
    }
  }
  TIERLIB_RETURN_IF_ERROR(read(LastNormPosition(model.shape)));
  std::vector<float> angles(static_cast<std::size_t>(model.shape.context * model.shape.head_width()));
  TIERLIB_RETURN_IF_ERROR(file.Read(angles.data(), angles.size() * sizeof(float)));
  if (!model.shape.tied) TIERLIB_RETURN_IF_ERROR(read(HeadPosition(model.shape)));
  return model;
}

}  // namespace llama
