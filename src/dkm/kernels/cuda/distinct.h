// Distinct values on CUDA devices: the list of the patterns that weights have, and tables for all patterns made of it.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_DISTINCT_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_DISTINCT_H_

#include <cstdint>

#include "dkm/kernels/cuda/gather.h"
#include "dkm/kernels/cuda/sum_gradients.h"
#include "dkm/kernels/cuda/tile_pass.h"

namespace tierlib::dkm::cuda {

inline constexpr std::int64_t kNoPosition = std::int64_t{0x7fffffffffffffff};

// Distinct values in the order of their patterns, on the device.
struct Distinct {
  std::int64_t* count = nullptr;      // U
  std::uint16_t* patterns = nullptr;  // [U]
  double* values = nullptr;           // [U]
  double* counts = nullptr;           // [U]: n_u
  double* sums = nullptr;             // [U]: S_u; null in the forward pass
};

// Lists what has a count. The negative zero is counted with the other. One block. Reference: ListCounted and ListSummed
// in host/distinct.cc.
struct ListDistinct {
  static constexpr int kThreads = 1024;
  static constexpr int kEach = kPatterns / kThreads;  // patterns of a thread
  static constexpr int kGroup = 32;                   // threads whose numbers one adds up
  static constexpr int kStartPhases = 4;
  static constexpr int kRoundPhases = 0;
  static constexpr int kFinishPhases = 0;
  struct Shared {
    int counts[kThreads];
    int smallest[kThreads];
    int largest[kThreads];
    int before[kThreads / kGroup];
  };

  DType pattern = DType::kBF16;
  const std::uint64_t* counts = nullptr;  // [patterns]
  const std::int64_t* sums = nullptr;     // [patterns] in fixed point; null in the forward pass
  const std::uint32_t* largest_gradient = nullptr;
  double* range = nullptr;  // [2], written: the smallest and the largest magnitude but zero; null: not wanted
  Distinct distinct;
  std::int64_t* first_non_finite = nullptr;  // written: none; null: not wanted

  TIERLIB_HOST_DEVICE std::int64_t Rounds(int) const { return 0; }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t, int, int, Shared*) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}

  TIERLIB_HOST_DEVICE std::uint64_t CountOf(int u) const {
    if (u == kSign) return 0;
    return u == 0 ? counts[0] + counts[kSign] : counts[u];
  }

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int thread, Shared* shared) const {
    const int begin = thread * kEach;
    if constexpr (kPhase == 0) {
      int found = 0, smallest = kSign, largest = 0;
      for (int u = begin; u < begin + kEach; ++u) {
        if (CountOf(u) == 0) continue;
        ++found;
        const int magnitude = u & (kSign - 1);
        if (magnitude == 0) continue;
        if (magnitude < smallest) smallest = magnitude;
        if (magnitude > largest) largest = magnitude;
      }
      shared->counts[thread] = found;
      shared->smallest[thread] = smallest;
      shared->largest[thread] = largest;
    } else if constexpr (kPhase == 1) {
      if (thread >= kThreads / kGroup) return;
      const int first = thread * kGroup;
      int sum = 0;
      for (int i = first; i < first + kGroup; ++i) {
        sum += shared->counts[i];
        if (shared->smallest[i] < shared->smallest[first]) shared->smallest[first] = shared->smallest[i];
        if (shared->largest[i] > shared->largest[first]) shared->largest[first] = shared->largest[i];
      }
      shared->before[thread] = sum;
    } else if constexpr (kPhase == 2) {
      if (thread == 0) Total(shared);
    } else {
      int at = shared->before[thread / kGroup];
      for (int i = thread / kGroup * kGroup; i < thread; ++i) at += shared->counts[i];
      for (int u = begin; u < begin + kEach; ++u) {
        if (const std::uint64_t n = CountOf(u); n != 0) Write(at++, u, n);
      }
    }
  }

  TIERLIB_HOST_DEVICE void Total(Shared* shared) const {
    int total = 0, smallest = kSign, largest = 0;
    for (int group = 0; group < kThreads / kGroup; ++group) {
      const int own = shared->before[group];
      shared->before[group] = total;
      total += own;
      const int first = group * kGroup;
      if (shared->smallest[first] < smallest) smallest = shared->smallest[first];
      if (shared->largest[first] > largest) largest = shared->largest[first];
    }
    *distinct.count = total;
    if (first_non_finite != nullptr) *first_non_finite = kNoPosition;
    if (range == nullptr) return;
    range[0] = largest == 0 ? 1 : smallest;
    range[1] = largest;
  }

  TIERLIB_HOST_DEVICE void Write(int at, int u, std::uint64_t n) const {
    distinct.patterns[at] = static_cast<std::uint16_t>(u);
    distinct.values[at] = static_cast<double>(FromBits(pattern, static_cast<std::uint16_t>(u)));
    distinct.counts[at] = static_cast<double>(n);
    if (sums == nullptr) return;
    const std::int64_t sum = sums[u] + (u == 0 ? sums[kSign] : 0);
    distinct.sums[at] = FixedPoint::For(*largest_gradient).Sum(sum);
  }
};

// table[u] = W~ of pattern u, or the nearest of C_T. Fills the patterns that weights have, both zeros alike.
struct FillTable : PlainKernel {
  Path<double> path;
  DType pattern = DType::kBF16;
  DType stored = DType::kBF16;
  bool nearest = false;
  int blocks = 0;
  const std::uint64_t* counts = nullptr;  // [patterns]
  void* table = nullptr;                  // [patterns] of `stored`

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    for (int u = block * kThreads + thread; u < kPatterns; u += blocks * kThreads) {
      if (counts[u] == 0) continue;
      // From +0.0 for both zeros.
      const int one = u == kSign ? 0 : u;
      const auto w = static_cast<double>(FromBits(pattern, static_cast<std::uint16_t>(one)));
      WriteElement(stored, table, u, static_cast<float>(nearest ? Nearest(w) : Attended(w)));
    }
  }

  TIERLIB_HOST_DEVICE double DistanceTo(double w, const double* centroids, int j) const {
    const double distance = Distance(path.shape, &w, centroids + j);
    return j == 0 ? distance - path.shape.prune_threshold : distance;
  }

  TIERLIB_HOST_DEVICE double Attended(double w) const {
    const int k = path.shape.clusters;
    const double* const centroids = path.attended();
    const double* const values = path.centroids(path.shape.iterations);
    const double scale = ExponentScale(double{}, path.shape.tau);
    double least = static_cast<double>(HUGE_VALF);
    for (int j = 0; j < k; ++j) {
      const double distance = DistanceTo(w, centroids, j);
      if (distance < least) least = distance;
    }
    double total = 0, sum = 0;
    for (int j = 0; j < k; ++j) total += Exponential((least - DistanceTo(w, centroids, j)) * scale);
    for (int j = 0; j < k; ++j) {
      const double attention = Exponential((least - DistanceTo(w, centroids, j)) * scale) / total;
      sum = Fma(attention < path.shape.attention_floor ? path.shape.attention_floor : attention, values[j], sum);
    }
    return sum;
  }

  // Ties: the lowest index; of a weight that is not finite: the first.
  TIERLIB_HOST_DEVICE double Nearest(double w) const {
    const double* const values = path.centroids(path.shape.iterations);
    double least = static_cast<double>(HUGE_VALF);
    int nearest_index = 0;
    for (int j = 0; j < path.shape.clusters; ++j) {
      const double distance = DistanceTo(w, values, j);
      if (distance < least) {
        least = distance;
        nearest_index = j;
      }
    }
    return values[nearest_index];
  }
};

// table[patterns[i]] = {slope[i], offset[i]}; the zeros have one entry's value. Reference: Backward in host/exact.cc.
struct SpreadSlopes : PlainKernel {
  Distinct distinct;
  const double* slope = nullptr;   // [U]
  const double* offset = nullptr;  // [U]
  int blocks = 0;
  SlopeOffset* table = nullptr;  // [patterns]

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    for (std::int64_t i = block * kThreads + thread; i < *distinct.count; i += std::int64_t{blocks} * kThreads) {
      const SlopeOffset entry{static_cast<float>(slope[i]), static_cast<float>(offset[i])};
      table[distinct.patterns[i]] = entry;
      if (distinct.patterns[i] == 0) table[kSign] = entry;
    }
  }
};

// Tells the host of the first weight that is not finite. One block.
struct ReportNonFinite : PlainKernel {
  static constexpr int kThreads = 32;
  const std::int64_t* found = nullptr;
  std::int64_t* told = nullptr;  // memory that the host sees
  std::int64_t before = 0;       // positions before the first

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int thread, Shared*) const {
    if (thread == 0 && *found != kNoPosition && before + *found < *told) *told = before + *found;
  }
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_DISTINCT_H_
