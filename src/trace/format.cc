#include "trace/format.h"

#include "base/crc32c.h"

namespace tierlib::trace {

std::uint32_t ChunkCrc(const ChunkHeader& header, const void* payload) {
  const std::uint32_t fields[] = {header.kind, header.lane, header.sequence, header.used_bytes};
  return Crc32cExtend(Crc32c(fields, sizeof fields), payload, header.used_bytes);
}

std::uint32_t HeaderCrc(const FileHeader& header) { return Crc32c(&header, offsetof(FileHeader, crc)); }

std::uint32_t HeaderEndCrc(const FileHeader& header) {
  return Crc32c(&header.dropped, offsetof(FileHeader, end_crc) - offsetof(FileHeader, dropped));
}

}  // namespace tierlib::trace
