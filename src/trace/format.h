// The bytes of a trace file: the constants and structures that writer and reader share. The grammar is in
// docs/trace_format.md; a change here is a change there, and of kVersion.
//
// A file is a header and then chunks of one size. A chunk belongs to one lane (one thread at a time), which alone
// appends to it, so that appending needs neither lock nor system call. The file is grown with zero bytes; the word that
// makes a record or text valid (its "commit word", never zero) is stored after its other bytes. A process killed at any
// instruction therefore leaves a prefix of complete records in each chunk, and at most one torn one behind it.
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
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::size_t kHeaderBytes = 4096;
inline constexpr std::size_t kChunkBytes = 64 << 10;
inline constexpr std::size_t kDeviceNameBytes = 256;

struct FileHeader {
  unsigned char magic[8];
  std::uint32_t version;
  std::uint32_t header_bytes;  // kHeaderBytes
  std::uint32_t chunk_bytes;   // kChunkBytes
  std::int32_t rank;
  std::uint32_t process_id;
  std::uint32_t reserved;
  std::int64_t start_monotonic_ns;  // CLOCK_MONOTONIC, the clock of the records, and
  std::int64_t start_wall_ns;       // CLOCK_REALTIME at the same moment
  std::uint64_t device_capacity;
  std::uint64_t pinned_capacity;
  char device[kDeviceNameBytes];  // ends with a zero byte
  std::uint32_t crc;              // CRC-32C of the bytes before it

  // Written while recording and at its end.
  std::uint32_t closed;  // 1 once `end_crc` and the fields before it are right
  std::uint64_t dropped;
  std::int64_t end_monotonic_ns;
  std::uint64_t chunk_count;
  std::uint32_t end_crc;  // CRC-32C of dropped, end_monotonic_ns and chunk_count
  std::uint32_t reserved_end;
};
static_assert(offsetof(FileHeader, crc) == 320 && offsetof(FileHeader, dropped) == 328 && sizeof(FileHeader) == 360);

enum class ChunkKind : std::uint16_t { kFree = 0, kRecords = 1, kTexts = 2 };

// Bytes 0..31 of each chunk. All zero: claimed by nobody.
struct ChunkHeader {
  std::uint32_t magic;   // kChunkMagic, stored last when a chunk is claimed
  std::uint16_t kind;    // ChunkKind
  std::uint16_t sealed;  // 1 once used_bytes and crc are right, which is stored after them
  std::uint32_t lane;
  std::uint32_t sequence;    // 0, 1, 2 ... within the lane
  std::uint32_t used_bytes;  // of the payload
  std::uint32_t crc;         // CRC-32C of kind, lane, sequence and used_bytes (ChunkHeaderCrc) and the used payload
  std::uint64_t reserved;
};
static_assert(sizeof(ChunkHeader) == 32);
inline constexpr std::uint32_t kChunkMagic = 0x4B4E4843;  // "CHNK"
inline constexpr std::size_t kPayloadBytes = kChunkBytes - sizeof(ChunkHeader);
inline constexpr std::size_t kRecordsPerChunk = kPayloadBytes / sizeof(Record);

// The second word of a record: event in the lowest byte, which is never zero, then tag, detail and label. Commit word.
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

// The checksum of a chunk with this header and payload.
std::uint32_t ChunkCrc(const ChunkHeader& header, const void* payload);
std::uint32_t HeaderCrc(const FileHeader& header);
std::uint32_t HeaderEndCrc(const FileHeader& header);

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_FORMAT_H_
