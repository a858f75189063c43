// BlockStore: where column blocks are in a trace file. Owns the encoder, the chunk of blocks that is being filled, and
// for a flight recorder the chunks that are kept, of which it overwrites the oldest; and the index of all blocks.
//
// Thread-safety: none of its own; one thread at a time seals (Sealing's lock). The file is used under the file's mutex,
// which must not be held by the caller.
#ifndef TIERLIB_SRC_TRACE_BLOCK_STORE_H_
#define TIERLIB_SRC_TRACE_BLOCK_STORE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/types/span.h"
#include "base/mutex.h"
#include "trace/column_block.h"
#include "trace/trace_file.h"

namespace tierlib::trace {

class BlockStore {
 public:
  // `last_bytes`: 0, or how much of the newest blocks is kept (two chunks at least).
  BlockStore(TraceFile& file, Mutex& file_mutex, std::uint64_t last_bytes);

  // Writes records, times in nanoseconds, into the file. False where it has no room for them: then some may be there.
  bool Append(absl::Span<const Record> records, std::uint32_t lane, std::uint64_t first_record, ClockPair clock);
  // No more blocks come.
  void Finish();
  // What moved: offsets in the index follow.
  void Moved(const std::vector<TraceFile::Move>& moves);
  // The chunks of the index, ready to be written one behind the other; empty where there is none, or no
  // memory for it.
  std::vector<unsigned char> MakeIndex() const;

 private:
  struct BlockChunk {
    TraceFile::Chunk chunk;
    std::uint64_t records = 0;
    std::int64_t end_ns = 0;
    std::size_t blocks = 0;
  };

  bool AppendBlock(absl::Span<const unsigned char> block);
  bool NextChunk();
  TraceFile::Chunk OverwriteOldest();
  void CloseChunk();
  void AddToIndex(const IndexEntry& entry);

  TraceFile& file_;
  Mutex& file_mutex_;
  const std::size_t chunks_most_;  // 0: any number
  BlockEncoder encoder_;
  unsigned char* next_ = nullptr;  // in the last of chunks_; null: there is none that is open
  unsigned char* end_ = nullptr;
  std::uint32_t sequence_ = 0;
  std::deque<BlockChunk> chunks_;  // a flight recorder's: all that are kept, else the open one
  std::deque<IndexEntry> index_;
  bool index_is_whole_ = true;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_BLOCK_STORE_H_
