#include "llama/hugging_face_files.h"

#include <sys/stat.h>

#include <cstdio>

#include "llama/float_convert.h"
#include "llama/model.h"

namespace llama {

using tierlib::DType;
using tierlib::InvalidArgumentError;
using tierlib::Status;
using tierlib::StatusOr;
using tierlib::io::TensorEntry;

namespace {

bool IsFolder(const std::string& path) {
  struct stat about = {};
  return stat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode);
}

bool IsThere(const std::string& path) {
  struct stat about = {};
  return stat(path.c_str(), &about) == 0;
}

std::string SizesText(const std::vector<std::int64_t>& sizes) {
  std::string text = "[";
  for (const std::int64_t size : sizes) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

}  // namespace

std::string ConfigPath(const std::string& path) {
  const std::string folder = IsFolder(path) ? path : path.substr(0, path.find_last_of('/') + 1);
  return folder + (folder.empty() || folder.back() == '/' ? "" : "/") + "config.json";
}

std::string WeightsPath(const std::string& path) {
  if (!IsFolder(path)) return path;
  const std::string folder = path + (path.back() == '/' ? "" : "/");
  const std::string index = folder + "model.safetensors.index.json";
  return IsThere(index) ? index : folder + "model.safetensors";
}

Status CheckSizes(const std::string& file, const WeightSpec& spec, const std::vector<std::int64_t>& sizes) {
  if (sizes == spec.sizes) return tierlib::OkStatus();
  return InvalidArgumentError(file + ": tensor " + spec.name + " is " + SizesText(sizes) + ", config.json asks for " +
                              SizesText(spec.sizes));
}

Status MissingWeight(const std::string& file, const WeightSpec& spec) {
  return InvalidArgumentError(file + ": tensor " + spec.name + " is missing");
}

StatusOr<std::vector<float>> ReadWeight(const std::string& file, const WeightSpec& spec, const TensorEntry& entry,
                                        const void* data) {
  TIERLIB_RETURN_IF_ERROR(CheckSizes(file, spec, entry.sizes));
  if (entry.dtype != DType::kF32 && entry.dtype != DType::kBF16 && entry.dtype != DType::kF16) {
    return InvalidArgumentError(file + ": tensor " + spec.name + " is of " + tierlib::DTypeName(entry.dtype) +
                                "; f32, bf16 or f16 is needed");
  }
  const std::vector<double> values = ReadFloats(data, entry.dtype, static_cast<std::int64_t>(spec.elements()));
  std::vector<float> weight(values.begin(), values.end());
  TIERLIB_RETURN_IF_ERROR(CheckFinite(weight, spec.name, file));
  return weight;
}

}  // namespace llama
