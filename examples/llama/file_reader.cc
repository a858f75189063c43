#include "llama/file_reader.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace llama {

using tierlib::Status;
using tierlib::StatusOr;

StatusOr<FileReader> FileReader::Open(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    const int error = errno;
    const std::string message = path + ": " + std::strerror(error);
    return error == ENOENT ? tierlib::NotFoundError(message) : tierlib::InvalidArgumentError(message);
  }
  struct stat about = {};
  FileReader reader(path, file, 0);
  if (fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode)) {
    return tierlib::InvalidArgumentError(path + ": is not a regular file");
  }
  reader.bytes_ = static_cast<std::uint64_t>(about.st_size);
  return reader;
}

Status FileReader::Read(void* to, std::size_t bytes) {
  if (bytes > left() || std::fread(to, 1, bytes, file_.get()) != bytes) {
    return tierlib::DataLossError(path_ + ": ends early: " + std::to_string(bytes) +
                                  " bytes were expected behind the first " + std::to_string(at_) + " of " +
                                  std::to_string(bytes_));
  }
  at_ += bytes;
  return tierlib::OkStatus();
}

}  // namespace llama
