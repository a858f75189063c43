// TraceFile: the file under a Recorder. Owns the descriptor, the lock on it and the mappings; knows chunks, not
// records.
//
// The file is mapped piece by piece as it grows. Each piece is reserved with posix_fallocate first, so that a full disk
// is an error here and not a SIGBUS at a store; where all chunks of a piece are retired it is unmapped, so that a long
// trace does not hold memory. Chunks that are given back are claimed again before the file grows.
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

// Opens a new file, readable by its owner alone, never through a link. An earlier trace at `path` that nobody is
// writing is removed; everything else is left alone and named in the error.
StatusOr<int> CreateFileForTrace(const std::string& path);

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

  // A chunk for records or texts, all zero and ready to be written without page faults. Of all but the first it leaves
  // one chunk for blocks, so that what is full can always be sealed, and sealing makes room where the file cannot grow.
  Chunk Claim();
  // One for blocks: that which was left, where the file cannot grow.
  Chunk ClaimForBlocks();
  // Where nothing is left to be sealed: that which was left for blocks.
  Chunk ClaimLast();
  // Tells that nobody will touch a claimed chunk any more, through its memory.
  void Retire(std::uint64_t index);
  // Claim may hand the chunk out again. REQUIRES: it is all zero again.
  void GiveBack(Chunk chunk);
  std::uint64_t claimed() const { return claimed_; }

  // At the end of the file's life, when no chunk is touched through its memory any more.
  struct Move {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
  };
  // Moves the last chunks to where chunks were given back, so that those in use are the first ones; says which went
  // where. Each is whole in one place at every moment. May stop early where the disk refuses, or
  // there is no memory.
  std::vector<Move> Compact();
  // Of the header and the chunks in use, the unused end of the last one not counted where it is sealed.
  std::uint64_t UsedBytes() const;
  // Cuts the file to `bytes`.
  void Truncate(std::uint64_t bytes);
  // Writes behind the end; false where that fails, or goes beyond the limit.
  bool Append(std::uint64_t offset, const void* data, std::size_t bytes);
  // Copies what the file holds, its first `bytes` bytes, to another one that is empty.
  Status CopyTo(int descriptor, std::uint64_t bytes) const;
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
  Chunk ClaimAny();
  bool Grow(std::uint64_t chunks);
  int Reserve(std::uint64_t begin, std::uint64_t bytes);
  bool CopyChunk(std::uint64_t from, std::uint64_t to);

  const std::string path_;
  const std::uint64_t limit_bytes_;
  int descriptor_ = -1;
  FileHeader* header_ = nullptr;
  std::size_t header_mapping_bytes_ = 0;
  std::vector<Piece> pieces_;  // in the order of their chunks
  std::uint64_t chunks_ = 0;   // that the file has room for
  std::uint64_t claimed_ = 0;  // handed out, at least once
  std::vector<Chunk> free_;    // of those: given back
  Chunk left_;                 // of those: left for blocks; none where its base is null
  std::string failure_;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_TRACE_FILE_H_
