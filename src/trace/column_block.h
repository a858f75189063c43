// Column blocks: the records of a full chunk, field by field, compressed. One block can be decoded by itself.
//
// The columns of n records, before compression: the sizes in bytes of the seven columns, 32 bits each, then
//   time     of each record, less that of the record before (of the first: less begin_ns), as a signed varint
//   event    a byte each
//   tag      a byte each
//   detail   a varint each
//   label    a varint each
//   subject  less that of the record before with the same event (0 before the first), as a signed varint
//   value    likewise
// A varint is a number in groups of 7 bits, lowest first, each but the last with its highest bit set, of at most ten
// bytes; a signed one has its sign in the lowest bit (0, -1, 1, -2 ... are 0, 1, 2, 3 ...). Differences are modulo
// 2^64.
//
// Thread-safety: none; a BlockEncoder has one user at a time.
#ifndef TIERLIB_SRC_TRACE_COLUMN_BLOCK_H_
#define TIERLIB_SRC_TRACE_COLUMN_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "trace/event.h"
#include "trace/format.h"

namespace tierlib::trace {

// The most that the columns of that many records take.
constexpr std::size_t ColumnBytesMost(std::size_t records) {
  return 7 * sizeof(std::uint32_t) + records * (10 + 1 + 1 + 3 + 5 + 10 + 10);
}

class BlockEncoder {
 public:
  BlockEncoder();
  ~BlockEncoder();
  BlockEncoder(const BlockEncoder&) = delete;
  BlockEncoder& operator=(const BlockEncoder&) = delete;

  // The block of 1 to kRecordsPerChunk records, times in nanoseconds, which are those from `first_record` on of `lane`.
  // Complete, commit word included; valid until the next call. A block of up to kRecordsPerChunk / 2 records fits into
  // an empty chunk. Allocates nothing.
  absl::Span<const unsigned char> Encode(absl::Span<const Record> records, std::uint32_t lane,
                                         std::uint64_t first_record, ClockPair clock);

 private:
  struct Compressor;
  std::size_t WriteColumns(absl::Span<const Record> records, std::int64_t begin_ns);

  std::unique_ptr<Compressor> compressor_;
  std::vector<unsigned char> columns_;
  std::vector<unsigned char> block_;
};

// What BlockEncoder::Encode says of a block, checked: its lengths, its checksum, and that nothing in them is more than
// the format allows. `block` begins with the header and may go on behind the block. False: not a block that is whole.
bool ReadBlockHeader(std::string_view block, BlockHeader* header);
// The length that the header claims, where a block of that length may be there and the next one behind it; else 0.
std::size_t ClaimedBlockBytes(std::string_view block);

// Takes blocks apart; keeps its memory between calls, at most 200 KiB with what the thread keeps until it ends.
class BlockDecoder {
 public:
  // Appends the records to `records`. Null, or what is wrong (then nothing was appended). REQUIRES: ReadBlockHeader
  // gave this `header` for `block`. Throws std::bad_alloc alone.
  const char* Decode(std::string_view block, const BlockHeader& header, std::vector<Record>& records);

 private:
  std::vector<unsigned char> columns_;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_COLUMN_BLOCK_H_
