// Eight indices are `bits` whole bytes and fit into one 64-bit word, which is put together and taken apart with shifts
// that the compiler knows.
#include "dkm/kernels/packed_bits.h"

#include <algorithm>
#include <cstring>

namespace tierlib::dkm::host {
namespace {

// Bytes of a word by shifts, so that the machine's byte order does not matter; compilers make it one store or load.
template <int kBits>
void PackEight(const std::uint8_t* indices, std::uint8_t* packed) {
  std::uint64_t word = 0;
  for (int i = 0; i < 8; ++i) word |= std::uint64_t{indices[i]} << (i * kBits);
  for (int i = 0; i < kBits; ++i) packed[i] = static_cast<std::uint8_t>(word >> (8 * i));
}

template <int kBits>
void UnpackEight(const std::uint8_t* packed, std::uint8_t* indices) {
  std::uint64_t word = 0;
  for (int i = 0; i < kBits; ++i) word |= std::uint64_t{packed[i]} << (8 * i);
  for (int i = 0; i < 8; ++i) indices[i] = static_cast<std::uint8_t>(word >> (i * kBits)) & ((1 << kBits) - 1);
}

template <int kBits>
void Pack(const std::uint8_t* indices, std::int64_t count, std::uint8_t* packed) {
  for (; count >= 8; count -= 8, indices += 8, packed += kBits) PackEight<kBits>(indices, packed);
  if (count == 0) return;
  std::uint8_t rest[8] = {};
  std::uint8_t bytes[kBits];
  std::copy_n(indices, count, rest);
  PackEight<kBits>(rest, bytes);
  std::copy_n(bytes, (count * kBits + 7) / 8, packed);
}

template <int kBits>
void Unpack(const std::uint8_t* packed, std::int64_t count, std::uint8_t* indices) {
  for (; count >= 8; count -= 8, indices += 8, packed += kBits) UnpackEight<kBits>(packed, indices);
  if (count == 0) return;
  std::uint8_t rest[8];
  std::uint8_t bytes[kBits] = {};
  std::copy_n(packed, (count * kBits + 7) / 8, bytes);
  UnpackEight<kBits>(bytes, rest);
  std::copy_n(rest, count, indices);
}

}  // namespace

void PackBits(int bits, const std::uint8_t* indices, std::int64_t count, std::uint8_t* packed) {
  using Function = void (*)(const std::uint8_t*, std::int64_t, std::uint8_t*);
  static constexpr Function kPack[] = {Pack<1>, Pack<2>, Pack<3>, Pack<4>, Pack<5>, Pack<6>, Pack<7>, Pack<8>};
  kPack[bits - 1](indices, count, packed);
}

void UnpackBits(int bits, const std::uint8_t* packed, std::int64_t count, std::uint8_t* indices) {
  using Function = void (*)(const std::uint8_t*, std::int64_t, std::uint8_t*);
  static constexpr Function kUnpack[] = {Unpack<1>, Unpack<2>, Unpack<3>, Unpack<4>,
                                         Unpack<5>, Unpack<6>, Unpack<7>, Unpack<8>};
  kUnpack[bits - 1](packed, count, indices);
}

}  // namespace tierlib::dkm::host
