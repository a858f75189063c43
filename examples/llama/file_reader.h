// Reading a file of known structure from its beginning, with errors that name it.
#ifndef LLAMA_FILE_READER_H_
#define LLAMA_FILE_READER_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "tierlib/status.h"

namespace llama {

class FileReader {
 public:
  // NotFound, or InvalidArgument with the system's words where it cannot be opened or is no regular file.
  static tierlib::StatusOr<FileReader> Open(const std::string& path);

  // The next `bytes` bytes. DataLoss where the file has fewer.
  tierlib::Status Read(void* to, std::size_t bytes);
  const std::string& path() const { return path_; }
  std::uint64_t bytes() const { return bytes_; }  // of the whole file, when it was opened
  std::uint64_t left() const { return bytes_ - at_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  FileReader(std::string path, std::FILE* file, std::uint64_t bytes) : path_(path), file_(file), bytes_(bytes) {}

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::uint64_t bytes_ = 0;
  std::uint64_t at_ = 0;
};

}  // namespace llama

#endif  // LLAMA_FILE_READER_H_
