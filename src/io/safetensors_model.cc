// SafetensorsModel: reads the index, opens its files, and holds what both say against each other.
#include "tierlib/io/safetensors_model.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "io/errno_status.h"

namespace tierlib::io {
namespace {

constexpr off_t kLongestIndex = 100'000'000;  // bytes; as the header of a file
constexpr int kIndexDepth = 2;                // of the objects that are looked at

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

StatusOr<std::string> ReadText(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, path, "cannot be opened");
  if (!S_ISREG(info.st_mode)) return InvalidArgumentError(Printable(path) + ": is not a regular file");
  if (info.st_size > kLongestIndex) return DataLossError(Printable(path) + ": is too long for an index of shards");
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  if (!file.read(text.data(), info.st_size)) return ErrnoStatus(errno, path, "cannot be read");
  return text;
}

// Tensor -> file. What nests deeper than the map is dropped by the parser, so that depth costs no stack.
StatusOr<std::map<std::string, std::string>> ReadWeightMap(const std::string& path) {
  TIERLIB_ASSIGN_OR_RETURN(const std::string text, ReadText(path));
  const auto shallow = [](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) {
    return depth <= kIndexDepth;
  };
  const nlohmann::json json = nlohmann::json::parse(text, shallow, /*allow_exceptions=*/false);
  const auto found = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || found == json.end() || !found->is_object() || found->empty()) {
    return DataLossError(Printable(path) + ": is not an index of shards: it needs {\"weight_map\": {tensor: file}}");
  }
  std::map<std::string, std::string> map;
  for (const auto& [tensor, file] : found->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos) {
      return DataLossError(Printable(path) + ": tensor \"" + Printable(tensor) +
                           "\" should name a file that lies beside the index");
    }
    map.emplace(tensor, name);
  }
  return map;
}

}  // namespace

// I1: every tensor's `file` is an index into `readers`, which has its entry.
struct SafetensorsModel::State {
  std::vector<SafetensorsReader> readers;
  std::vector<Tensor> tensors;
  std::map<std::string, std::string> metadata;
  std::uint64_t bytes = 0;

  Status Add(const std::string& path) {
    TIERLIB_ASSIGN_OR_RETURN(SafetensorsReader reader, SafetensorsReader::Open(path));
    for (const TensorEntry& entry : reader.tensors()) {
      tensors.push_back({entry, static_cast<int>(readers.size())});
      bytes += entry.bytes;
    }
    metadata.insert(reader.metadata().begin(), reader.metadata().end());
    readers.push_back(std::move(reader));
    return OkStatus();
  }

  Status AddIndex(const std::string& path) {
    TIERLIB_ASSIGN_OR_RETURN(const auto map, ReadWeightMap(path));
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
    std::map<std::string, std::size_t> files;  // in order of name, so that shards are read in order
    for (const auto& [tensor, file] : map) ++files[file];
    for (const auto& [file, mapped] : files) {
      const std::size_t first = tensors.size();
      TIERLIB_RETURN_IF_ERROR(Add(folder + file));
      for (std::size_t i = first; i < tensors.size(); ++i) {
        const auto found = map.find(tensors[i].entry.name);
        if (found != map.end() && found->second == file) continue;
        return DataLossError(Printable(path) + ": does not say that tensor \"" + Printable(tensors[i].entry.name) +
                             "\" is in " + Printable(file));
      }
      if (tensors.size() - first != mapped) return MissingTensor(path, map, file, first);
    }
    return OkStatus();
  }

  // Names a tensor that the index has and `file` lacks.
  Status MissingTensor(const std::string& path, const std::map<std::string, std::string>& map, const std::string& file,
                       std::size_t first) const {
    std::unordered_set<std::string> there;
    for (std::size_t i = first; i < tensors.size(); ++i) there.insert(tensors[i].entry.name);
    for (const auto& [tensor, of] : map) {
      if (of == file && there.count(tensor) == 0) {
        return DataLossError(Printable(path) + ": says that tensor \"" + Printable(tensor) + "\" is in " +
                             Printable(file) + ", which lacks it");
      }
    }
    return OkStatus();
  }

  // `advice` for the whole pages that the tensor's bytes touch (`all`), or that are its alone.
  void Advise(const Tensor& tensor, int advice, bool all) const {
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto data =
        reinterpret_cast<std::uintptr_t>(readers[static_cast<std::size_t>(tensor.file)].Data(tensor.entry));
    const std::uintptr_t begin = (all ? data : data + page - 1) / page * page;
    const std::uintptr_t end = (data + tensor.entry.bytes + (all ? page - 1 : 0)) / page * page;
    if (tensor.entry.bytes == 0 || end <= begin) return;
    (void)madvise(reinterpret_cast<void*>(begin), end - begin, advice);  // only advice: nothing depends on it
  }
};

SafetensorsModel::SafetensorsModel(std::unique_ptr<State> state) : state_(std::move(state)) {}
SafetensorsModel::SafetensorsModel(SafetensorsModel&&) noexcept = default;
SafetensorsModel& SafetensorsModel::operator=(SafetensorsModel&&) noexcept = default;
SafetensorsModel::~SafetensorsModel() = default;

StatusOr<SafetensorsModel> SafetensorsModel::Open(const std::string& path) {
  auto state = std::make_unique<State>();
  TIERLIB_RETURN_IF_ERROR(EndsWith(path, ".json") ? state->AddIndex(path) : state->Add(path));
  return SafetensorsModel(std::move(state));
}

const std::vector<SafetensorsModel::Tensor>& SafetensorsModel::tensors() const { return state_->tensors; }
const std::map<std::string, std::string>& SafetensorsModel::metadata() const { return state_->metadata; }
bool SafetensorsModel::MetadataAgrees(const std::string& key) const {
  const auto first = state_->metadata.find(key);
  return std::all_of(state_->readers.begin(), state_->readers.end(), [&](const SafetensorsReader& reader) {
    const auto found = reader.metadata().find(key);
    return found == reader.metadata().end() || found->second == first->second;
  });
}
int SafetensorsModel::files() const { return static_cast<int>(state_->readers.size()); }
std::uint64_t SafetensorsModel::bytes() const { return state_->bytes; }

const void* SafetensorsModel::Data(const Tensor& tensor) const {
  return state_->readers[static_cast<std::size_t>(tensor.file)].Data(tensor.entry);
}
void SafetensorsModel::Prefetch(const Tensor& tensor) const { state_->Advise(tensor, MADV_WILLNEED, true); }
void SafetensorsModel::Release(const Tensor& tensor) const { state_->Advise(tensor, MADV_DONTNEED, false); }

}  // namespace tierlib::io
