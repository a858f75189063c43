// AtomicFile: replaces a file as a whole. Whoever opens the path sees what stood there before or all of what was
// written, also after a crash; on any error what stood there is untouched and nothing is left beside it.
#ifndef TIERLIB_IO_ATOMIC_FILE_H_
#define TIERLIB_IO_ATOMIC_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "tierlib/status.h"

namespace tierlib::io {

// Owns a temporary file beside the target until Commit renames it or the destructor removes it. A symbolic link at
// `path` is followed; permissions of an existing target are kept, those of a new one follow the umask.
//
// Thread-safety: one thread at a time. Processes may replace the same path at once: one of them wins, whole.
class AtomicFile {
 public:
  // Makes the temporary, so it fails where Commit could not work: NotFound (no such directory), PermissionDenied,
  // ResourceExhausted (disk full), InvalidArgument (the path names a directory or anything else that is not a regular
  // file).
  static StatusOr<AtomicFile> Create(const std::string& path);
  AtomicFile(AtomicFile&&) noexcept;
  AtomicFile& operator=(AtomicFile&&) noexcept;
  // Removes the temporary where Commit was not called or failed.
  ~AtomicFile();

  // Appends all of `bytes` bytes. After an error only destruction is of use.
  Status Append(const void* data, std::size_t bytes);
  // Writes all of `bytes` bytes at `offset` and leaves the place of Append alone. Errors as Append.
  Status WriteAt(std::uint64_t offset, const void* data, std::size_t bytes);
  // Makes the file `bytes` bytes long and takes the room for them on the disk, where the file system can do that.
  // ResourceExhausted where there is too little.
  Status Reserve(std::uint64_t bytes);
  // Syncs the bytes, puts the file in the target's place, and syncs the directory. At most once.
  Status Commit();

 private:
  struct State;
  explicit AtomicFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tierlib::io

#endif  // TIERLIB_IO_ATOMIC_FILE_H_
