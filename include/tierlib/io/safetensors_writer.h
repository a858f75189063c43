// SafetensorsWriter: a safetensors file written piece by piece, for models that do not fit into memory.
#ifndef TIERLIB_IO_SAFETENSORS_WRITER_H_
#define TIERLIB_IO_SAFETENSORS_WRITER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tierlib/io/safetensors.h"
#include "tierlib/status.h"

namespace tierlib::io {

// Owns an AtomicFile (atomic_file.h): until Commit whatever stood at the path stands there, and without it nothing is
// left. Tensors lie in the file by the size of their elements, widest first, and in the order given among equals, so
// that every element is aligned whatever the shapes are, as readers that map the file want it. They may be written in
// any order and in any pieces.
//
// Thread-safety: one thread at a time.
class SafetensorsWriter {
 public:
  // `tensors`: name, dtype and sizes count. Takes the room on the disk for the whole file where the file system can do
  // that, so that a full disk is found now. InvalidArgument for names that are empty, reserved, twice there or not
  // UTF-8, and for sizes that overflow; errors of AtomicFile::Create; ResourceExhausted where the disk is full.
  static StatusOr<SafetensorsWriter> Create(const std::string& path, const std::vector<TensorEntry>& tensors,
                                            const std::map<std::string, std::string>& metadata);
  SafetensorsWriter(SafetensorsWriter&&) noexcept;
  SafetensorsWriter& operator=(SafetensorsWriter&&) noexcept;
  ~SafetensorsWriter();

  // Bytes [offset, offset + bytes) of a tensor. NotFound where it was not named in Create, OutOfRange where the bytes
  // are not inside it.
  Status Write(const std::string& name, std::uint64_t offset, const void* data, std::uint64_t bytes);
  // Puts the file in its place. FailedPrecondition names a tensor of which other than all its bytes were
  // written.
  Status Commit();
  // Of the whole file.
  std::uint64_t file_bytes() const;

 private:
  struct State;
  explicit SafetensorsWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tierlib::io

#endif  // TIERLIB_IO_SAFETENSORS_WRITER_H_
