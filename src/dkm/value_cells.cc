#include "dkm/value_cells.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "autograd/kernels/host/float16.h"
#include "base/check.h"
#include "base/mutex.h"

namespace tierlib::dkm {
namespace {

constexpr std::size_t kCells = kMostDistinctValues;
constexpr std::int64_t kTile = std::int64_t{1} << 22;        // values; so the 32-bit counts of a tile do not overflow
constexpr std::int64_t kSideBySide = std::int64_t{1} << 18;  // from here on several tables are worth clearing them

template <typename Bits>
Bits Load(const std::byte* data, std::int64_t i) {
  Bits bits;
  std::memcpy(&bits, data + i * static_cast<std::int64_t>(sizeof bits), sizeof bits);
  return bits;
}

struct Tally {
  std::vector<std::uint64_t> counts = std::vector<std::uint64_t>(kCells);
  std::vector<std::uint64_t> sums;  // of what Visit adds; empty: nothing
  std::uint32_t any = 0;            // all bits that are set somewhere
};

// Counts one tile. Equal values that follow each other would wait for the store of the count before: neighbours count
// in tables of their own.
template <bool kSums, class CellOf>
class TileTally {
 public:
  TileTally(const CellOf& cell_of, std::int64_t begin, std::int64_t end)
      : sides_(end - begin < kSideBySide ? 1 : 4), counts_(sides_ * kCells), sums_(kSums ? kCells : 0) {
    std::uint32_t* table[4];
    for (std::size_t side = 0; side < 4; ++side) table[side] = counts_.data() + side % sides_ * kCells;
    std::int64_t i = begin;
    for (; i + 4 <= end; i += 4) {
      for (std::int64_t side = 0; side < 4; ++side) Visit(cell_of, i + side, table[side]);
    }
    for (; i < end; ++i) Visit(cell_of, i, table[0]);
  }

  void AddTo(Tally& tally) const {
    for (std::size_t side = 0; side < sides_; ++side) {
      for (std::size_t cell = 0; cell < kCells; ++cell) tally.counts[cell] += counts_[side * kCells + cell];
    }
    for (std::size_t cell = 0; cell < sums_.size(); ++cell) tally.sums[cell] += sums_[cell];
    tally.any |= any_;
  }

 private:
  void Visit(const CellOf& cell_of, std::int64_t i, std::uint32_t* table) {
    if constexpr (kSums) {
      std::uint32_t rest = 0;
      const std::uint32_t cell = cell_of(i, &rest, &any_);
      ++table[cell];
      sums_[cell] += rest;
    } else {
      ++table[cell_of(i)];
    }
  }

  std::size_t sides_;
  std::vector<std::uint32_t> counts_;  // [sides][cells]
  std::vector<std::uint64_t> sums_;
  std::uint32_t any_ = 0;
};

template <bool kSums, class CellOf>
Tally CountCells(ThreadPool& pool, std::int64_t count, const CellOf& cell_of) {
  Tally tally;
  if (kSums) tally.sums.resize(kCells);
  Mutex mutex;
  pool.ParallelFor(count, kTile, [&](std::int64_t begin, std::int64_t end) {
    const TileTally<kSums, CellOf> tile(cell_of, begin, end);
    MutexLock lock(mutex);
    tile.AddTo(tally);
  });
  return tally;
}

// Which cell a float32 is in: its first 16 bits, then, level by level, further bits of those cells that are not empty.
class CellMap {
 public:
  CellMap() : lowest_(kCells) {
    for (std::size_t cell = 0; cell < kCells; ++cell) lowest_[cell] = static_cast<std::uint32_t>(cell << 16);
  }

  std::uint32_t CellOf(std::uint32_t bits) const {
    std::uint32_t cell = bits >> 16;
    for (const Level& level : levels_) cell = level.first[cell] + ((bits >> level.shift) & level.mask);
    return cell;
  }

  int bits() const { return bits_; }
  std::uint32_t rest_mask() const { return bits_ == 32 ? 0 : ~std::uint32_t{0} >> bits_; }
  std::size_t cells() const { return lowest_.size(); }
  // The mean of the values in a cell. Within a cell, which has one sign and exponent, the value is linear in the bits.
  double Mean(std::size_t cell, std::uint64_t count, std::uint64_t sum) const {
    const double low = std::bit_cast<float>(lowest_[cell]);
    if (sum == 0) return low;
    const double step = static_cast<double>(std::bit_cast<float>(lowest_[cell] + 1)) - low;
    return low + step * (static_cast<double>(sum) / static_cast<double>(count));
  }

  // Splits each cell that is not empty by as many further bits as there is room for, at most `most`. Returns false
  // where there is room for none.
  bool Refine(const std::vector<std::uint64_t>& counts, int most) {
    const std::size_t there =
        cells() - static_cast<std::size_t>(std::count(counts.begin(), counts.begin() + cells(), 0));
    const int more = std::min(most, static_cast<int>(std::bit_width(kCells / there)) - 1);
    if (more < 1) return false;
    bits_ += more;
    Level level{32 - bits_, (std::uint32_t{1} << more) - 1, std::vector<std::uint32_t>(cells())};
    std::vector<std::uint32_t> lowest;
    lowest.reserve(there << more);
    for (std::size_t cell = 0; cell < cells(); ++cell) {
      level.first[cell] = static_cast<std::uint32_t>(lowest.size());
      for (std::uint32_t part = 0; counts[cell] != 0 && part <= level.mask; ++part) {
        lowest.push_back(lowest_[cell] + (part << level.shift));
      }
    }
    levels_.push_back(std::move(level));
    lowest_.swap(lowest);
    return true;
  }

 private:
  struct Level {
    int shift;
    std::uint32_t mask;
    std::vector<std::uint32_t> first;  // cell of the level before -> first of its cells
  };
  int bits_ = 16;
  std::vector<Level> levels_;
  std::vector<std::uint32_t> lowest_;  // of the bit patterns in each cell
};

// Ascending where the patterns' order is that of sign and magnitude: the negative ones backwards, then the others.
template <class ValueOf>
WeightedValues InOrder(std::size_t cells, std::size_t first_negative, const std::vector<std::uint64_t>& counts,
                       const ValueOf& value_of) {
  std::vector<ValueAndCount> pairs;
  const auto add = [&](std::size_t cell) {
    if (counts[cell] != 0) pairs.push_back({value_of(cell), static_cast<double>(counts[cell])});
  };
  for (std::size_t cell = cells; cell > first_negative; --cell) add(cell - 1);
  for (std::size_t cell = 0; cell < first_negative; ++cell) add(cell);
  return MergeEqual(pairs);
}

std::uint16_t ExponentBits(DType dtype) { return dtype == DType::kF16 ? 0x7c00 : 0x7f80; }

}  // namespace

std::vector<std::uint64_t> CountBitPatterns(ThreadPool& pool, const void* data, std::int64_t count) {
  const auto* bytes = static_cast<const std::byte*>(data);
  return CountCells<false>(pool, count, [bytes](std::int64_t i) { return Load<std::uint16_t>(bytes, i); }).counts;
}

float ValueOfBits(DType dtype, std::uint16_t bits) {
  return dtype == DType::kF16 ? autograd::host::FloatFromF16(bits) : autograd::host::FloatFromBF16(bits);
}

bool AllFinite(DType dtype, const std::vector<std::uint64_t>& counts) {
  const std::uint16_t exponent = ExponentBits(dtype);
  for (std::size_t bits = 0; bits < counts.size(); ++bits) {
    if (counts[bits] != 0 && (bits & exponent) == exponent) return false;
  }
  return true;
}

WeightedValues ValuesOfBits(DType dtype, const std::vector<std::uint64_t>& counts) {
  return InOrder(counts.size(), 0x8000, counts, [dtype](std::size_t bits) {
    return static_cast<double>(ValueOfBits(dtype, static_cast<std::uint16_t>(bits)));
  });
}

WeightedValues CellsOfFloats(ThreadPool& pool, const void* data, std::int64_t count) {
  const auto* bytes = static_cast<const std::byte*>(data);
  CellMap map;
  const auto visit = [&](std::int64_t i, std::uint32_t* rest, std::uint32_t* any) {
    const auto bits = Load<std::uint32_t>(bytes, i);
    *rest = bits & map.rest_mask();
    *any |= bits;
    return map.CellOf(bits);
  };
  Tally tally = CountCells<true>(pool, count, visit);
  if (!AllFinite(DType::kBF16, tally.counts)) return {};
  // Bits that no value has set need no cells.
  const int needed = 32 - std::countr_zero(tally.any | 0x80000000u);
  while (map.bits() < needed && map.Refine(tally.counts, needed - map.bits())) {
    tally = CountCells<true>(pool, count, visit);
  }
  std::size_t negative = 0;  // the first cell of negative values
  while (negative < map.cells() && !std::signbit(map.Mean(negative, 1, 0))) ++negative;
  return InOrder(map.cells(), negative, tally.counts,
                 [&](std::size_t cell) { return map.Mean(cell, tally.counts[cell], tally.sums[cell]); });
}

std::int64_t FirstNotFinite(DType dtype, const void* data, std::int64_t count) {
  const auto* bytes = static_cast<const std::byte*>(data);
  const std::uint32_t exponent = dtype == DType::kF32 ? 0x7f800000 : ExponentBits(dtype);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t bits = dtype == DType::kF32 ? Load<std::uint32_t>(bytes, i) : Load<std::uint16_t>(bytes, i);
    if ((bits & exponent) == exponent) return i;
  }
  return -1;
}

}  // namespace tierlib::dkm
