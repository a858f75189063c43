#include "dkm/kmeans_1d.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/check.h"
#include "dkm/border_bands.h"
#include "dkm/run_costs.h"

namespace tierlib::dkm {
namespace {

// Layer q holds, for each j in band q, the least cost of the first j values in q runs whose borders are in the bands
// before, and where the last of these begins.
class Layers {
 public:
  Layers(const RunCosts& costs, const std::vector<Band>& bands)
      : costs_(costs), bands_(bands), best_(costs.count() + 1), next_(costs.count() + 1) {
    begins_.resize(bands.size());
    for (std::size_t q = 1; q < bands.size(); ++q) {
      begins_[q].resize(bands[q].width());
      Solve(q, bands[q], bands[q - 1]);
      best_.swap(next_);
    }
  }

  // Borders of the best runs, from 0 to the number of values.
  std::vector<std::size_t> Borders() const {
    std::vector<std::size_t> borders(bands_.size());
    borders.back() = costs_.count();
    for (std::size_t q = borders.size() - 1; q > 0; --q) borders[q - 1] = begins_[q][borders[q] - bands_[q].first];
    return borders;
  }

 private:
  // Fills `next_` and the begins of layer `q` for `ends`, whose last runs begin in `begins`.
  void Solve(std::size_t q, Band ends, Band begins) {
    const std::size_t end = ends.first + (ends.last - ends.first) / 2;
    double least = std::numeric_limits<double>::infinity();
    std::size_t best = begins.first;
    for (std::size_t begin = begins.first; begin <= std::min(begins.last, end - 1); ++begin) {
      const double cost = best_[begin] + costs_.Cost(begin, end);
      if (cost < least) {
        least = cost;
        best = begin;
      }
    }
    next_[end] = least;
    begins_[q][end - bands_[q].first] = static_cast<std::uint16_t>(best);
    if (ends.first < end) Solve(q, {ends.first, end - 1}, {begins.first, best});
    if (end < ends.last) Solve(q, {end + 1, ends.last}, {best, begins.last});
  }

  const RunCosts& costs_;
  const std::vector<Band>& bands_;
  std::vector<double> best_;                        // of the layer before
  std::vector<double> next_;                        // of the layer that is being made
  std::vector<std::vector<std::uint16_t>> begins_;  // of each layer, for its band
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
  const std::vector<Band> bands = BorderBands(sorted, costs, k);
  const std::vector<std::size_t> borders = Layers(costs, bands).Borders();
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
