// TraceFile: the file under a Recorder. Owns the descriptor, the lock on it and the mappings; knows chunks, not
// records.
//
// The file is mapped piece by piece as it grows. Each piece is reserved with posix_fallocate first, so that a full disk
// is an error here and not a SIGBUS at a store; where all chunks of a piece are sealed it is unmapped, so that a long
// trace does not hold memory.
//
// Thread-safety: none; the Recorder calls it with its mutex held.
#ifndef TIERLIB_SRC_TRACE_TRACE_FILE_H_
#define TIERLIB_SRC_TRACE_TRACE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tierlib/status.h"
#include "trace/format.h"

namespace tierlib::trace {

// `path` with %p replaced by the process id, %r by `rank` and %% by %. InvalidArgument where another letter follows.
StatusOr<std::string> ExpandTracePath(const std::string& path, int rank);

class TraceFile {
 public:
  struct Chunk {
    unsigned char* base = nullptr;  // null: the file cannot grow, see failure()
    std::uint64_t index = 0;
  };

  // Creates the file with a zeroed header. Replaces a trace that nobody is writing; everything else at `path`, links
  // included, is left alone. `limit_bytes`: 0, or the largest size of the file.
  static StatusOr<std::unique_ptr<TraceFile>> Create(const std::string& path, std::uint64_t limit_bytes);
  // Closes the descriptor and drops the mappings; the file keeps its size. The lock stays while a child made by fork
  // has a copy of the descriptor: see Unlock.
  ~TraceFile();
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  const std::string& path() const { return path_; }
  FileHeader& header() { return *header_; }

  // The next chunk, all zero and ready to be written without page faults.
  Chunk Claim();
  // Tells that nobody will touch a claimed chunk any more.
  void Retire(std::uint64_t index);
  std::uint64_t claimed() const { return claimed_; }
  // Cuts the file behind the claimed chunks.
  void Truncate();
  // Nobody will write to the file any more: another program may replace it. REQUIRES: not in a child made by fork,
  // which shares the lock with its parent.
  void Unlock();
  // Why Claim gave nothing.
  const std::string& failure() const { return failure_; }

 private:
  // A mapping of consecutive chunks.
  struct Piece {
    void* mapping = nullptr;  // null once unmapped
    std::size_t mapping_bytes = 0;
    unsigned char* base = nullptr;  // of the piece's first chunk
    std::uint64_t first_chunk = 0;
    std::uint32_t chunks = 0;
    std::uint32_t retired = 0;
  };

  TraceFile(std::string path, std::uint64_t limit_bytes);
  Status MapHeader();
  bool Grow(std::uint64_t chunks);
  int Reserve(std::uint64_t begin, std::uint64_t bytes);

  const std::string path_;
  const std::uint64_t limit_bytes_;
  int descriptor_ = -1;
  FileHeader* header_ = nullptr;
  std::size_t header_mapping_bytes_ = 0;
  std::vector<Piece> pieces_;  // in the order of their chunks
  std::uint64_t chunks_ = 0;   // that the file has room for
  std::uint64_t claimed_ = 0;  // handed out
  std::string failure_;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_TRACE_FILE_H_
