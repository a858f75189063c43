// DKM written the long way, for tests of its kernels.
#ifndef TIERLIB_TESTS_DKM_DENSE_REFERENCE_H_
#define TIERLIB_TESTS_DKM_DENSE_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "dkm/golden.h"
#include "dkm/kernels/tiled.h"

namespace tierlib::dkm::host {

// max_j ||to_j - from_j|| of vectors of d.
inline double FurthestMove(const std::vector<double>& from, const std::vector<double>& to, std::size_t d) {
  double furthest = 0;
  for (std::size_t j = 0; j < from.size(); j += d) {
    double square = 0;
    for (std::size_t e = j; e < j + d; ++e) square += std::pow(to[e] - from[e], 2);
    furthest = std::max(furthest, std::sqrt(square));
  }
  return furthest;
}

// W~ by the formulas of tiled.h as they stand, with whole N x k maps, in float64. Shares no code with the kernels.
// `run` gets how many iterations did; null: not wanted.
inline std::vector<double> Dense(const TiledShape& shape, const std::vector<double>& w, std::vector<double> c,
                                 int* run = nullptr) {
  const std::size_t n = static_cast<std::size_t>(shape.vectors);
  const std::size_t k = static_cast<std::size_t>(shape.clusters);
  const std::size_t d = static_cast<std::size_t>(shape.dim);
  std::vector<double> a(n * k);
  const auto attend = [&] {
    for (std::size_t i = 0; i < n; ++i) {
      double largest = -INFINITY;
      double sum = 0;
      for (std::size_t j = 0; j < k; ++j) {
        double f = 0;
        for (std::size_t e = 0; e < d; ++e) f += std::pow(w[i * d + e] - c[j * d + e], 2);
        if (shape.metric == Metric::kEuclidean) f = std::sqrt(f);
        if (j == 0) f -= shape.prune_threshold;
        a[i * k + j] = -f / shape.tau;
        largest = std::max(largest, a[i * k + j]);
      }
      for (std::size_t j = 0; j < k; ++j) sum += a[i * k + j] = std::exp(a[i * k + j] - largest);
      for (std::size_t j = 0; j < k; ++j) a[i * k + j] = std::max(a[i * k + j] / sum, shape.attention_floor);
    }
  };
  for (int t = 1; t <= shape.iterations; ++t) {
    const std::vector<double> before = c;
    attend();
    for (std::size_t j = 0; j < k; ++j) {
      double mass = 0;
      for (std::size_t i = 0; i < n; ++i) mass += a[i * k + j];
      for (std::size_t e = 0; e < d; ++e) {
        double moment = 0;
        for (std::size_t i = 0; i < n; ++i) moment += a[i * k + j] * w[i * d + e];
        c[j * d + e] = (moment + kMassFloor * c[j * d + e]) / (mass + kMassFloor);
      }
    }
    if (run != nullptr) *run = t;
    if (shape.epsilon > 0 && FurthestMove(before, c, d) <= shape.epsilon) break;
  }
  if (shape.attention == Attention::kRecomputed) attend();
  std::vector<double> output(n * d, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < k; ++j) {
      for (std::size_t e = 0; e < d; ++e) output[i * d + e] += a[i * k + j] * c[j * d + e];
    }
  }
  return output;
}

template <typename T>
std::vector<T> As(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

inline TiledShape ShapeOf(const Golden& golden) {
  return {golden.vectors, golden.dim, golden.clusters, golden.iterations, golden.metric, golden.attention, golden.tau};
}

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_TESTS_DKM_DENSE_REFERENCE_H_
