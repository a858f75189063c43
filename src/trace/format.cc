#include "trace/format.h"

#include "base/crc32c.h"

namespace tierlib::trace {

std::uint32_t ChunkCrc(const ChunkHeader& header, const void* payload) {
  const std::uint32_t fields[] = {header.kind, header.lane, header.sequence, header.used_bytes};
  std::uint32_t crc = Crc32c(fields, sizeof fields);
  // Version 1 has zeros there, and no checksum of them.
  if (header.first_record != 0) crc = Crc32cExtend(crc, &header.first_record, sizeof header.first_record);
  return Crc32cExtend(crc, payload, header.used_bytes);
}

std::uint32_t HeaderCrc(const FileHeader& header) { return Crc32c(&header, offsetof(FileHeader, crc)); }

std::uint32_t HeaderEndCrc(const FileHeader& header) {
  return Crc32c(&header.dropped, offsetof(FileHeader, end_crc) - offsetof(FileHeader, dropped));
}

std::uint32_t HeaderStartCrc(const FileHeader& header) {
  return Crc32c(&header.start_clock, offsetof(FileHeader, start_crc) - offsetof(FileHeader, start_clock));
}

std::uint32_t HeaderExtentCrc(const FileHeader& header) {
  return Crc32c(&header.file_bytes, offsetof(FileHeader, extent_crc) - offsetof(FileHeader, file_bytes));
}

std::uint32_t HeaderCeilingCrc(const FileHeader& header) {
  return Crc32c(&header.ceiling_bytes_per_s, sizeof header.ceiling_bytes_per_s);
}

std::uint32_t HeaderCopyLimitsCrc(const FileHeader& header) {
  return Crc32c(&header.piece_bytes, offsetof(FileHeader, copy_limits_crc) - offsetof(FileHeader, piece_bytes));
}

std::uint32_t ClockSlotCrc(const ClockSlot& slot) { return Crc32c(&slot.pair, sizeof slot.pair); }

std::uint32_t BlockCrc(const BlockHeader& header, const void* block) {
  constexpr std::size_t kBegin = offsetof(BlockHeader, lane);
  return Crc32c(static_cast<const unsigned char*>(block) + kBegin, header.block_bytes - kBegin);
}

}  // namespace tierlib::trace
