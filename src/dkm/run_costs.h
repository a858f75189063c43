// What it costs to have one centroid for a run of sorted values. For one group of values; const members from any
// thread.
#ifndef TIERLIB_SRC_DKM_RUN_COSTS_H_
#define TIERLIB_SRC_DKM_RUN_COSTS_H_

#include <cstddef>
#include <vector>

#include "dkm/kmeans_1d.h"

namespace tierlib::dkm {

// The cost of a run of values in constant time: from sums of 1, x and x^2. These cancel where a run is narrow beside
// its distance from 0, or where an outlier is among the sums. So x is measured from the middle value, and the sums grow
// from there in both directions: what a run subtracts is never larger than what its own end has.
class RunCosts {
 public:
  // REQUIRES: there is a value.
  explicit RunCosts(const WeightedValues& sorted) : sums_(sorted.values.size() + 1) {
    const std::size_t middle = Middle(sorted);
    origin_ = sorted.values[middle];
    for (std::size_t i = middle; i < count(); ++i) Step(sorted, i, i, i + 1, 1);
    for (std::size_t i = middle; i > 0; --i) Step(sorted, i - 1, i, i - 1, -1);
  }

  // How many values there are. Borders of runs are 0 to count().
  std::size_t count() const { return sums_.size() - 1; }

  // The sum of squared distances to the mean, of the values [begin, end). REQUIRES: begin < end.
  double Cost(std::size_t begin, std::size_t end) const {
    const Sums& from = sums_[begin];
    const Sums& to = sums_[end];
    const double sum = to.value - from.value;
    const double cost = (to.square - from.square) - sum * sum / (to.weight - from.weight);
    return cost > 0 ? cost : 0;
  }
  double Mean(std::size_t begin, std::size_t end) const {
    return origin_ + (sums_[end].value - sums_[begin].value) / (sums_[end].weight - sums_[begin].weight);
  }

 private:
  // Of the values between a border and the middle, negative before the middle.
  struct Sums {
    double weight = 0;
    double value = 0;
    double square = 0;
  };

  static std::size_t Middle(const WeightedValues& sorted) {
    double total = 0;
    for (const double count : sorted.counts) total += count;
    double before = 0;
    std::size_t i = 0;
    while (i + 1 < sorted.counts.size() && before + sorted.counts[i] < total / 2) before += sorted.counts[i++];
    return i;
  }

  // Sums at border `to` from those at `from`, value `i` between them.
  void Step(const WeightedValues& sorted, std::size_t i, std::size_t from, std::size_t to, double sign) {
    const double weight = sign * sorted.counts[i];
    const double x = sorted.values[i] - origin_;
    sums_[to] = {sums_[from].weight + weight, sums_[from].value + weight * x, sums_[from].square + weight * x * x};
  }

  double origin_ = 0;
  std::vector<Sums> sums_;  // at each border
};

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_RUN_COSTS_H_
