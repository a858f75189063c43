// Sixty-four weights of a packed row at a time, with AVX-512 VBMI: tables of any size stay in registers, as byte
// planes. Compiled once per target: include after hwy/foreach_target.h. Empty for other targets.
//
// A table of float32 is four planes, of the values' lowest bytes, next ones, ..., highest. One byte permutation looks
// 64 indices up in 128 bytes of a plane; interleaving four looked-up planes gives 64 floats. That is a third of the
// work of permuting floats at 8 bits, where gathers are slower still.
#if defined(TIERLIB_SRC_DKM_KERNELS_HOST_PACKED_WIDE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIERLIB_SRC_DKM_KERNELS_HOST_PACKED_WIDE_INL_H_
#undef TIERLIB_SRC_DKM_KERNELS_HOST_PACKED_WIDE_INL_H_
#else
#define TIERLIB_SRC_DKM_KERNELS_HOST_PACKED_WIDE_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"

#if HWY_TARGET == HWY_AVX3_DL
HWY_BEFORE_NAMESPACE();
namespace tierlib::dkm::host::HWY_NAMESPACE {

// Where weight 16 j + 4 k + e of 64 must stand so that interleaving planes gives floats in order: at 16 k + 4 j + e.
HWY_INLINE __m512i InterleavingOrder() {
  alignas(64) std::uint8_t from[64];
  for (int j = 0; j < 4; ++j) {
    for (int k = 0; k < 4; ++k) {
      for (int e = 0; e < 4; ++e) from[16 * k + 4 * j + e] = static_cast<std::uint8_t>(16 * j + 4 * k + e);
    }
  }
  return _mm512_load_si512(from);
}

// Cuts 64 indices out of 8 * kBits bytes, in interleaving order.
template <int kBits>
class WideCutter {
 public:
  WideCutter() : order_(InterleavingOrder()) {
    alignas(64) std::uint8_t spread[64];
    alignas(64) std::uint8_t shifts[64];
    for (int i = 0; i < 64; ++i) {  // the kBits bytes of eight indices to each 64-bit lane
      spread[i] = static_cast<std::uint8_t>((i / 8 * kBits + i % 8) % 64);
      shifts[i] = static_cast<std::uint8_t>(i % 8 * kBits);
    }
    spread_ = _mm512_load_si512(spread);
    shifts_ = _mm512_load_si512(shifts);
  }

  // `raw`: 64 bytes, the first 8 * kBits of which count.
  HWY_INLINE __m512i Cut(__m512i raw) const {
    if constexpr (kBits == 8) return _mm512_permutexvar_epi8(order_, raw);
    const __m512i lanes = _mm512_permutexvar_epi8(spread_, raw);
    const __m512i cut = _mm512_multishift_epi64_epi8(shifts_, lanes);
    return _mm512_permutexvar_epi8(order_, _mm512_and_si512(cut, _mm512_set1_epi8((1 << kBits) - 1)));
  }

 private:
  __m512i order_;
  __m512i spread_;
  __m512i shifts_;
};

// The planes of a table.
template <int kBits>
class WideTable {
 public:
  static constexpr int kEntries = 1 << kBits;
  static constexpr int kVectors = kEntries <= 64 ? 1 : kEntries / 64;  // of a plane

  explicit WideTable(const float* values) {
    alignas(64) std::uint8_t bytes[4][64 * kVectors] = {};
    for (int i = 0; i < kEntries; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, values + i, sizeof bits);
      for (int plane = 0; plane < 4; ++plane) bytes[plane][i] = static_cast<std::uint8_t>(bits >> (8 * plane));
    }
    for (int plane = 0; plane < 4; ++plane) {
      for (int v = 0; v < kVectors; ++v) planes_[plane][v] = _mm512_load_si512(bytes[plane] + 64 * v);
    }
  }

  // floats[j] gets the values of weights 16 j to 16 j + 15.
  HWY_INLINE void Look(__m512i index, __m512 floats[4]) const {
    const __mmask64 upper = _mm512_movepi8_mask(index);  // of 256 entries: those from 128 on
    const __m512i p0 = Plane(0, index, upper), p1 = Plane(1, index, upper);
    const __m512i p2 = Plane(2, index, upper), p3 = Plane(3, index, upper);
    const __m512i low01 = _mm512_unpacklo_epi8(p0, p1), high01 = _mm512_unpackhi_epi8(p0, p1);
    const __m512i low23 = _mm512_unpacklo_epi8(p2, p3), high23 = _mm512_unpackhi_epi8(p2, p3);
    floats[0] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(low01, low23));
    floats[1] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(low01, low23));
    floats[2] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(high01, high23));
    floats[3] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(high01, high23));
  }

 private:
  HWY_INLINE __m512i Plane(int plane, __m512i index, __mmask64 upper) const {
    if constexpr (kVectors == 1) return _mm512_permutexvar_epi8(index, planes_[plane][0]);
    if constexpr (kVectors == 2) return _mm512_permutex2var_epi8(planes_[plane][0], index, planes_[plane][1]);
    if constexpr (kVectors == 4) {
      const __m512i low = _mm512_permutex2var_epi8(planes_[plane][0], index, planes_[plane][1]);
      const __m512i high = _mm512_permutex2var_epi8(planes_[plane][2], index, planes_[plane][3]);
      return _mm512_mask_blend_epi8(upper, low, high);
    }
  }

  __m512i planes_[4][kVectors];
};

template <int kBits>
float WideRowProduct(const PackedRow& row, const WideTable<kBits>& table, const WideCutter<kBits>& cutter) {
  const std::uint8_t* packed = row.indices;
  const float* x = row.x;
  __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
  __m512 floats[4];
  std::int64_t rest = row.columns;
  for (std::int64_t readable = row.readable; rest >= 64 && readable >= 64; rest -= 64, readable -= 8 * kBits) {
    hwy::Prefetch(packed + kPrefetchBytes);
    table.Look(cutter.Cut(_mm512_loadu_si512(packed)), floats);
    for (int j = 0; j < 4; ++j) sums[j] = _mm512_fmadd_ps(floats[j], _mm512_loadu_ps(x + 16 * j), sums[j]);
    packed += 8 * kBits;
    x += 64;
  }
  // What is left, at most 64 + 63 weights: masked loads read no byte that is not the row's.
  for (; rest > 0; rest -= 64, packed += 8 * kBits, x += 64) {
    const std::int64_t count = rest < 64 ? rest : 64;
    const __mmask64 there = ~__mmask64{0} >> (64 - count);
    table.Look(cutter.Cut(_mm512_maskz_loadu_epi8(~__mmask64{0} >> (64 - (count * kBits + 7) / 8), packed)), floats);
    for (int j = 0; j < 4; ++j) {
      const auto lanes = static_cast<__mmask16>(there >> (16 * j));
      sums[j] = _mm512_mask3_fmadd_ps(floats[j], _mm512_maskz_loadu_ps(lanes, x + 16 * j), sums[j], lanes);
    }
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
}

}  // namespace tierlib::dkm::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif  // TIERLIB_SRC_DKM_KERNELS_HOST_PACKED_WIDE_INL_H_
