#include "trace/block_index.h"

#include <string.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tierlib::trace {

std::vector<unsigned char> EncodeIndex(const std::deque<IndexEntry>& entries) {
  std::vector<unsigned char> bytes;
  std::uint32_t sequence = 0;
  for (std::size_t at = 0; at < entries.size(); at += kIndexEntriesPerChunk) {
    const std::size_t count = std::min(kIndexEntriesPerChunk, entries.size() - at);
    const std::size_t begin = sequence * kChunkBytes;
    bytes.resize(begin + sizeof(ChunkHeader) + count * sizeof(IndexEntry));
    unsigned char* const payload = bytes.data() + begin + sizeof(ChunkHeader);
    for (std::size_t i = 0; i < count; ++i) {
      memcpy(payload + i * sizeof(IndexEntry), &entries[at + i], sizeof(IndexEntry));
    }
    ChunkHeader header = {};
    header.magic = kChunkMagic;
    header.kind = static_cast<std::uint16_t>(ChunkKind::kIndex);
    header.sealed = 1;
    header.sequence = sequence++;
    header.used_bytes = static_cast<std::uint32_t>(count * sizeof(IndexEntry));
    header.crc = ChunkCrc(header, payload);
    memcpy(bytes.data() + begin, &header, sizeof header);
  }
  return bytes;
}

}  // namespace tierlib::trace
