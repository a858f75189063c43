// A CRC-32C (base/crc32c.h) out of parts that are computed apart and added up in any order: for devices, where many
// threads read a range together. Compiled for the host and, by nvcc, for the device.
//
// The checksum's register is a polynomial over GF(2) modulo Castagnoli's, with bit 31 as the coefficient of x^0. To
// take a word w of four bytes in is to go from r to (r + w) x^32. So, with the words w_0, ..., w_{n-1} of a range,
//
//   register = initial x^{32 n} + sum over i of  w_i x^{32 (n - i)}
//
// where + is exclusive or: each word's part depends on its distance to the end alone. Words of zeros in front change
// nothing. A tile is what one block of threads reads; its lanes take every kLanes-th word, so that what they read
// together lies together, and multiply what they have by one constant from word to word.
#ifndef TIERLIB_SRC_GRAPH_CUDA_CRC32C_PARTS_H_
#define TIERLIB_SRC_GRAPH_CUDA_CRC32C_PARTS_H_

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define TIERLIB_HOST_DEVICE __host__ __device__
#else
#define TIERLIB_HOST_DEVICE
#endif

namespace tierlib::crc32c {

constexpr int kLanes = 256;
constexpr std::uint32_t kRowBytes = 4 * kLanes;

TIERLIB_HOST_DEVICE constexpr std::uint32_t TimesX(std::uint32_t a) {
  return (a >> 1) ^ ((a & 1u) != 0 ? 0x82F63B78u : 0u);
}

TIERLIB_HOST_DEVICE constexpr std::uint32_t Product(std::uint32_t a, std::uint32_t b) {
  std::uint32_t sum = 0;
  for (int bit = 31; bit >= 0; --bit) {
    if ((a >> bit & 1u) != 0) sum ^= b;
    b = TimesX(b);
  }
  return sum;
}

// x^(8 * 2^k) by k: what 2^k more bytes multiply by.
struct Powers {
  std::uint32_t of[48];
};
constexpr Powers MakePowers() {
  Powers powers{};
  powers.of[0] = 0x00800000u;  // x^8
  for (int k = 1; k < 48; ++k) powers.of[k] = Product(powers.of[k - 1], powers.of[k - 1]);
  return powers;
}

// x^(8 * bytes). REQUIRES: bytes < 2^48.
TIERLIB_HOST_DEVICE constexpr std::uint32_t ShiftBy(const Powers& powers, std::uint64_t bytes) {
  std::uint32_t shift = 0x80000000u;  // 1
  for (int k = 0; bytes != 0; ++k, bytes >>= 1) {
    if ((bytes & 1u) != 0) shift = Product(shift, powers.of[k]);
  }
  return shift;
}

// Products with one constant by four lookups.
struct ShiftTable {
  std::uint32_t of[4][256];
};
TIERLIB_HOST_DEVICE constexpr std::uint32_t EntryOf(std::uint32_t shift, int place, std::uint32_t byte) {
  return Product(byte << (8 * place), shift);
}
TIERLIB_HOST_DEVICE constexpr std::uint32_t Shifted(const ShiftTable& table, std::uint32_t value) {
  return table.of[0][value & 0xff] ^ table.of[1][value >> 8 & 0xff] ^ table.of[2][value >> 16 & 0xff] ^
         table.of[3][value >> 24];
}

// One range of a content, whose checksum is that of its ranges one after the other.
struct Range {
  const unsigned char* begin = nullptr;  // anywhere; words are read at multiples of four
  std::uint64_t bytes = 0;
  std::uint64_t after = 0;  // bytes of the content's later ranges
  std::uint64_t tile_words = 0;
  std::uint32_t tiles = 0;
};

// How far `begin` lies after the word that it is in.
TIERLIB_HOST_DEVICE inline std::uint32_t LeadOf(const Range& range) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(range.begin) & 3u);
}
// Whole words, the first of which may begin before the range.
TIERLIB_HOST_DEVICE inline std::uint64_t WordsOf(const Range& range) { return (range.bytes + LeadOf(range)) / 4; }

// Splits a range into at most `most` tiles of whole rows, none of them under `least` bytes where there are several.
inline void PlanTiles(Range& range, std::uint32_t most, std::uint64_t least) {
  const std::uint64_t words = WordsOf(range);
  const std::uint64_t rows = (words + kLanes - 1) / kLanes;
  std::uint64_t tile_rows = (rows + most - 1) / most;
  if (tile_rows * kRowBytes < least) tile_rows = (least + kRowBytes - 1) / kRowBytes;
  range.tile_words = tile_rows * kLanes;
  range.tiles = words == 0 ? 1 : static_cast<std::uint32_t>((words + range.tile_words - 1) / range.tile_words);
}

// The word with the bytes before the range as zeros.
TIERLIB_HOST_DEVICE inline std::uint32_t LoadWord(const Range& range, std::uint64_t index) {
  const std::uint32_t lead = LeadOf(range);
  const unsigned char* const at = range.begin - lead + 4 * index;
#ifdef __CUDA_ARCH__
  std::uint32_t word = *reinterpret_cast<const std::uint32_t*>(at);
#else
  std::uint32_t word = 0;
  if (index == 0 && lead > 0) {  // what lies before the range may not be there to be read, as sanitizers say
    std::memcpy(reinterpret_cast<unsigned char*>(&word) + lead, range.begin, 4 - lead);
  } else {
    std::memcpy(&word, at, 4);
  }
#endif
  return index == 0 ? word & (~0u << (8 * lead)) : word;
}

// What a lane finds in a tile, as far as the tile's end; the tile's part is the exclusive or over its lanes. `row`: the
// table of ShiftBy(kRowBytes); `to_end`: ShiftBy(4 * (kLanes - 1 - lane)).
TIERLIB_HOST_DEVICE inline std::uint32_t LaneOfTile(const Range& range, std::uint32_t tile, int lane,
                                                    const ShiftTable& row, std::uint32_t to_end) {
  const std::uint64_t first = tile * range.tile_words;
  const std::uint64_t rest = WordsOf(range) - first;
  const std::uint64_t words = rest < range.tile_words ? rest : range.tile_words;
  const std::uint64_t rows = (words + kLanes - 1) / kLanes;
  const std::uint64_t zeros = rows * kLanes - words;  // words in front that make the last row a whole one
  std::uint32_t found = 0;
  for (std::uint64_t at = static_cast<std::uint64_t>(lane); at < rows * kLanes; at += kLanes) {
    found = Shifted(row, found) ^ (at < zeros ? 0u : LoadWord(range, first + at - zeros));
  }
  return Product(found, to_end);
}

// The tile's part of the content's register. `lanes`: the exclusive or of its lanes.
TIERLIB_HOST_DEVICE inline std::uint32_t PartOfTile(const Powers& powers, const Range& range, std::uint32_t tile,
                                                    std::uint32_t lanes) {
  const std::uint64_t bytes = range.bytes + LeadOf(range);  // from the first word on
  const std::uint64_t words = WordsOf(range);
  const std::uint64_t end = (tile + 1) * range.tile_words < words ? (tile + 1) * range.tile_words : words;
  std::uint32_t part = Product(lanes, ShiftBy(powers, 4 + (bytes - 4 * end) + range.after));
  if (end < words || bytes == 4 * words) return part;
  // The last bytes are no whole word: they are one with zeros in front.
  std::uint32_t last = 0;
  const std::uint64_t begin = words == 0 ? LeadOf(range) : 4 * words;
  for (std::uint64_t at = begin; at < bytes; ++at) {
    last |= static_cast<std::uint32_t>(range.begin[at - LeadOf(range)]) << (8 * (4 - (bytes - at)));
  }
  return part ^ Product(last, ShiftBy(powers, 4 + range.after));
}

// The checksum of a content of `bytes` bytes. `parts`: the exclusive or over all tiles of all ranges.
TIERLIB_HOST_DEVICE constexpr std::uint32_t Finish(const Powers& powers, std::uint32_t parts, std::uint64_t bytes) {
  return ~(parts ^ Product(~0u, ShiftBy(powers, bytes)));
}

}  // namespace tierlib::crc32c

#endif  // TIERLIB_SRC_GRAPH_CUDA_CRC32C_PARTS_H_
