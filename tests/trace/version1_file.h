// Files of version 1, which no writer makes any more: chunks of 64 KiB, whose records are as they are in memory.
#ifndef TIERLIB_TESTS_TRACE_VERSION1_FILE_H_
#define TIERLIB_TESTS_TRACE_VERSION1_FILE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "trace/format.h"

namespace tierlib::trace {

// What a file of so many chunks begins with, closed.
inline std::string HeaderOfVersion1(std::uint64_t chunks) {
  FileHeader header = {};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersionOfRecordsOnly;
  header.header_bytes = kHeaderBytes;
  header.chunk_bytes = kChunkBytes;
  std::memcpy(header.device, "emulated:0", 10);
  header.device_capacity = 1 << 20;
  header.crc = HeaderCrc(header);
  header.closed = kEnded;
  header.chunk_count = chunks;
  header.end_crc = HeaderEndCrc(header);
  std::string bytes(reinterpret_cast<const char*>(&header), offsetof(FileHeader, stopped_ns));
  bytes.resize(kHeaderBytes);
  return bytes;
}

inline void AppendChunk(std::string& bytes, ChunkKind kind, std::uint32_t lane, std::uint32_t sequence,
                        const std::string& payload) {
  ChunkHeader header = {};
  header.magic = kChunkMagic;
  header.kind = static_cast<std::uint16_t>(kind);
  header.sealed = 1;
  header.lane = lane;
  header.sequence = sequence;
  header.used_bytes = static_cast<std::uint32_t>(payload.size());
  header.crc = ChunkCrc(header, payload.data());
  bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += payload;
  bytes.resize(bytes.size() + kPayloadBytes - payload.size());
}

}  // namespace tierlib::trace

#endif  // TIERLIB_TESTS_TRACE_VERSION1_FILE_H_
