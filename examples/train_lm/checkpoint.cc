#include "train_lm/checkpoint.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "llama/float_convert.h"
#include "tierlib/io/safetensors.h"
#include "train_lm/options.h"
#include "train_lm/text.h"

namespace train_lm {
namespace {

using llama::ReadFloats;
using tierlib::DataLossError;
using tierlib::DType;
using tierlib::Status;
using tierlib::StatusOr;
using tierlib::io::SafetensorsReader;
using tierlib::io::TensorEntry;
using Json = nlohmann::json;

constexpr char kMetadata[] = "train_lm";  // one JSON text under this key
constexpr int kVersion = 1;
constexpr char kOptimizer[] = "optimizer.";
constexpr char kDkm[] = "dkm.";
constexpr char kCentroids[] = ".centroids";
constexpr char kChannelScales[] = ".channel_scales";
constexpr char kGroupRows[] = ".group_rows";
// Options that checkpoints of before do not have: what they were made with is the default.
constexpr const char* kLaterOptions[] = {"group-rows", "per-channel-scale", "attention-floor", "prune-threshold"};

bool StartsWith(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

// Bits of a double, exactly.
std::string Hexadecimal(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%a", value);
  return text;
}

std::optional<double> FromHexadecimal(const Json& json) {
  if (!json.is_string()) return std::nullopt;
  const std::string& text = json.get_ref<const std::string&>();
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value)) return std::nullopt;
  return value;
}

// Metadata has this many levels of objects; what nests deeper is dropped when read, as others may have written it.
constexpr int kDepth = 2;

// The field of an object; null where it is missing.
const Json& Field(const Json& object, const char* name) {
  static const Json kMissing;
  const auto found = object.find(name);
  return found == object.end() ? kMissing : *found;
}

// The metadata, checked for the kinds of its fields.
StatusOr<Json> ReadMetadata(const SafetensorsReader& reader, const std::string& path) {
  const auto found = reader.metadata().find(kMetadata);
  if (found == reader.metadata().end()) {
    return DataLossError(path + ": is not a checkpoint of train_lm (for plain weights use --init)");
  }
  const auto shallow = [](int depth, Json::parse_event_t, const Json&) { return depth <= kDepth; };
  Json json = Json::parse(found->second, shallow, /*allow_exceptions=*/false);
  const bool whole = json.is_object() && Field(json, "version") == kVersion &&
                     Field(json, "step").is_number_unsigned() && Field(json, "text").is_number_unsigned() &&
                     Field(json, "options").is_object() && Field(json, "tau").is_object() &&
                     FromHexadecimal(Field(json, "val_loss_start")).has_value();
  if (!whole) return DataLossError(path + ": the checkpoint's metadata is damaged or of another version of train_lm");
  return json;
}

std::vector<float> Floats(const SafetensorsReader& reader, const TensorEntry& entry) {
  std::vector<float> floats(entry.bytes / sizeof(float));
  if (!floats.empty()) std::memcpy(floats.data(), reader.Data(entry), floats.size() * sizeof(float));
  return floats;
}

Checkpoint::Entry Copy(const SafetensorsReader& reader, const TensorEntry& entry) {
  const char* data = static_cast<const char*>(reader.Data(entry));
  return {entry.name, entry.dtype, entry.sizes, std::vector<char>(data, data + entry.bytes)};
}

// NAME of "dkm.NAME" and then `end`; empty where it is another name.
std::string WeightOf(const std::string& name, const std::string& end) {
  const std::size_t start = std::strlen(kDkm);
  const bool named = name.size() > start + end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  return named ? name.substr(start, name.size() - start - end.size()) : "";
}

Status ReadTensors(const SafetensorsReader& reader, const std::string& path, Checkpoint& checkpoint) {
  for (const TensorEntry& entry : reader.tensors()) {
    if (StartsWith(entry.name, kOptimizer)) {
      checkpoint.optimizer.push_back(Copy(reader, entry));
    } else if (StartsWith(entry.name, kDkm)) {
      const std::string weight = WeightOf(entry.name, kCentroids), scaled = WeightOf(entry.name, kChannelScales);
      if ((weight.empty() && scaled.empty()) || entry.dtype != DType::kF32) {
        return DataLossError(path + ": tensor " + entry.name + " is neither centroids nor scales of channels");
      }
      (weight.empty() ? checkpoint.channel_scales[scaled] : checkpoint.centroids[weight]) = Floats(reader, entry);
    }
  }
  return tierlib::OkStatus();
}

Status CheckFinite(const Checkpoint::Entry& entry, const std::string& path) {
  std::int64_t elements = 1;
  for (const std::int64_t size : entry.sizes) elements *= size;
  for (const double value : ReadFloats(entry.bytes.data(), entry.dtype, elements)) {
    if (std::isfinite(value)) continue;
    return tierlib::FailedPreconditionError(path + ": not written, " + entry.name +
                                            " is no longer finite; a lower --lr may help");
  }
  return tierlib::OkStatus();
}

}  // namespace

Status WriteCheckpoint(const std::string& path, const Checkpoint& checkpoint, const Options& options,
                       const Text& text) {
  Json tau = Json::object();
  for (const auto& [name, value] : checkpoint.tau) tau[name] = Hexadecimal(value);
  const Json metadata = {{"version", kVersion},
                         {"step", checkpoint.step},
                         {"text", text.fingerprint},
                         {"options", DecidingOptions(options)},
                         {"tau", tau},
                         {"val_loss_start", Hexadecimal(checkpoint.val_loss_start)}};
  std::vector<tierlib::io::TensorToWrite> tensors;
  for (const auto* entries : {&checkpoint.weights, &checkpoint.optimizer}) {
    for (const Checkpoint::Entry& entry : *entries) {
      TIERLIB_RETURN_IF_ERROR(CheckFinite(entry, path));
      tensors.push_back({entry.name, entry.dtype, entry.sizes, entry.bytes.data()});
    }
  }
  std::map<std::string, std::string> texts = {{kMetadata, metadata.dump()}};
  for (const auto& [name, values] : checkpoint.centroids) {
    std::vector<std::int64_t> sizes = {static_cast<std::int64_t>(values.size())};
    if (options.group_rows > 0) {
      const std::int64_t clusters = std::int64_t{1} << options.bits;
      sizes = {sizes[0] / clusters, clusters};
      texts[kDkm + name + kGroupRows] = std::to_string(options.group_rows);
    }
    tensors.push_back({kDkm + name + kCentroids, DType::kF32, sizes, values.data()});
  }
  for (const auto& [name, values] : checkpoint.channel_scales) {
    tensors.push_back(
        {kDkm + name + kChannelScales, DType::kF32, {static_cast<std::int64_t>(values.size())}, values.data()});
  }
  return tierlib::io::WriteSafetensors(path, tensors, texts);
}

StatusOr<std::map<std::string, std::string>> CheckpointOptions(const std::string& path) {
  TIERLIB_ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::Open(path));
  TIERLIB_ASSIGN_OR_RETURN(const Json metadata, ReadMetadata(reader, path));
  const std::map<std::string, std::string> known = DecidingOptions(Options{});
  std::map<std::string, std::string> options;
  for (const auto& [name, value] : metadata["options"].items()) {
    if (known.count(name) != 0 && value.is_string()) options[name] = value.get<std::string>();
  }
  const std::size_t there = options.size();
  for (const char* later : kLaterOptions) {
    if (!metadata["options"].contains(later)) options[later] = known.at(later);
  }
  if (options.size() != known.size() || metadata["options"].size() != there) {
    return DataLossError(path + ": the checkpoint's options are damaged or of another version of train_lm");
  }
  return options;
}

StatusOr<Checkpoint> ReadCheckpoint(const std::string& path, const Options& options, const Text& text) {
  TIERLIB_ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::Open(path));
  TIERLIB_ASSIGN_OR_RETURN(const Json metadata, ReadMetadata(reader, path));
  if (metadata["text"].get<std::uint64_t>() != text.fingerprint) {
    return tierlib::FailedPreconditionError(path + ": the checkpoint was made with another text than " + options.data +
                                            ", or with other tokens (--tokenizer)");
  }
  Checkpoint checkpoint;
  checkpoint.step = metadata["step"].get<std::uint64_t>();
  checkpoint.val_loss_start = *FromHexadecimal(metadata["val_loss_start"]);
  if (checkpoint.step > static_cast<std::uint64_t>(options.steps)) {
    return DataLossError(path + ": the checkpoint is at step " + std::to_string(checkpoint.step) + " of " +
                         std::to_string(options.steps));
  }
  for (const auto& [name, value] : metadata["tau"].items()) {
    const std::optional<double> tau = FromHexadecimal(value);
    if (!tau.has_value()) return DataLossError(path + ": tau of " + name + " is damaged");
    checkpoint.tau[name] = *tau;
  }
  TIERLIB_RETURN_IF_ERROR(ReadTensors(reader, path, checkpoint));
  return checkpoint;
}

}  // namespace train_lm
