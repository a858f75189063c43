// The gradient in float64, straight from the formulas: slow, and nobody else's code.
//
//   s_ij = softmax_j(-(w_i - c_j)^2 / tau)      a_ij = s_ij, or clamp(s_ij, 1e-7, 1)
//   m_j  = sum_i a_ij + phi                     c'_j = (sum_i a_ij w_i + phi c_j) / m_j
//
// T times, and W~_i = sum_j a_ij c'_j with the last ones. phi keeps an empty cluster where it is
// (dkm/kernels/tiled.h).
#include <algorithm>
#include <bit>
#include <cmath>

#include "ablation/problem.h"
#include "dkm/kernels/tiled.h"

namespace tierlib::bench {
namespace {

constexpr std::int64_t kTile = 4096;
constexpr int kMost = 256;  // clusters
constexpr double kSmallest = 1e-7;
constexpr double kPhi = dkm::host::kMassFloor;

using Row = double[kMost];
using Centroids = std::vector<double>;

class Reference {
 public:
  Reference(const Problem& problem, bool clamp, ThreadPool& pool)
      : problem_(problem), clamp_(clamp), pool_(pool), k_(problem.clusters()) {}

  std::vector<double> Gradient() {
    std::vector<Centroids> path = {{problem_.start.begin(), problem_.start.end()}};
    std::vector<Centroids> masses;
    for (int t = 0; t < problem_.iterations; ++t) Advance(path, masses);
    gradient_.assign(static_cast<std::size_t>(problem_.count()), 0);
    // Of the output: W~_i = sum_j a_ij c'_j.
    Centroids slope = SumOverWeights(k_, [&](std::int64_t i, double* sums) {
      Row s, a;
      Attend(path[path.size() - 2], W(i), s, a);
      for (int j = 0; j < k_; ++j) sums[j] += a[j] * G(i);
    });
    for (std::size_t t = masses.size(); t-- > 0;) {
      slope = StepBack(path[t], path[t + 1], masses[t], slope, /*last=*/t + 1 == masses.size());
    }
    return std::move(gradient_);
  }

 private:
  static double Wide(std::uint16_t bits) {
    return static_cast<double>(std::bit_cast<float>(std::uint32_t{bits} << 16));
  }
  double W(std::int64_t i) const { return Wide(problem_.weights[static_cast<std::size_t>(i)]); }
  double G(std::int64_t i) const { return Wide(problem_.gradient[static_cast<std::size_t>(i)]); }

  void Attend(const Centroids& c, double w, double* s, double* a) const {
    double largest = -INFINITY, sum = 0;
    for (int j = 0; j < k_; ++j) {
      const double difference = w - c[static_cast<std::size_t>(j)];
      s[j] = -difference * difference / problem_.tau;
      largest = std::max(largest, s[j]);
    }
    for (int j = 0; j < k_; ++j) sum += s[j] = std::exp(s[j] - largest);
    for (int j = 0; j < k_; ++j) {
      s[j] /= sum;
      a[j] = clamp_ ? std::clamp(s[j], kSmallest, 1.0) : s[j];
    }
  }

  // `figures` sums over all i of what body(i, sums) adds, tile by tile in a fixed order.
  template <typename Body>
  Centroids SumOverWeights(int figures, const Body& body) {
    const std::int64_t tiles = (problem_.count() + kTile - 1) / kTile;
    std::vector<double> partial(static_cast<std::size_t>(tiles * figures), 0);
    pool_.ParallelFor(problem_.count(), kTile, [&](std::int64_t begin, std::int64_t end) {
      double* const sums = partial.data() + begin / kTile * figures;
      for (std::int64_t i = begin; i < end; ++i) body(i, sums);
    });
    Centroids total(static_cast<std::size_t>(figures), 0);
    for (std::size_t p = 0; p < partial.size(); ++p) total[p % total.size()] += partial[p];
    return total;
  }

  void Advance(std::vector<Centroids>& path, std::vector<Centroids>& masses) {
    const Centroids& c = path.back();
    const Centroids sums = SumOverWeights(2 * k_, [&](std::int64_t i, double* into) {
      Row s, a;
      Attend(c, W(i), s, a);
      for (int j = 0; j < k_; ++j) {
        into[j] += a[j];
        into[k_ + j] += a[j] * W(i);
      }
    });
    Centroids next, mass;
    for (std::size_t j = 0; j < c.size(); ++j) {
      mass.push_back(sums[j] + kPhi);
      next.push_back((sums[c.size() + j] + kPhi * c[j]) / mass[j]);
    }
    path.push_back(std::move(next));
    masses.push_back(std::move(mass));
  }

  // From dL/dc' of one iteration to dL/dc; adds to dL/dw.
  Centroids StepBack(const Centroids& c, const Centroids& next, const Centroids& mass, const Centroids& slope,
                     bool last) {
    Centroids of_moment(slope.size()), of_mass(slope.size());
    for (std::size_t j = 0; j < slope.size(); ++j) {
      of_moment[j] = slope[j] / mass[j];
      of_mass[j] = -slope[j] * next[j] / mass[j];
    }
    Centroids before = SumOverWeights(k_, [&](std::int64_t i, double* into) {
      Row s, a, da;
      const double w = W(i);
      Attend(c, w, s, a);
      double dw = 0, mean = 0;
      for (int j = 0; j < k_; ++j) {
        const auto at = static_cast<std::size_t>(j);
        dw += a[j] * of_moment[at];
        da[j] = of_moment[at] * w + of_mass[at] + (last ? G(i) * next[at] : 0);
        if (clamp_ && s[j] < kSmallest) da[j] = 0;
        mean += s[j] * da[j];
      }
      for (int j = 0; j < k_; ++j) {
        const double dz = s[j] * (da[j] - mean) * 2 * (w - c[static_cast<std::size_t>(j)]) / problem_.tau;
        dw -= dz;
        into[j] += dz;
      }
      gradient_[static_cast<std::size_t>(i)] += dw;
    });
    for (std::size_t j = 0; j < before.size(); ++j) before[j] += kPhi * of_moment[j];
    return before;
  }

  const Problem& problem_;
  const bool clamp_;
  ThreadPool& pool_;
  const int k_;
  std::vector<double> gradient_;
};

}  // namespace

std::vector<double> TrueGradient(const Problem& problem, bool clamp, ThreadPool& pool) {
  return Reference(problem, clamp, pool).Gradient();
}

}  // namespace tierlib::bench
