#include "base/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace tierlib {
namespace {

static_assert(std::endian::native == std::endian::little, "the eight-byte steps below read little endian");

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// Table 0 is the classic one of bytes; table k advances a byte over k further zero bytes ("slicing by 8").
constexpr Tables MakeTables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0u);
    tables[0][byte] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}
constexpr Tables kTables = MakeTables();

std::uint64_t LoadWord(const unsigned char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t ExtendSse42(std::uint32_t crc, const void* data,
                                                            std::size_t size) noexcept {
  const unsigned char* at = static_cast<const unsigned char*>(data);
  std::uint64_t state = ~crc;
  for (; size >= 8; size -= 8, at += 8) state = _mm_crc32_u64(state, LoadWord(at));
  std::uint32_t narrow = static_cast<std::uint32_t>(state);
  for (; size > 0; --size, ++at) narrow = _mm_crc32_u8(narrow, *at);
  return ~narrow;
}
#endif

using Extend = std::uint32_t (*)(std::uint32_t, const void*, std::size_t) noexcept;

Extend ChooseExtend() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("sse4.2")) return ExtendSse42;
#endif
  return internal::Crc32cExtendPortable;
}

}  // namespace

std::uint32_t internal::Crc32cExtendPortable(std::uint32_t crc, const void* data, std::size_t size) noexcept {
  const unsigned char* at = static_cast<const unsigned char*>(data);
  std::uint32_t state = ~crc;
  for (; size >= 8; size -= 8, at += 8) {
    const std::uint64_t word = LoadWord(at) ^ state;
    state = 0;
    for (std::size_t k = 0; k < 8; ++k) state ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; size > 0; --size, ++at) state = (state >> 8) ^ kTables[0][(state ^ *at) & 0xff];
  return ~state;
}

std::uint32_t Crc32cExtend(std::uint32_t crc, const void* data, std::size_t size) noexcept {
  static const Extend extend = ChooseExtend();
  return extend(crc, data, size);
}

}  // namespace tierlib
