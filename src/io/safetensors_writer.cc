// WriteSafetensors: header and tensors through an AtomicFile.
#include <cstddef>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/checked_math.h"
#include "io/errno_status.h"
#include "io/safetensors_header.h"
#include "tierlib/io/atomic_file.h"
#include "tierlib/io/safetensors.h"

namespace tierlib::io {
namespace {

constexpr std::size_t kAlignment = 8;  // of the data section: readers that map the file find aligned elements

Status CheckName(const std::string& path, const std::string& name, std::unordered_set<std::string>& names) {
  const std::string tensor = Printable(path) + ": tensor name \"" + Printable(name) + "\"";
  if (name.empty() || name == kMetadataName) return InvalidArgumentError(tensor + " is empty or reserved");
  if (name.find('\0') != std::string::npos) return InvalidArgumentError(tensor + " has a NUL character");
  if (!names.insert(name).second) return InvalidArgumentError(tensor + " is there twice");
  return OkStatus();
}

// The padded header; `offset` bytes of data follow it.
StatusOr<std::string> MakeHeader(const std::string& path, const std::vector<TensorToWrite>& tensors,
                                 const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataName] = metadata;
  std::unordered_set<std::string> names;
  std::int64_t end = 0;
  for (const TensorToWrite& tensor : tensors) {
    TIERLIB_RETURN_IF_ERROR(CheckName(path, tensor.name, names));
    const StatusOr<std::uint64_t> bytes = TensorBytes(tensor.dtype, tensor.sizes);
    const std::int64_t begin = end;
    if (!bytes.ok() || !CheckedAdd(begin, static_cast<std::int64_t>(*bytes), &end)) {
      return InvalidArgumentError(Printable(path) + ": tensor \"" + Printable(tensor.name) +
                                  "\" has sizes that are negative or overflow");
    }
    header[tensor.name] = {
        {"dtype", SafetensorsName(tensor.dtype)}, {"shape", tensor.sizes}, {"data_offsets", {begin, end}}};
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {  // type_error 316
    return InvalidArgumentError(Printable(path) + ": a name or the metadata is not UTF-8");
  }
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  if (text.size() > kLongestHeader) {
    return InvalidArgumentError(Printable(path) + ": the header would have " + std::to_string(text.size()) +
                                " bytes, the format allows " + std::to_string(kLongestHeader));
  }
  return text;
}

}  // namespace

Status WriteSafetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  TIERLIB_ASSIGN_OR_RETURN(const std::string header, MakeHeader(path, tensors, metadata));
  TIERLIB_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  unsigned char length[sizeof(std::uint64_t)];
  for (std::size_t i = 0; i < sizeof length; ++i) length[i] = static_cast<unsigned char>(header.size() >> (8 * i));
  TIERLIB_RETURN_IF_ERROR(file.Append(length, sizeof length));
  TIERLIB_RETURN_IF_ERROR(file.Append(header.data(), header.size()));
  for (const TensorToWrite& tensor : tensors) {
    TIERLIB_ASSIGN_OR_RETURN(const std::uint64_t bytes, TensorBytes(tensor.dtype, tensor.sizes));
    TIERLIB_RETURN_IF_ERROR(file.Append(tensor.data, bytes));
  }
  return file.Commit();
}

}  // namespace tierlib::io
