// b-bit indices from and to bytes, as tierlib/dkm/palette.h lays them out.
#ifndef TIERLIB_SRC_DKM_KERNELS_PACKED_BITS_H_
#define TIERLIB_SRC_DKM_KERNELS_PACKED_BITS_H_

#include <cstdint>

namespace tierlib::dkm::host {

// Packs `count` indices below 2^bits into (count * bits + 7) / 8 bytes; bits that are left are 0. REQUIRES: 1 <= bits
// <= 8.
void PackBits(int bits, const std::uint8_t* indices, std::int64_t count, std::uint8_t* packed);

// The reverse; reads (count * bits + 7) / 8 bytes. REQUIRES: 1 <= bits <= 8.
void UnpackBits(int bits, const std::uint8_t* packed, std::int64_t count, std::uint8_t* indices);

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_SRC_DKM_KERNELS_PACKED_BITS_H_
