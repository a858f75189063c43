// SafetensorsReader: maps a file and checks its header before anything is handed out.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "io/errno_status.h"
#include "io/safetensors_header.h"
#include "tierlib/io/safetensors.h"

namespace tierlib::io {

// I1: every entry of `header` lies inside the `bytes` bytes mapped at `base`, after `data_begin`.
struct SafetensorsReader::State {
  std::string path;
  void* base = nullptr;
  std::uint64_t bytes = 0;
  std::uint64_t data_begin = 0;
  SafetensorsHeader header;
  std::unordered_map<std::string, std::size_t> index;

  ~State() {
    if (base != nullptr) munmap(base, bytes);
  }

  Status Map() {
    // O_NONBLOCK: opening a pipe that nobody writes to returns, and is refused below.
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return ErrnoStatus(errno, path, "cannot be opened");
    const Status status = MapDescriptor(fd);
    close(fd);  // the mapping stays
    return status;
  }

  Status MapDescriptor(int fd) {
    struct stat info;
    if (fstat(fd, &info) != 0) return ErrnoStatus(errno, path, "cannot be read");
    if (!S_ISREG(info.st_mode)) return InvalidArgumentError(Printable(path) + ": is not a regular file");
    bytes = static_cast<std::uint64_t>(info.st_size);
    if (bytes < sizeof(std::uint64_t)) {
      return DataLossError(Printable(path) + ": has " + std::to_string(bytes) +
                           " bytes, too few for a safetensors file");
    }
    void* address = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) return ErrnoStatus(errno, path, "cannot be mapped");
    base = address;
    return OkStatus();
  }

  Status ReadHeader() {
    const unsigned char* file = static_cast<const unsigned char*>(base);
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = (length << 8) | file[i];
    if (length > kLongestHeader) {
      return DataLossError(Printable(path) + ": the header is said to have " + std::to_string(length) +
                           " bytes, the format allows " + std::to_string(kLongestHeader));
    }
    if (length > bytes - sizeof length) {
      return DataLossError(Printable(path) + ": the header is said to have " + std::to_string(length) +
                           " bytes, the file has " + std::to_string(bytes));
    }
    data_begin = sizeof length + length;
    StatusOr<SafetensorsHeader> parsed = ParseSafetensorsHeader(
        std::string_view(reinterpret_cast<const char*>(file) + sizeof length, length), bytes - data_begin);
    if (!parsed.ok()) {
      return Status(parsed.status().code(), Printable(path) + ": " + std::string(parsed.status().message()));
    }
    header = *std::move(parsed);
    for (std::size_t i = 0; i < header.tensors.size(); ++i) index.emplace(header.tensors[i].name, i);
    return OkStatus();
  }
};

SafetensorsReader::SafetensorsReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
SafetensorsReader::SafetensorsReader(SafetensorsReader&&) noexcept = default;
SafetensorsReader& SafetensorsReader::operator=(SafetensorsReader&&) noexcept = default;
SafetensorsReader::~SafetensorsReader() = default;

StatusOr<SafetensorsReader> SafetensorsReader::Open(const std::string& path) {
  if (path.find('\0') != std::string::npos) return InvalidArgumentError(Printable(path) + ": has a NUL character");
  auto state = std::make_unique<State>();
  state->path = path;
  TIERLIB_RETURN_IF_ERROR(state->Map());
  TIERLIB_RETURN_IF_ERROR(state->ReadHeader());
  return SafetensorsReader(std::move(state));
}

const std::vector<TensorEntry>& SafetensorsReader::tensors() const { return state_->header.tensors; }
const std::map<std::string, std::string>& SafetensorsReader::metadata() const { return state_->header.metadata; }

StatusOr<TensorEntry> SafetensorsReader::Find(const std::string& name) const {
  const auto found = state_->index.find(name);
  if (found == state_->index.end()) {
    return NotFoundError(Printable(state_->path) + ": has no tensor \"" + Printable(name) + "\"");
  }
  return state_->header.tensors[found->second];
}

const void* SafetensorsReader::Data(const TensorEntry& entry) const {
  return static_cast<const char*>(state_->base) + state_->data_begin + entry.offset;
}

}  // namespace tierlib::io
