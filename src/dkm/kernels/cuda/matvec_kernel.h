// Packed matrix times vector on CUDA devices.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_MATVEC_KERNEL_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_MATVEC_KERNEL_H_

#include <cstddef>
#include <cstdint>

#include "dkm/kernels/cuda/number.h"
#include "dkm/kernels/cuda/palette.h"

namespace tierlib::dkm::cuda {

// A block takes eight rows at a time, 32 threads for each; a thread takes runs of 32 indices, which are `bits` words.
// x lies in shared memory, transposed within its runs so that neighbours read neighbours, as much of it at a time as
// fits; with up to 4 bits the table has a pair of values for each pair of indices, one access for two. What is left of
// a row behind its last run goes through bytes. Rows of a block share one table, or take their tables from memory.
// Reference: PackedMatvecReference.
struct MatvecKernel {
  using Shared = float;
  static constexpr int kThreads = 256;
  static constexpr int kLanes = 32;
  static constexpr int kRows = kThreads / kLanes;
  static constexpr int kRun = 32;
  static constexpr int kStartPhases = 1;
  static constexpr int kRoundPhases = 4;
  static constexpr int kFinishPhases = 0;

  MatvecArguments a;
  std::int64_t row_bytes = 0;
  int stretch = 0;  // columns of x in shared memory at a time, a multiple of kRun
  int stretches = 0;
  int blocks = 0;
  bool words = false;  // rows begin at multiples of 4 bytes

  void Set(const MatvecArguments& arguments, const DeviceLimits& limits) {
    a = arguments;
    row_bytes = a.shape.row_bytes();
    words = row_bytes % 4 == 0 && reinterpret_cast<std::uintptr_t>(a.packed) % 4 == 0;
    const std::int64_t room = (limits.shared_bytes - FixedFloats() * 4) / 4 / kRun * kRun;
    const std::int64_t wanted = a.shape.columns == 0 ? kRun : (a.shape.columns + kRun - 1) / kRun * kRun;
    stretch = static_cast<int>(wanted < room ? wanted : room);
    stretches = static_cast<int>((wanted + stretch - 1) / stretch);
    blocks = BlocksFor((a.shape.rows + kRows - 1) / kRows, 1, 2 * std::int64_t{limits.processors});
  }
  std::size_t SharedBytes() const { return static_cast<std::size_t>(FixedFloats() + stretch) * sizeof(float); }

  TIERLIB_HOST_DEVICE bool Pairs() const { return a.shape.bits <= 4; }
  TIERLIB_HOST_DEVICE int TableFloats() const { return Pairs() ? 2 << (2 * a.shape.bits) : 1 << a.shape.bits; }
  TIERLIB_HOST_DEVICE int FixedFloats() const { return kThreads + TableFloats(); }
  TIERLIB_HOST_DEVICE float* SumsIn(Shared* shared) const { return shared; }
  TIERLIB_HOST_DEVICE float* TableIn(Shared* shared) const { return shared + kThreads; }
  TIERLIB_HOST_DEVICE float* XIn(Shared* shared) const { return shared + FixedFloats(); }

  // A round is one stretch of eight rows.
  struct Place {
    std::int64_t first_row;
    std::int64_t row;
    std::int64_t begin;  // column
    std::int64_t end;
    bool first;
    bool last;
  };
  TIERLIB_HOST_DEVICE Place PlaceOf(std::int64_t round, int block, int thread) const {
    const std::int64_t part = round % stretches;
    Place p;
    p.first_row = (block + round / stretches * blocks) * kRows;
    p.row = p.first_row + thread / kLanes;
    p.begin = part * stretch;
    p.end = p.begin + stretch < a.shape.columns ? p.begin + stretch : a.shape.columns;
    p.first = part == 0;
    p.last = part == stretches - 1;
    return p;
  }
  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const {
    const std::int64_t turns = (a.shape.rows + kRows - 1) / kRows;
    return turns <= block ? 0 : (turns - block + blocks - 1) / blocks * stretches;
  }
  TIERLIB_HOST_DEVICE const float* TableOf(std::int64_t row) const {
    return a.tables + row / a.shape.group_rows * (std::int64_t{1} << a.shape.bits);
  }
  // All rows of the place have one table.
  TIERLIB_HOST_DEVICE bool Shares(const Place& p) const {
    const std::int64_t last = p.first_row + kRows - 1 < a.shape.rows ? p.first_row + kRows - 1 : a.shape.rows - 1;
    return p.first_row / a.shape.group_rows == last / a.shape.group_rows;
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int thread, Shared* shared) const {
    SumsIn(shared)[thread] = 0;
    if (stretches == 1) LoadX(PlaceOf(0, 0, 0), thread, shared);  // once for all rows
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}

  TIERLIB_HOST_DEVICE void LoadX(const Place& p, int thread, Shared* shared) const {
    const int runs = stretch / kRun;
    float* const x = XIn(shared);
    for (int i = thread; i < stretch; i += kThreads) {
      // Two values side by side, so that they are one access.
      const int at = (i % kRun / 2 * runs + i / kRun) * 2 + i % 2;
      x[at] = p.begin + i < a.shape.columns ? a.x[p.begin + i] : 0.0f;
    }
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const Place p = PlaceOf(round, block, thread);
    if constexpr (kPhase == 0) {
      if (stretches > 1) LoadX(p, thread, shared);
      if (p.first && Shares(p)) LoadTable(TableOf(p.first_row), thread, shared);
      if (p.first) SumsIn(shared)[thread] = 0;
    } else if constexpr (kPhase == 1) {
      if (p.row >= a.shape.rows) return;
      float sum = SumsIn(shared)[thread];
      const std::int64_t runs = (p.end - p.begin) / kRun;
      for (std::int64_t run = thread % kLanes; run < runs; run += kLanes) sum = AddRun(p, run, shared, sum);
      SumsIn(shared)[thread] = sum;
    } else if constexpr (kPhase == 2) {
      if (p.row < a.shape.rows && p.last) AddRest(p, thread, shared);
    } else if (p.last && thread % kLanes == 0 && p.row < a.shape.rows) {
      float sum = 0;
      for (int lane = 0; lane < kLanes; ++lane) sum += SumsIn(shared)[thread + lane];
      a.y[p.row] = sum;
    }
  }

  TIERLIB_HOST_DEVICE void LoadTable(const float* table, int thread, Shared* shared) const {
    const int mask = (1 << a.shape.bits) - 1;
    for (int i = thread; i < TableFloats(); i += kThreads) {
      const int index = !Pairs() ? i : (i % 2 == 0 ? i / 2 & mask : i / 2 >> a.shape.bits);
      TableIn(shared)[i] = table[index];
    }
  }

  struct alignas(8) TwoFloats {
    float first, second;
  };

  // A run's indices are `bits` words.
  TIERLIB_HOST_DEVICE std::uint32_t Word(const Place& p, std::int64_t run, int word) const {
    const std::int64_t at = p.row * row_bytes + ((p.begin + run * kRun) / 8 * a.shape.bits) + word * 4;
    if (words) return *reinterpret_cast<const std::uint32_t*>(a.packed + at);
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value |= std::uint32_t{a.packed[at + i]} << (8 * i);
    return value;
  }

  TIERLIB_HOST_DEVICE float AddRun(const Place& p, std::int64_t run, Shared* shared, float sum) const {
    const int bits = a.shape.bits;
    const int runs = stretch / kRun;
    const bool shares = Shares(p);
    const float* const table = shares ? TableIn(shared) : TableOf(p.row);
    const TwoFloats* const x = reinterpret_cast<const TwoFloats*>(XIn(shared)) + run;
    const bool pairs = shares && Pairs();
    const std::uint32_t mask = (1u << bits) - 1;
    std::uint64_t buffer = 0;
    int filled = 0, word = 0;
    for (int i = 0; i < kRun; i += 2) {
      if (filled < 2 * bits) {
        buffer |= std::uint64_t{Word(p, run, word++)} << filled;
        filled += 32;
      }
      const auto first = static_cast<std::uint32_t>(buffer) & mask;
      const auto second = static_cast<std::uint32_t>(buffer >> bits) & mask;
      const auto both = static_cast<std::uint32_t>(buffer) & ((mask << bits) | mask);
      buffer >>= 2 * bits;
      filled -= 2 * bits;
      const TwoFloats xs = x[std::int64_t{i / 2} * runs];
      const TwoFloats w =
          pairs ? reinterpret_cast<const TwoFloats*>(table)[both] : TwoFloats{table[first], table[second]};
      sum = Fma(w.first, xs.first, sum);
      sum = Fma(w.second, xs.second, sum);
    }
    return sum;
  }

  // Fewer than kRun columns, one to a thread.
  TIERLIB_HOST_DEVICE void AddRest(const Place& p, int thread, Shared* shared) const {
    const std::int64_t i = p.begin + (p.end - p.begin) / kRun * kRun + thread % kLanes;
    if (i >= p.end) return;
    const std::int64_t bit = i * a.shape.bits;
    const std::uint8_t* const byte = a.packed + p.row * row_bytes + bit / 8;
    std::uint32_t value = byte[0];
    if (bit % 8 + a.shape.bits > 8) value |= std::uint32_t{byte[1]} << 8;
    const std::uint32_t index = value >> (bit % 8) & ((1u << a.shape.bits) - 1);
    float& sum = SumsIn(shared)[thread];
    sum = Fma(TableOf(p.row)[index], a.x[i], sum);
  }
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_MATVEC_KERNEL_H_
