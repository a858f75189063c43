// The bytes of a trace file: the constants and structures that writer and reader share. The grammar is in
// docs/trace_format.md; a change here is a change there, and of kVersion.
//
// A file is a header and then chunks of one size. A chunk of records belongs to one lane (one thread at a time), which
// alone appends to it, so that appending needs neither lock nor system call. Full ones are turned into column blocks
// in the background, and used again. The file is grown with zero bytes; the word that makes a record, text, block or
// chunk valid (its "commit word", never zero) is stored after its other bytes. A process killed at any instruction
// therefore leaves a prefix of complete records in each chunk, and at most one torn one behind it.
#ifndef TIERLIB_SRC_TRACE_FORMAT_H_
#define TIERLIB_SRC_TRACE_FORMAT_H_

#include <bit>
#include <cstddef>
#include <cstdint>

#include "trace/event.h"

namespace tierlib::trace {

static_assert(std::endian::native == std::endian::little, "trace files are little endian");

// The first byte has its high bit set, and line ends of two kinds follow: a transfer as text damages it visibly (as in
// PNG).
inline constexpr unsigned char kMagic[8] = {0x89, 'T', 'L', 'T', '\r', '\n', 0x1a, '\n'};
inline constexpr std::uint32_t kVersion = 2;
inline constexpr std::uint32_t kVersionOfRecordsOnly = 1;  // no blocks, times in nanoseconds: still read
inline constexpr std::size_t kHeaderBytes = 4096;
inline constexpr std::size_t kChunkBytes = 64 << 10;
inline constexpr std::size_t kDeviceNameBytes = 256;

// A moment on both clocks.
struct ClockPair {
  std::uint64_t ticks = 0;
  std::int64_t monotonic_ns = 0;
};

// The last moment that was measured. There are two of them, written in turn: one is whole whenever the program ends.
struct ClockSlot {
  ClockPair pair;
  std::uint32_t crc;  // CRC-32C of the pair
  std::uint32_t reserved;
};

enum class ClockKind : std::uint32_t { kMonotonic = 0, kTicks = 1 };  // what records of chunks are stamped with
enum Closed : std::uint32_t { kNotClosed = 0, kEnded = 1, kCopied = 2 };

struct FileHeader {
  unsigned char magic[8];
  std::uint32_t version;
  std::uint32_t header_bytes;  // kHeaderBytes
  std::uint32_t chunk_bytes;   // kChunkBytes
  std::int32_t rank;
  std::uint32_t process_id;
  std::uint32_t clock;              // ClockKind
  std::int64_t start_monotonic_ns;  // CLOCK_MONOTONIC, the clock of the records, and
  std::int64_t start_wall_ns;       // CLOCK_REALTIME at the same moment
  std::uint64_t device_capacity;
  std::uint64_t pinned_capacity;
  char device[kDeviceNameBytes];  // ends with a zero byte
  std::uint32_t crc;              // CRC-32C of the bytes before it

  // Written while recording and at its end.
  std::uint32_t closed;  // Closed; not 0 once `end_crc` and the fields before it are right
  std::uint64_t dropped;
  std::int64_t end_monotonic_ns;
  std::uint64_t chunk_count;
  std::uint32_t end_crc;  // CRC-32C of dropped, end_monotonic_ns and chunk_count
  std::uint32_t reserved_end;

  // From version 2 on. Written while recording.
  std::int64_t stopped_ns;            // when recording stopped, as nothing more fitted; 0: it did not
  std::int64_t overwritten_until_ns;  // a flight recorder's: no event after this was overwritten, and
  std::uint64_t overwritten;          // how many were
  ClockSlot last_clock[2];
  // Written at the start.
  ClockPair start_clock[2];  // two moments that are not far from each other
  std::uint64_t last_bytes;  // of the newest blocks that are kept; 0: all
  std::uint32_t start_crc;   // CRC-32C of start_clock and last_bytes
  std::uint32_t reserved_start;
  // Written at the end.
  std::uint64_t file_bytes;    // of the whole file
  std::uint64_t index_offset;  // of the first chunk of the index; 0: there is none
  std::uint32_t extent_crc;    // CRC-32C of file_bytes and index_offset
  std::uint32_t reserved_extent;
  // Written where ticks were found to be fewer than before; 0: they were not.
  std::int64_t set_back_after_ns;  // until then times are right
  std::int64_t set_back_ns;        // and again from here on
  // Written at the start. What copies of the link achieve at most, by DirectionCode out and in; 0: not known.
  std::uint64_t ceiling_bytes_per_s[2];
  std::uint32_t ceiling_crc;  // CRC-32C of ceiling_bytes_per_s
  std::uint32_t reserved_ceiling;
  // Written at the start. Which copies are made in pieces and which as one (CopyLimits in event.h).
  std::uint64_t piece_bytes;
  std::uint64_t batch_bytes;
  std::uint32_t copy_limits_known;  // 1: the two above are; 0: they are not
  std::uint32_t copy_limits_crc;    // CRC-32C of the three fields before it
};
static_assert(offsetof(FileHeader, crc) == 320 && offsetof(FileHeader, dropped) == 328 &&
              offsetof(FileHeader, stopped_ns) == 360 && offsetof(FileHeader, start_clock) == 432 &&
              offsetof(FileHeader, file_bytes) == 480 && offsetof(FileHeader, ceiling_bytes_per_s) == 520 &&
              offsetof(FileHeader, piece_bytes) == 544 && sizeof(FileHeader) == 568);

enum class ChunkKind : std::uint16_t { kFree = 0, kRecords = 1, kTexts = 2, kBlocks = 3, kIndex = 4, kGaps = 5 };

// Bytes 0..31 of each chunk. A magic of zero: claimed by nobody, whatever follows.
struct ChunkHeader {
  std::uint32_t magic;         // kChunkMagic, stored last when a chunk is claimed
  std::uint16_t kind;          // ChunkKind
  std::uint16_t sealed;        // 1 once used_bytes and crc are right, which is stored after them
  std::uint32_t lane;          // of records; kBlockLane of blocks, 0 of texts and of the index
  std::uint32_t sequence;      // 0, 1, 2 ... within the lane
  std::uint32_t used_bytes;    // of the payload
  std::uint32_t crc;           // CRC-32C of kind, lane, sequence and used_bytes (ChunkHeaderCrc) and the used payload
  std::uint64_t first_record;  // of records: the number within the lane of the first one, counted from 0
};
static_assert(sizeof(ChunkHeader) == 32);
inline constexpr std::uint32_t kChunkMagic = 0x4B4E4843;  // "CHNK"
inline constexpr std::size_t kPayloadBytes = kChunkBytes - sizeof(ChunkHeader);
inline constexpr std::size_t kRecordsPerChunk = kPayloadBytes / sizeof(Record);
inline constexpr std::uint32_t kBlockLane = 0xFFFFFFFF;

// The second word of a record: event in the lowest byte, which is never zero, then tag, detail and label. Commit word.
// In chunks the label's highest bit says that the time is in nanoseconds, whatever clock the file has.
inline constexpr std::uint32_t kTimeIsNs = 0x80000000;
constexpr std::uint64_t PackRecordWord(Event event, Tag tag, std::uint16_t detail, std::uint32_t label) {
  return static_cast<std::uint64_t>(event) | static_cast<std::uint64_t>(tag) << 8 | std::uint64_t{detail} << 16 |
         std::uint64_t{label} << 32;
}
static_assert(offsetof(Record, event) == 8 && offsetof(Record, tag) == 9 && offsetof(Record, detail) == 10 &&
              offsetof(Record, label) == 12 && offsetof(Record, subject) == 16 && offsetof(Record, value) == 24);

// A text in a chunk of texts: this, then `bytes` bytes, then zeros up to a multiple of 8.
struct TextHeader {
  std::uint32_t label;  // from 1 on. Commit word
  std::uint32_t bytes;
};
static_assert(sizeof(TextHeader) == 8);
inline constexpr std::uint32_t kTextBytesMost = 4096;
inline constexpr std::uint32_t kTextsMost = 65536;
inline constexpr std::uint32_t kOtherLabel = kTextsMost + 1;  // "(other)": texts beyond kTextsMost

constexpr std::size_t TextEntryBytes(std::size_t text_bytes) { return sizeof(TextHeader) + (text_bytes + 7) / 8 * 8; }

// Records of one lane as columns, in a chunk of blocks: this, `event_rows` times EventCount, then `compressed_bytes`,
// then zeros up to `block_bytes`. The file column_block.h says what the columns are.
struct BlockHeader {
  std::uint32_t magic;        // kBlockMagic. Commit word
  std::uint32_t block_bytes;  // all of it: a multiple of 8, and at least kBlockBytesPerRecord * record_count
  std::uint32_t crc;          // CRC-32C of the bytes after this field
  std::uint32_t lane;
  std::uint64_t first_record;  // number within the lane
  std::uint32_t record_count;  // from 1 to kRecordsPerChunk
  std::uint32_t event_rows;
  std::uint32_t column_bytes;      // before compression
  std::uint32_t compressed_bytes;  // a zstd frame; equal to column_bytes: the columns as they are
  // The summary. Least and most of each field.
  std::int64_t begin_ns;
  std::int64_t end_ns;
  std::uint64_t subject_least;
  std::uint64_t subject_most;
  std::uint64_t value_least;
  std::uint64_t value_most;
  std::uint64_t transfer_bytes[kDirectionCodeCount];  // of TransferEnd, by DirectionCode; the sum modulo 2^64
  std::uint64_t reserved;
  ClockPair clock;  // measured when the block was made
};
static_assert(sizeof(BlockHeader) == 136);
struct EventCount {
  std::uint8_t event;
  std::uint8_t reserved[3];
  std::uint32_t count;
};
static_assert(sizeof(EventCount) == 8);
inline constexpr std::uint32_t kBlockMagic = 0x4B434C42;  // "BLCK"
// So that a reader's memory is bounded by the size of what it reads: a record takes 32 bytes there.
inline constexpr std::size_t kBlockBytesPerRecord = 2;

// Where a block is, in a chunk of the index.
struct IndexEntry {
  std::uint64_t offset;  // of its header in the file
  std::uint64_t first_record;
  std::int64_t begin_ns;
  std::int64_t end_ns;
  std::uint32_t lane;
  std::uint32_t record_count;
  std::uint32_t block_bytes;
  std::uint32_t reserved;
};
static_assert(sizeof(IndexEntry) == 48);
inline constexpr std::size_t kIndexEntriesPerChunk = kPayloadBytes / sizeof(IndexEntry);

// What was missing in the trace that this one was made of, in a chunk of gaps.
struct GapEntry {
  std::int64_t begin_ns;
  std::int64_t end_ns;    // not before begin_ns
  std::uint64_t records;  // 0: not known
  std::uint32_t lane;     // of the other trace; 0: of all
  std::uint32_t reason;   // GapReason
};
static_assert(sizeof(GapEntry) == 32);

// The checksum of a chunk with this header and payload.
std::uint32_t ChunkCrc(const ChunkHeader& header, const void* payload);
std::uint32_t HeaderCrc(const FileHeader& header);
std::uint32_t HeaderEndCrc(const FileHeader& header);
std::uint32_t HeaderStartCrc(const FileHeader& header);
std::uint32_t HeaderExtentCrc(const FileHeader& header);
std::uint32_t HeaderCeilingCrc(const FileHeader& header);
std::uint32_t HeaderCopyLimitsCrc(const FileHeader& header);
std::uint32_t ClockSlotCrc(const ClockSlot& slot);
// Of the block that begins at `header` and is whole in memory.
std::uint32_t BlockCrc(const BlockHeader& header, const void* block);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_FORMAT_H_
