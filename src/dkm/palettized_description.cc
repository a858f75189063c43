#include "dkm/palettized_description.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "io/errno_status.h"

namespace tierlib::dkm {
namespace {

using Json = nlohmann::json;

constexpr int kDepth = 4;  // of {tensors: {NAME: {shape: [...]}}}; what nests deeper is dropped as it is read
constexpr std::size_t kLargestRank = 64;

struct NamedType {
  const char* name;  // as safetensors has it
  DType dtype;
};
constexpr NamedType kTypes[] = {{"F32", DType::kF32}, {"BF16", DType::kBF16}, {"F16", DType::kF16}};

const Json& Field(const Json& object, const char* name) {
  static const Json& missing = *new Json;
  const auto found = object.find(name);
  return found == object.end() ? missing : *found;
}

// A whole number from `least` to `most`, or -1.
std::int64_t Number(const Json& json, std::int64_t least, std::int64_t most) {
  if (!json.is_number_unsigned()) return -1;
  const auto value = json.get<std::uint64_t>();
  if (value < static_cast<std::uint64_t>(least) || value > static_cast<std::uint64_t>(most)) return -1;
  return static_cast<std::int64_t>(value);
}

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

StatusOr<PalettizedTensor> ParseTensor(const std::string& name, const Json& json) {
  const auto wrong = [&](const std::string& what) {
    return DataLossError("palettized tensor \"" + io::Printable(name) + "\" " + what);
  };
  if (!json.is_object()) return wrong("is not described by an object");
  PalettizedTensor tensor;
  tensor.name = name;
  const Json& dtype = Field(json, "dtype");
  const NamedType* type = nullptr;
  for (const NamedType& known : kTypes) {
    if (dtype.is_string() && dtype.get_ref<const std::string&>() == known.name) type = &known;
  }
  if (type == nullptr) return wrong("should have the dtype F32, BF16 or F16");
  tensor.dtype = type->dtype;
  const Json& shape = Field(json, "shape");
  if (!shape.is_array() || shape.size() > kLargestRank) return wrong("should have a shape of at most 64 sizes");
  for (const Json& size : shape) {
    tensor.sizes.push_back(Number(size, 0, kMost));
    if (tensor.sizes.back() < 0) return wrong("has a size that is not a whole number");
  }
  const std::int64_t bits = Number(Field(json, "bits"), 1, 8);
  const std::int64_t group_rows = Number(Field(json, "group_rows"), 1, kMost);
  if (bits < 0) return wrong("should have 1 to 8 bits");
  if (group_rows < 0) return wrong("should have a group_rows of at least 1");
  const StatusOr<PaletteShape> made = MakePaletteShape(tensor.sizes, static_cast<int>(bits), group_rows);
  if (!made.ok()) return wrong("cannot be: " + std::string(made.status().message()));
  tensor.shape = *made;
  return tensor;
}

}  // namespace

io::TensorEntry PalettizedTensor::Indices() const {
  return {name + kIndicesSuffix, DType::kU8, {shape.rows, shape.row_bytes()}};
}

io::TensorEntry PalettizedTensor::Table() const {
  return {name + kTableSuffix, table_dtype, {shape.groups(), shape.clusters()}};
}

std::string DescribePalettized(const std::vector<PalettizedTensor>& tensors) {
  Json described = Json::object();
  for (const PalettizedTensor& tensor : tensors) {
    const char* dtype = "?";
    for (const NamedType& known : kTypes) {
      if (known.dtype == tensor.dtype) dtype = known.name;
    }
    described[tensor.name] = {{"dtype", dtype},
                              {"shape", tensor.sizes},
                              {"bits", tensor.shape.bits},
                              {"group_rows", tensor.shape.group_rows}};
  }
  const Json whole = {{"version", kPalettizedVersion}, {"tensors", std::move(described)}};
  return whole.dump(-1, ' ', false, Json::error_handler_t::replace);  // names that are not UTF-8: the writer refuses
}

StatusOr<std::vector<PalettizedTensor>> ParsePalettized(const std::string& text) {
  const auto shallow = [](int depth, Json::parse_event_t, const Json&) { return depth <= kDepth; };
  const Json json = Json::parse(text, shallow, /*allow_exceptions=*/false);
  if (!json.is_object()) return DataLossError(std::string(kPalettizedKey) + " of the metadata is not a JSON object");
  const std::int64_t version = Number(Field(json, "version"), 1, kMost);
  if (version > kPalettizedVersion) {
    return UnimplementedError("the palettes are in version " + std::to_string(version) +
                              " of the format, this tierlib knows version " + std::to_string(kPalettizedVersion));
  }
  const Json& described = Field(json, "tensors");
  if (version < 0 || !described.is_object()) {
    return DataLossError(std::string(kPalettizedKey) + " of the metadata lacks a version or its tensors");
  }
  std::vector<PalettizedTensor> tensors;
  for (const auto& [name, value] : described.items()) {
    TIERLIB_ASSIGN_OR_RETURN(PalettizedTensor tensor, ParseTensor(name, value));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace tierlib::dkm
