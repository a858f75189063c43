// CRC-32C (Castagnoli, polynomial 0x1EDC6F41, reflected, as in iSCSI and ext4): the checksum of trace chunks and
// checkpoints. Pure functions; any thread.
#ifndef TIERLIB_SRC_BASE_CRC32C_H_
#define TIERLIB_SRC_BASE_CRC32C_H_

#include <cstddef>
#include <cstdint>

namespace tierlib {

// The checksum of what `crc` covers followed by `size` bytes at `data`; `crc` is 0 for nothing yet. Uses the
// processor's instruction where there is one (found out at run time): about 15 GB/s, and 2 GB/s elsewhere.
std::uint32_t Crc32cExtend(std::uint32_t crc, const void* data, std::size_t size) noexcept;
inline std::uint32_t Crc32c(const void* data, std::size_t size) noexcept { return Crc32cExtend(0, data, size); }

namespace internal {
// The form without special instructions, named so that a test can compare the two.
std::uint32_t Crc32cExtendPortable(std::uint32_t crc, const void* data, std::size_t size) noexcept;
}  // namespace internal

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_CRC32C_H_
