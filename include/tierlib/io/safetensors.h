// Reading and writing safetensors files: an 8-byte little-endian header length, a JSON header, then the tensors' bytes.
#ifndef TIERLIB_IO_SAFETENSORS_H_
#define TIERLIB_IO_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tierlib/dtype.h"
#include "tierlib/status.h"

namespace tierlib::io {

struct TensorEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> sizes;
  std::uint64_t offset = 0;  // of the first byte, from the start of the data section
  std::uint64_t bytes = 0;
};

// An open file, checked whole before Open returns: header within the file, every offset inside and without overlap,
// every size equal to its shape's, no gap. Bytes are mapped, not read.
class SafetensorsReader {
 public:
  // NotFound, PermissionDenied, InvalidArgument (a directory, a pipe); DataLoss naming the file and what is wrong with
  // it; Unimplemented for a dtype of the format that tierlib does not have. REQUIRES: nobody shortens the file while it
  // is open.
  static StatusOr<SafetensorsReader> Open(const std::string& path);
  SafetensorsReader(SafetensorsReader&&) noexcept;
  SafetensorsReader& operator=(SafetensorsReader&&) noexcept;
  ~SafetensorsReader();

  const std::vector<TensorEntry>& tensors() const;             // in file order
  const std::map<std::string, std::string>& metadata() const;  // "__metadata__"
  // NotFound names the tensor and the file.
  StatusOr<TensorEntry> Find(const std::string& name) const;
  // Address of a tensor's first byte; valid for the life of the reader. Not aligned: copy with memcpy.
  const void* Data(const TensorEntry& entry) const;

 private:
  struct State;
  explicit SafetensorsReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> sizes;
  const void* data = nullptr;  // row-major
};
// Writes a file as atomic_file.h describes. InvalidArgument for names that are empty, reserved, twice there or not
// UTF-8.
Status WriteSafetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                        const std::map<std::string, std::string>& metadata);

}  // namespace tierlib::io

#endif  // TIERLIB_IO_SAFETENSORS_H_
