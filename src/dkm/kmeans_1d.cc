#include "dkm/kmeans_1d.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/check.h"

namespace tierlib::dkm {
namespace {

// The cost of a run of values in constant time: from sums of 1, x and x^2. These cancel where a run is narrow beside
// its distance from 0, or where an outlier is among the sums. So x is measured from the middle value, and the sums grow
// from there in both directions: what a run subtracts is never larger than what its own end has.
class RunCosts {
 public:
  explicit RunCosts(const WeightedValues& sorted)
      : weight_(sorted.values.size() + 1), sum_(weight_.size()), square_(weight_.size()) {
    const std::size_t count = sorted.values.size();
    const std::size_t middle = Middle(sorted);
    origin_ = sorted.values[middle];
    for (std::size_t i = middle; i < count; ++i) Step(sorted, i, i, i + 1, 1);
    for (std::size_t i = middle; i > 0; --i) Step(sorted, i - 1, i, i - 1, -1);
  }

  // Of the values [begin, end). REQUIRES: begin < end.
  double Cost(std::size_t begin, std::size_t end) const {
    const double sum = sum_[end] - sum_[begin];
    const double cost = (square_[end] - square_[begin]) - sum * sum / (weight_[end] - weight_[begin]);
    return cost > 0 ? cost : 0;
  }
  double Mean(std::size_t begin, std::size_t end) const {
    return origin_ + (sum_[end] - sum_[begin]) / (weight_[end] - weight_[begin]);
  }

 private:
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
    weight_[to] = weight_[from] + weight;
    sum_[to] = sum_[from] + weight * x;
    square_[to] = square_[from] + weight * x * x;
  }

  double origin_ = 0;
  std::vector<double> weight_;  // at border j: of the values between it and the middle, negative before the middle
  std::vector<double> sum_;
  std::vector<double> square_;
};

// Layer q holds, for each j, the least cost of the first j values in q runs, and where the last of these begins.
class Layers {
 public:
  Layers(const RunCosts& costs, std::size_t count, std::size_t clusters)
      : costs_(costs), count_(count), clusters_(clusters), best_(count + 1), next_(count + 1) {
    begins_.resize((clusters - 1) * (count + 1));
    for (std::size_t j = 1; j <= count; ++j) best_[j] = costs.Cost(0, j);
    for (layer_ = 2; layer_ <= clusters; ++layer_) {
      // The last layer is needed at the end alone, and each layer only where the runs that follow have a value each.
      const std::size_t last = count - (clusters - layer_);
      Solve(layer_ == clusters ? last : layer_, last, layer_ - 1, last - 1);
      best_.swap(next_);
    }
  }

  // Borders of the runs: clusters + 1 of them, from 0 to count.
  std::vector<std::size_t> Borders() const {
    std::vector<std::size_t> borders(clusters_ + 1);
    borders[clusters_] = count_;
    for (std::size_t q = clusters_; q >= 2; --q) borders[q - 1] = begins_[Row(q) + borders[q]];
    return borders;
  }

 private:
  std::size_t Row(std::size_t layer) const { return (layer - 2) * (count_ + 1); }

  // Fills `next_` and the begins for j in [low, high], whose last runs begin in [first, last].
  void Solve(std::size_t low, std::size_t high, std::size_t first, std::size_t last) {
    const std::size_t j = low + (high - low) / 2;
    // One run more never moves the begin of the last one to the left.
    std::size_t from = first;
    if (layer_ > 2) from = std::max<std::size_t>(from, begins_[Row(layer_ - 1) + j]);
    double least = std::numeric_limits<double>::infinity();
    std::size_t begin = from;
    for (std::size_t i = from; i <= std::min(last, j - 1); ++i) {
      const double cost = best_[i] + costs_.Cost(i, j);
      if (cost < least) {
        least = cost;
        begin = i;
      }
    }
    next_[j] = least;
    begins_[Row(layer_) + j] = static_cast<std::uint16_t>(begin);
    if (low < j) Solve(low, j - 1, first, begin);
    if (j < high) Solve(j + 1, high, begin, last);
  }

  const RunCosts& costs_;
  const std::size_t count_;
  const std::size_t clusters_;
  std::size_t layer_ = 0;
  std::vector<double> best_;           // of the layer before
  std::vector<double> next_;           // of the layer that is being made
  std::vector<std::uint16_t> begins_;  // [layers from 2 on][count + 1]
};

}  // namespace

std::vector<double> KMeans1d(const WeightedValues& sorted, int clusters) {
  const std::size_t count = sorted.values.size();
  const std::size_t k = static_cast<std::size_t>(clusters);
  TIERLIB_CHECK(clusters >= 1, "k-means needs a cluster");
  TIERLIB_CHECK(count >= 1 && count <= kMostDistinctValues, "1 to 65,536 distinct values");
  if (count <= k) {
    std::vector<double> centroids = sorted.values;
    centroids.resize(k, sorted.values.back());
    return centroids;
  }
  const RunCosts costs(sorted);
  const std::vector<std::size_t> borders = Layers(costs, count, k).Borders();
  std::vector<double> centroids(k);
  for (std::size_t q = 0; q < k; ++q) {
    // Rounding must not take a mean out of its run: a run of one value is that value.
    centroids[q] = std::clamp(costs.Mean(borders[q], borders[q + 1]), sorted.values[borders[q]],
                              sorted.values[borders[q + 1] - 1]);
  }
  return centroids;
}

std::vector<double> KMeans1d(const std::vector<double>& values, int clusters) {
  TIERLIB_CHECK(!values.empty(), "k-means needs a value");
  const std::size_t count = std::min(values.size(), kMostDistinctValues);
  std::vector<ValueAndCount> pairs(count);
  for (std::size_t i = 0; i < count; ++i) pairs[i] = {values[i * values.size() / count], 1};
  return KMeans1d(MergeEqual(pairs), clusters);
}

WeightedValues MergeEqual(std::vector<ValueAndCount>& pairs) {
  const auto less = [](const ValueAndCount& a, const ValueAndCount& b) { return a.value < b.value; };
  if (!std::is_sorted(pairs.begin(), pairs.end(), less)) std::sort(pairs.begin(), pairs.end(), less);
  WeightedValues merged;
  for (const ValueAndCount& pair : pairs) {
    if (merged.values.empty() || merged.values.back() != pair.value) {
      merged.values.push_back(pair.value + 0.0);  // -0 becomes 0
      merged.counts.push_back(pair.count);
    } else {
      merged.counts.back() += pair.count;
    }
  }
  return merged;
}

}  // namespace tierlib::dkm
