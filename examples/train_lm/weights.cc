#include "train_lm/weights.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>

#include "llama/decoder_model.h"
#include "llama/float_convert.h"
#include "tierlib/io/safetensors.h"
#include "train_lm/llama.h"
#include "train_lm/philox.h"

namespace train_lm {
namespace {

using llama::ReadFloats;
using llama::WriteFloats;
using tierlib::DataLossError;
using tierlib::DType;
using tierlib::InvalidArgumentError;
using tierlib::Status;
using tierlib::StatusOr;
using tierlib::io::SafetensorsReader;
using tierlib::io::TensorEntry;

constexpr double kPi = 3.14159265358979323846;

// Two normal numbers by Box and Muller from one Philox block.
std::vector<double> DrawNormal(std::int64_t count, double deviation, std::uint64_t seed, std::uint32_t row) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); i += 2) {
    const auto bits = Philox(seed, RandomStream::kWeights, row, i / 2);
    const double u = (static_cast<double>(bits[0]) + 0.5) * 0x1p-32;  // never 0
    const double angle = 2 * kPi * static_cast<double>(bits[1]) * 0x1p-32;
    const double radius = deviation * std::sqrt(-2 * std::log(u));
    values[i] = radius * std::cos(angle);
    if (i + 1 < values.size()) values[i + 1] = radius * std::sin(angle);
  }
  return values;
}

// Where element `index` of a tensor lies: "[3, 17]".
std::string Position(const std::vector<std::int64_t>& sizes, std::int64_t index) {
  std::vector<std::int64_t> position(sizes.size());
  for (std::size_t dim = sizes.size(); dim-- > 0;) {
    position[dim] = index % sizes[dim];
    index /= sizes[dim];
  }
  return SizesText(position);
}

Status CheckSizes(const TensorEntry& entry, const std::string& path, const std::vector<std::int64_t>& sizes) {
  if (entry.sizes == sizes) return tierlib::OkStatus();
  return InvalidArgumentError(path + ": tensor " + entry.name + " is " + SizesText(entry.sizes) + ", the model needs " +
                              SizesText(sizes) + " (--layers, --heads, --width, --context and the text decide)");
}

// The values in `dtype`. DataLoss where one is not finite there, with its position.
StatusOr<HostWeight> Converted(const std::vector<double>& values, const std::string& path, const std::string& name,
                               const std::vector<std::int64_t>& sizes, DType dtype) {
  HostWeight weight{dtype, WriteFloats(values, dtype)};
  const std::vector<double> kept = ReadFloats(weight.bytes.data(), dtype, static_cast<std::int64_t>(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(kept[i])) continue;
    const std::string at = Position(sizes, static_cast<std::int64_t>(i));
    const std::string what = std::isnan(values[i])   ? "is NaN"
                             : std::isinf(values[i]) ? "is infinite"
                                                     : std::string("does not fit into ") + tierlib::DTypeName(dtype);
    return DataLossError(path + ": tensor " + name + " " + what + " at " + at);
  }
  return weight;
}

StatusOr<HostWeight> ReadConverted(const SafetensorsReader& reader, const std::string& path, const WeightSpec& spec,
                                   DType dtype) {
  TIERLIB_ASSIGN_OR_RETURN(const TensorEntry entry, reader.Find(spec.name));
  TIERLIB_RETURN_IF_ERROR(CheckSizes(entry, path, spec.sizes));
  if (!tierlib::IsFloat(entry.dtype)) {
    return InvalidArgumentError(path + ": tensor " + spec.name + " is of " + tierlib::DTypeName(entry.dtype) +
                                ", a float type is needed");
  }
  return Converted(ReadFloats(reader.Data(entry), entry.dtype, spec.elements()), path, spec.name, spec.sizes, dtype);
}

// The number N of a name "h.N. ...", or -1.
std::int64_t LayerOf(const std::string& name) {
  if (name.rfind("h.", 0) != 0) return -1;
  char* end = nullptr;
  const long long layer = std::strtoll(name.c_str() + 2, &end, 10);
  return end != name.c_str() + 2 && *end == '.' ? layer : -1;
}

// nanoGPT's causal mask, which its older files carry: [1, 1, T, T] beside the weights of attention.
bool IsMask(const TensorEntry& entry) {
  const std::string end = ".attn.bias";
  return LayerOf(entry.name) >= 0 && entry.sizes.size() == 4 && entry.name.size() > end.size() &&
         entry.name.compare(entry.name.size() - end.size(), end.size(), end) == 0;
}

// Of a checkpoint of this program.
bool IsTrainingState(const std::string& name) { return name.rfind("optimizer.", 0) == 0 || name.rfind("dkm.", 0) == 0; }

// Nothing of the file may be left unread that could belong to the model: it would be another model.
Status CheckNothingMissed(const SafetensorsReader& reader, const std::string& path, const ModelShape& shape,
                          const std::vector<WeightSpec>& specs) {
  std::set<std::string> known;
  for (const WeightSpec& spec : specs) known.insert(spec.name);
  for (const TensorEntry& entry : reader.tensors()) {
    if (known.count(entry.name) != 0 || IsMask(entry) || IsTrainingState(entry.name)) continue;
    if (LayerOf(entry.name) >= shape.layers) {
      return InvalidArgumentError(path + ": has " + entry.name + ", so more layers than --layers " +
                                  std::to_string(shape.layers));
    }
    if (entry.name != "lm_head.weight") {
      return InvalidArgumentError(path + ": has " + entry.name + ", which this model has not (it has no biases)");
    }
    const StatusOr<TensorEntry> wte = reader.Find("wte.weight");
    if (!wte.ok() || wte->bytes != entry.bytes ||
        std::memcmp(reader.Data(entry), reader.Data(*wte), entry.bytes) != 0) {
      return InvalidArgumentError(path + ": lm_head.weight differs from wte.weight; the model's head is tied");
    }
  }
  return tierlib::OkStatus();
}

std::vector<WeightSpec> LlamaWeightsOf(const llama::Shape& shape, double deviation, double projection) {
  std::vector<WeightSpec> specs;
  for (llama::WeightSpec& each : llama::WeightsOf(shape)) {
    const bool matrix = each.sizes.size() == 2;
    specs.push_back({std::move(each.name), std::move(each.sizes), matrix ? deviation : 0, false});
  }
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    for (const auto weight : {llama::kQueries, llama::kKeys, llama::kValues, llama::kAttentionOut, llama::kGate,
                              llama::kUp, llama::kDown}) {
      WeightSpec& spec = specs[llama::Position(layer, weight)];
      spec.block_matrix = true;
      if (weight == llama::kAttentionOut || weight == llama::kDown) spec.deviation = projection;
    }
  }
  return specs;
}

}  // namespace

std::int64_t WeightSpec::elements() const {
  std::int64_t elements = 1;
  for (const std::int64_t size : sizes) elements *= size;
  return elements;
}

std::string SizesText(const std::vector<std::int64_t>& sizes) {
  std::string text = "[";
  for (const std::int64_t size : sizes) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

std::vector<WeightSpec> WeightsOf(const ModelShape& shape) {
  constexpr double kDeviation = 0.02;
  const double projection =
      kDeviation / std::sqrt(2.0 * static_cast<double>(shape.layers));  // into the residual stream
  if (shape.llama) return LlamaWeightsOf(LlamaShapeOf(shape), kDeviation, projection);
  const std::int64_t c = shape.width;
  std::vector<WeightSpec> specs = {{"wte.weight", {shape.vocabulary, c}, kDeviation, false},
                                   {"wpe.weight", {shape.context, c}, kDeviation, false}};
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const std::string h = "h." + std::to_string(layer) + ".";
    specs.push_back({h + "ln_1.weight", {c}, 0, false});
    specs.push_back({h + "attn.c_attn.weight", {3 * c, c}, kDeviation, true});
    specs.push_back({h + "attn.c_proj.weight", {c, c}, projection, true});
    specs.push_back({h + "ln_2.weight", {c}, 0, false});
    specs.push_back({h + "mlp.c_fc.weight", {4 * c, c}, kDeviation, true});
    specs.push_back({h + "mlp.c_proj.weight", {c, 4 * c}, projection, true});
  }
  specs.push_back({"ln_f.weight", {c}, 0, false});
  return specs;
}

std::uint64_t ParameterCount(const ModelShape& shape) {
  std::uint64_t count = 0;
  for (const WeightSpec& spec : WeightsOf(shape)) count += static_cast<std::uint64_t>(spec.elements());
  return count;
}

Status CheckParameterCount(const ModelShape& shape) {
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 36;
  const std::uint64_t count = ParameterCount(shape);
  if (count <= kLargest) return tierlib::OkStatus();
  return InvalidArgumentError("--layers, --width and --context make a model of " + std::to_string(count) +
                              " parameters; at most " + std::to_string(kLargest) + " can be trained");
}

HostWeights DrawWeights(const ModelShape& shape, DType dtype, std::uint64_t seed) {
  HostWeights weights;
  std::uint32_t row = 0;
  for (const WeightSpec& spec : WeightsOf(shape)) {
    const std::vector<double> values = spec.deviation == 0
                                           ? std::vector<double>(static_cast<std::size_t>(spec.elements()), 1.0)
                                           : DrawNormal(spec.elements(), spec.deviation, seed, row);
    weights.push_back({dtype, WriteFloats(values, dtype)});
    ++row;
  }
  return weights;
}

StatusOr<HostWeights> LoadWeights(const std::string& path, const ModelShape& shape, DType dtype) {
  TIERLIB_ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::Open(path));
  HostWeights weights;
  const std::vector<WeightSpec> specs = WeightsOf(shape);
  for (const WeightSpec& spec : specs) {
    TIERLIB_ASSIGN_OR_RETURN(HostWeight weight, ReadConverted(reader, path, spec, dtype));
    weights.push_back(std::move(weight));
  }
  TIERLIB_RETURN_IF_ERROR(CheckNothingMissed(reader, path, shape, specs));
  return weights;
}

StatusOr<HostWeights> LoadLlamaWeights(const std::string& path, DType dtype) {
  TIERLIB_ASSIGN_OR_RETURN(llama::Model model, llama::ReadModel(path));
  model = llama::InHalves(std::move(model));
  const std::vector<llama::WeightSpec> specs = llama::WeightsOf(model.shape);
  HostWeights weights;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const std::vector<double> values(model.weights[i].begin(), model.weights[i].end());
    TIERLIB_ASSIGN_OR_RETURN(HostWeight weight, Converted(values, path, specs[i].name, specs[i].sizes, dtype));
    weights.push_back(std::move(weight));
  }
  return weights;
}

}  // namespace train_lm
