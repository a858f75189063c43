// Matrix times vector from packed indices, with Highway.
//
// A vector of indices is cut out of 16 bytes: a byte shuffle brings to each lane the two bytes that hold its index, a
// shift by lane and a mask leave it. The table is in registers where it has at most 16 vectors (8 bits with AVX-512, 5
// with AVX2), and looked up by permutations that a tree of selections joins; a larger one is gathered from. Where there
// is AVX-512 VBMI, tables of 7 and 8 bits are looked up by bytes (packed_wide-inl.h).
#include "dkm/kernels/packed_matvec.h"

#include <cstddef>
#include <cstring>

// The order of these matters.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dkm/kernels/host/packed_matvec.cc"
#if !defined(TIERLIB_FEWER_TARGETS)
#define HWY_WANT_AVX3_DL                                                 // AVX-512 with VBMI
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | TIERLIB_HWY_SVE)  // little to gain for their compile time
#endif
#include "autograd/kernels/host/simd_targets.h"
#include "hwy/foreach_target.h"

#include "hwy/cache_control.h"
#include "hwy/highway.h"
// clang-format on

#ifndef TIERLIB_SRC_DKM_KERNELS_HOST_PACKED_MATVEC_ONCE_
#define TIERLIB_SRC_DKM_KERNELS_HOST_PACKED_MATVEC_ONCE_
namespace tierlib::dkm::host {

// How far ahead of their use indices are asked for: a row is read too fast for the machine's own prefetching alone.
inline constexpr std::int64_t kPrefetchBytes = 4096;

// A row of packed indices. `readable`: bytes from `indices` on that may be read, also beyond the row's end.
struct PackedRow {
  const std::uint8_t* indices;
  std::int64_t readable;
  std::int64_t columns;
  const float* table;
  const float* x;
};

inline std::uint32_t IndexAt(const std::uint8_t* indices, int bits, std::int64_t i) {
  const std::int64_t bit = i * bits;
  std::uint32_t word = indices[bit / 8];
  if (bit % 8 + bits > 8) word |= std::uint32_t{indices[bit / 8 + 1]} << 8;
  return (word >> (bit % 8)) & ((1u << bits) - 1);
}

}  // namespace tierlib::dkm::host
#endif

#include "dkm/kernels/host/packed_wide-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tierlib::dkm::host {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR  // vectors of one lane: no shuffles, and nothing to gain
using F = hn::CappedTag<float, 1>;
using U = hn::RebindToUnsigned<F>;
using VF = hn::Vec<F>;
constexpr std::size_t kLanes = 1;

template <int kBits>
void Rows(const PackedMatvecArguments& a, std::int64_t begin, std::int64_t end) {
  for (; begin < end; ++begin) {
    const std::uint8_t* indices = a.indices + begin * a.shape.row_bytes();
    const float* table = a.tables + begin / a.shape.group_rows * a.shape.clusters();
    float sums[8] = {};  // side by side, as vectors would
    for (std::int64_t i = 0; i < a.shape.columns; ++i) sums[i % 8] += table[IndexAt(indices, kBits, i)] * a.x[i];
    a.y[begin] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  }
}
#else
using F = hn::CappedTag<float, 16>;
using U = hn::RebindToUnsigned<F>;
using I = hn::RebindToSigned<F>;
using VF = hn::Vec<F>;
using VU = hn::Vec<U>;
constexpr std::size_t kLanes = HWY_MAX_BYTES / sizeof(float) < 16 ? HWY_MAX_BYTES / sizeof(float) : 16;

// Vector number `part` (0 or 1) of two that begin at a byte.
template <int kBits>
class Cutter {
 public:
  explicit Cutter(int part) {
    const std::size_t start = static_cast<std::size_t>(part) * kLanes * kBits;
    offset_ = start / 8;
    HWY_ALIGN std::uint8_t bytes[kLanes * 4];
    HWY_ALIGN std::uint32_t shifts[kLanes];
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::size_t bit = start % 8 + lane * kBits;
      const std::size_t byte = bit / 8;
      bytes[4 * lane] = static_cast<std::uint8_t>(byte);
      bytes[4 * lane + 1] = bit % 8 + kBits > 8 ? static_cast<std::uint8_t>(byte + 1) : 0x80;
      bytes[4 * lane + 2] = bytes[4 * lane + 3] = 0x80;
      shifts[lane] = static_cast<std::uint32_t>(bit % 8);
    }
    const hn::Repartition<std::uint8_t, F> du8;
    shuffle_ = hn::Load(du8, bytes);
    shift_ = hn::Load(U(), shifts);
  }

  // Reads 16 bytes from offset() on.
  HWY_INLINE VU Cut(const std::uint8_t* pair) const {
    const hn::Repartition<std::uint8_t, F> du8;
    const auto lanes = hn::TableLookupBytesOr0(hn::LoadDup128(du8, pair + offset_), shuffle_);
    return hn::And(hn::Shr(hn::BitCast(U(), lanes), shift_), hn::Set(U(), (1u << kBits) - 1));
  }

 private:
  std::size_t offset_;
  hn::Vec<hn::Repartition<std::uint8_t, F> > shuffle_;
  VU shift_;
};

// The values of a table by index: in registers, or gathered.
template <int kBits>
class Table {
 public:
  static constexpr std::size_t kEntries = std::size_t{1} << kBits;
  static constexpr std::size_t kVectors = kEntries <= kLanes ? 1 : kEntries / kLanes;
  static constexpr bool kInRegisters = kVectors <= (kLanes == 16 ? 16 : 4);

  explicit Table(const float* values) : values_(values) {
    if constexpr (kInRegisters) {
      HWY_ALIGN float padded[kVectors * kLanes] = {};
      std::memcpy(padded, values, kEntries * sizeof(float));
      for (std::size_t i = 0; i < kVectors; ++i) vectors_[i] = hn::Load(F(), padded + i * kLanes);
    }
  }

  HWY_INLINE VF Look(VU index) const {
    if constexpr (kInRegisters) {
      return LookIn<0, kVectors>(index);
    } else {
      return hn::GatherIndex(F(), values_, hn::BitCast(I(), index));
    }
  }

 private:
  // Among the vectors [kFirst, kFirst + kCount): the low bits of an index choose the lane, the bit that stands for half
  // of kCount vectors chooses between halves.
  template <std::size_t kFirst, std::size_t kCount>
  HWY_INLINE VF LookIn(VU index) const {
    if constexpr (kCount == 1) {
      const auto lane = hn::And(index, hn::Set(U(), static_cast<std::uint32_t>(kLanes - 1)));
      return hn::TableLookupLanes(vectors_[kFirst], hn::IndicesFromVec(F(), lane));
    } else {
      const VU bit = hn::Set(U(), static_cast<std::uint32_t>(kCount / 2 * kLanes));
      const auto upper = hn::RebindMask(F(), hn::TestBit(index, bit));
      return hn::IfThenElse(upper, LookIn<kFirst + kCount / 2, kCount / 2>(index), LookIn<kFirst, kCount / 2>(index));
    }
  }

  const float* values_;
  VF vectors_[kInRegisters ? kVectors : 1];
};

template <int kBits>
float RowProduct(const PackedRow& row, const Table<kBits>& table, const Cutter<kBits>& first,
                 const Cutter<kBits>& second) {
  constexpr std::int64_t kPair = 2 * static_cast<std::int64_t>(kLanes);
  constexpr std::int64_t kPairBytes = kPair * kBits / 8;
  const F d;
  VF even[2] = {hn::Zero(d), hn::Zero(d)};
  VF odd[2] = {hn::Zero(d), hn::Zero(d)};
  const auto pair = [&](std::int64_t i, int sum) HWY_ATTR {
    const std::uint8_t* bytes = row.indices + i / kPair * kPairBytes;
    hwy::Prefetch(bytes + kPrefetchBytes);
    even[sum] = hn::MulAdd(table.Look(first.Cut(bytes)), hn::LoadU(d, row.x + i), even[sum]);
    odd[sum] = hn::MulAdd(table.Look(second.Cut(bytes)), hn::LoadU(d, row.x + i + kLanes), odd[sum]);
  };
  // The second half of a pair reads 16 bytes from its own start on.
  const std::int64_t pairs_readable = (row.readable - 16 - kPairBytes / 2) / kPairBytes + 1;
  const std::int64_t end = row.readable < 16 + kPairBytes / 2
                               ? 0
                               : (row.columns / kPair < pairs_readable ? row.columns / kPair : pairs_readable) * kPair;
  std::int64_t i = 0;
  for (; i + 2 * kPair <= end; i += 2 * kPair) {
    pair(i, 0);
    pair(i + kPair, 1);
  }
  for (; i < end; i += kPair) pair(i, 0);
  const VF sums = hn::Add(hn::Add(even[0], odd[0]), hn::Add(even[1], odd[1]));
  float sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (; i < row.columns; ++i) sum += row.table[IndexAt(row.indices, kBits, i)] * row.x[i];
  return sum;
}

// `product(row, table)` for rows [begin, end), with a Table made of each group's values.
template <class Table, class Product>
void RowsByGroup(const PackedMatvecArguments& a, std::int64_t begin, std::int64_t end, const Product& product) {
  const std::int64_t row_bytes = a.shape.row_bytes();
  while (begin < end) {
    const std::int64_t group = begin / a.shape.group_rows;
    const std::int64_t group_end = (group + 1) * a.shape.group_rows < end ? (group + 1) * a.shape.group_rows : end;
    const float* values = a.tables + group * a.shape.clusters();
    const Table table(values);
    for (; begin < group_end; ++begin) {
      const std::int64_t at = begin * row_bytes;
      const PackedRow row{a.indices + at, a.shape.index_bytes() - at, a.shape.columns, values, a.x};
      a.y[begin] = product(row, table);
    }
  }
}

template <int kBits>
void Rows(const PackedMatvecArguments& a, std::int64_t begin, std::int64_t end) {
#if HWY_TARGET == HWY_AVX3_DL
  if constexpr (kBits >= 7) {  // with 6 bits permuting floats is faster
    const WideCutter<kBits> cutter;
    return RowsByGroup<WideTable<kBits> >(a, begin, end,
                                          [&](const PackedRow& row, const WideTable<kBits>& table)
                                              HWY_ATTR { return WideRowProduct<kBits>(row, table, cutter); });
  }
#endif
  const Cutter<kBits> first(0);
  const Cutter<kBits> second(1);
  RowsByGroup<Table<kBits> >(a, begin, end, [&](const PackedRow& row, const Table<kBits>& table) HWY_ATTR {
    return RowProduct<kBits>(row, table, first, second);
  });
}
#endif

void RowsOf(const PackedMatvecArguments& a, std::int64_t begin, std::int64_t end) {
  switch (a.shape.bits) {
    case 1: return Rows<1>(a, begin, end);
    case 2: return Rows<2>(a, begin, end);
    case 3: return Rows<3>(a, begin, end);
    case 4: return Rows<4>(a, begin, end);
    case 5: return Rows<5>(a, begin, end);
    case 6: return Rows<6>(a, begin, end);
    case 7: return Rows<7>(a, begin, end);
    default: return Rows<8>(a, begin, end);
  }
}

float DenseRow(const std::uint16_t* weights, const float* x, std::int64_t columns) {
  const F d;
  const hn::Rebind<std::uint16_t, F> du16;
  constexpr std::int64_t kStep = static_cast<std::int64_t>(kLanes);
  VF sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  const auto product = [&](std::int64_t at, VF sum) HWY_ATTR {
    const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(U(), hn::LoadU(du16, weights + at)));
    return hn::MulAdd(hn::BitCast(d, bits), hn::LoadU(d, x + at), sum);
  };
  std::int64_t i = 0;
  for (; i + 4 * kStep <= columns; i += 4 * kStep) {
    for (std::int64_t part = 0; part < 4; ++part) sums[part] = product(i + part * kStep, sums[part]);
  }
  for (; i + kStep <= columns; i += kStep) sums[0] = product(i, sums[0]);
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]))));
  for (; i < columns; ++i) {
    const std::uint32_t bits = std::uint32_t{weights[i]} << 16;
    float weight;
    std::memcpy(&weight, &bits, sizeof weight);
    sum += weight * x[i];
  }
  return sum;
}

}  // namespace HWY_NAMESPACE
}  // namespace tierlib::dkm::host
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tierlib::dkm::host {

HWY_EXPORT(RowsOf);
HWY_EXPORT(DenseRow);

namespace {
constexpr std::int64_t kWeightsOfTile = 1 << 16;  // enough to be worth handing to a thread

std::int64_t RowsOfTile(std::int64_t columns) { return columns >= kWeightsOfTile ? 1 : kWeightsOfTile / (columns + 1); }
}  // namespace

void PackedMatvec(ThreadPool& pool, const PackedMatvecArguments& a) {
  pool.ParallelFor(a.shape.rows, RowsOfTile(a.shape.columns) + 1, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(RowsOf)(a, begin, end);
  });
}

void PackedMatvecReference(const PackedMatvecArguments& a) {
  for (std::int64_t row = 0; row < a.shape.rows; ++row) {
    const std::uint8_t* indices = a.indices + row * a.shape.row_bytes();
    const float* table = a.tables + row / a.shape.group_rows * a.shape.clusters();
    double sum = 0;
    for (std::int64_t i = 0; i < a.shape.columns; ++i) {
      sum += static_cast<double>(table[IndexAt(indices, a.shape.bits, i)]) * a.x[i];
    }
    a.y[row] = static_cast<float>(sum);
  }
}

void DenseBF16Matvec(ThreadPool& pool, std::int64_t rows, std::int64_t columns, const std::uint16_t* weights,
                     const float* x, float* y) {
  pool.ParallelFor(rows, RowsOfTile(columns) + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      y[row] = HWY_DYNAMIC_DISPATCH(DenseRow)(weights + row * columns, x, columns);
    }
  });
}

}  // namespace tierlib::dkm::host
#endif  // HWY_ONCE
