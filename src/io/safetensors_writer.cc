// Writing: one header for files written at once and piece by piece, tensors through an AtomicFile.
#include "tierlib/io/safetensors_writer.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

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

}  // namespace

StatusOr<std::string> MakeSafetensorsHeader(const std::string& path, std::vector<TensorEntry>& tensors,
                                            const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataName] = metadata;
  std::unordered_set<std::string> names;
  std::int64_t end = 0;
  for (TensorEntry& tensor : tensors) {
    TIERLIB_RETURN_IF_ERROR(CheckName(path, tensor.name, names));
    const StatusOr<std::uint64_t> bytes = TensorBytes(tensor.dtype, tensor.sizes);
    const std::int64_t begin = end;
    if (!bytes.ok() || !CheckedAdd(begin, static_cast<std::int64_t>(*bytes), &end)) {
      return InvalidArgumentError(Printable(path) + ": tensor \"" + Printable(tensor.name) +
                                  "\" has sizes that are negative or overflow");
    }
    tensor.offset = static_cast<std::uint64_t>(begin);
    tensor.bytes = *bytes;
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
  std::string length(sizeof(std::uint64_t), '\0');
  for (std::size_t i = 0; i < length.size(); ++i) length[i] = static_cast<char>(text.size() >> (8 * i));
  return length + text;
}

Status WriteSafetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::vector<TensorEntry> entries;
  entries.reserve(tensors.size());
  for (const TensorToWrite& tensor : tensors) entries.push_back({tensor.name, tensor.dtype, tensor.sizes});
  TIERLIB_ASSIGN_OR_RETURN(const std::string header, MakeSafetensorsHeader(path, entries, metadata));
  TIERLIB_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  TIERLIB_RETURN_IF_ERROR(file.Append(header.data(), header.size()));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    TIERLIB_RETURN_IF_ERROR(file.Append(tensors[i].data, entries[i].bytes));
  }
  return file.Commit();
}

// I1: `tensors` are laid out as the header says, which fills the file's first `data_begin` bytes.
struct SafetensorsWriter::State {
  struct Tensor {
    TensorEntry entry;
    std::uint64_t written = 0;  // bytes, wherever they lie in it
  };
  std::string path;
  std::optional<AtomicFile> file;
  std::uint64_t data_begin = 0;
  std::uint64_t file_bytes = 0;
  std::unordered_map<std::string, Tensor> tensors;
};

SafetensorsWriter::SafetensorsWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter& SafetensorsWriter::operator=(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

StatusOr<SafetensorsWriter> SafetensorsWriter::Create(const std::string& path, const std::vector<TensorEntry>& tensors,
                                                      const std::map<std::string, std::string>& metadata) {
  std::vector<TensorEntry> order = tensors;
  std::stable_sort(order.begin(), order.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return ElementBytes(a.dtype) > ElementBytes(b.dtype);
  });
  TIERLIB_ASSIGN_OR_RETURN(const std::string header, MakeSafetensorsHeader(path, order, metadata));
  TIERLIB_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  auto state = std::make_unique<State>();
  state->path = path;
  state->data_begin = header.size();
  state->file_bytes = header.size() + (order.empty() ? 0 : order.back().offset + order.back().bytes);
  for (TensorEntry& entry : order) {
    std::string name = entry.name;
    state->tensors.emplace(std::move(name), State::Tensor{std::move(entry)});
  }
  TIERLIB_RETURN_IF_ERROR(file.Reserve(state->file_bytes));
  TIERLIB_RETURN_IF_ERROR(file.WriteAt(0, header.data(), header.size()));
  state->file.emplace(std::move(file));
  return SafetensorsWriter(std::move(state));
}

Status SafetensorsWriter::Write(const std::string& name, std::uint64_t offset, const void* data, std::uint64_t bytes) {
  const auto found = state_->tensors.find(name);
  const std::string who = Printable(state_->path) + ": tensor \"" + Printable(name) + "\"";
  if (found == state_->tensors.end()) return NotFoundError(who + " was not named when the file was made");
  State::Tensor& tensor = found->second;
  if (offset > tensor.entry.bytes || bytes > tensor.entry.bytes - offset) {
    return Status(StatusCode::kOutOfRange, who + " has " + std::to_string(tensor.entry.bytes) + " bytes, not " +
                                               std::to_string(bytes) + " from " + std::to_string(offset) + " on");
  }
  TIERLIB_RETURN_IF_ERROR(state_->file->WriteAt(state_->data_begin + tensor.entry.offset + offset, data, bytes));
  tensor.written += bytes;
  return OkStatus();
}

Status SafetensorsWriter::Commit() {
  for (const auto& [name, tensor] : state_->tensors) {
    if (tensor.written == tensor.entry.bytes) continue;
    return FailedPreconditionError(Printable(state_->path) + ": tensor \"" + Printable(name) + "\" got " +
                                   std::to_string(tensor.written) + " of " + std::to_string(tensor.entry.bytes) +
                                   " bytes");
  }
  return state_->file->Commit();
}

std::uint64_t SafetensorsWriter::file_bytes() const { return state_->file_bytes; }

}  // namespace tierlib::io
