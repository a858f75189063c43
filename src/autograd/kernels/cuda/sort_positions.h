// SortPositions: positions 0 ... count - 1 in the order of small keys, and in ascending order where keys are equal: a
// radix sort by four bits at a time, on one block. Each thread owns a run of consecutive positions, so that the sort is
// stable without an atomic. A batch has some ten thousand keys: more blocks would cost more launches than they save.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_SORT_POSITIONS_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_SORT_POSITIONS_H_

#include <cstdint>

#include "base/cuda/grid.h"

namespace tierlib::autograd::cuda {

struct SortPositions {
  static constexpr int kThreads = 512;
  static constexpr int kDigits = 16;
  static constexpr int kDigitBits = 4;
  static constexpr int kRun = 16;  // threads whose counts are added up by one
  static constexpr int kRuns = kThreads / kRun;
  struct Shared {
    std::uint32_t counts[kDigits][kThreads];  // of a thread's positions; then where its next one goes
    std::uint32_t runs[kDigits][kRuns];
    std::uint32_t digits[kDigits];
  };
  static constexpr int kStartPhases = 0;
  static constexpr int kRoundPhases = 5;
  static constexpr int kFinishPhases = 0;

  const std::int32_t* keys = nullptr;  // [count]; what is not in [0, key_limit) counts as key_limit
  std::int64_t count = 0;
  std::int32_t key_limit = 0;
  std::int32_t* orders[2] = {};  // [count] each; the result is in orders[result()]

  int result() const { return static_cast<int>(Rounds(0) % 2); }

  TIERLIB_HOST_DEVICE std::int32_t KeyOf(std::int32_t position) const {
    const std::int32_t key = keys[position];
    return key < 0 || key > key_limit ? key_limit : key;
  }
  TIERLIB_HOST_DEVICE std::int64_t Rounds(int) const {
    int rounds = 1;
    for (std::int32_t rest = key_limit >> kDigitBits; rest > 0; rest >>= kDigitBits) ++rounds;
    return rounds;
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int, Shared*) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}

  // Calls body(position, digit) for the thread's positions.
  template <class Body>
  TIERLIB_HOST_DEVICE void ForEach(std::int64_t round, int thread, const Body& body) const {
    const std::int64_t each = (count + kThreads - 1) / kThreads;
    const std::int64_t end = (thread + 1) * each < count ? (thread + 1) * each : count;
    for (std::int64_t i = thread * each; i < end; ++i) {
      const std::int32_t position = round == 0 ? static_cast<std::int32_t>(i) : orders[round % 2][i];
      body(position, KeyOf(position) >> (round * kDigitBits) & (kDigits - 1));
    }
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int, int thread, Shared* s) const {
    if constexpr (kPhase == 0) {
      for (int d = 0; d < kDigits; ++d) s->counts[d][thread] = 0;
      ForEach(round, thread, [&](std::int32_t, int digit) { ++s->counts[digit][thread]; });
    } else if constexpr (kPhase == 1) {  // kDigits * kRuns is the number of threads
      std::uint32_t sum = 0;
      for (int i = 0; i < kRun; ++i) sum += s->counts[thread / kRuns][thread % kRuns * kRun + i];
      s->runs[thread / kRuns][thread % kRuns] = sum;
    } else if constexpr (kPhase == 2) {
      if (thread >= kDigits) return;
      std::uint32_t sum = 0;
      for (int run = 0; run < kRuns; ++run) {
        const std::uint32_t here = s->runs[thread][run];
        s->runs[thread][run] = sum;
        sum += here;
      }
      s->digits[thread] = sum;
    } else if constexpr (kPhase == 3) {
      std::uint32_t at = s->runs[thread / kRuns][thread % kRuns];
      for (int d = 0; d < thread / kRuns; ++d) at += s->digits[d];
      for (int i = 0; i < kRun; ++i) {
        std::uint32_t& place = s->counts[thread / kRuns][thread % kRuns * kRun + i];
        const std::uint32_t here = place;
        place = at;
        at += here;
      }
    } else {
      std::int32_t* const to = orders[(round + 1) % 2];
      ForEach(round, thread, [&](std::int32_t position, int digit) { to[s->counts[digit][thread]++] = position; });
    }
  }
};
static_assert(SortPositions::kDigits * SortPositions::kRuns == SortPositions::kThreads);

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_SORT_POSITIONS_H_
