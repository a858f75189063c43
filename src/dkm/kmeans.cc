#include "dkm/kmeans.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "base/random.h"

namespace tierlib::dkm {
namespace {

constexpr std::size_t kMostVectors = 65536;
constexpr int kMostLloydIterations = 25;

class Sample {
 public:
  Sample(const std::vector<double>& values, std::size_t dim) : dim_(dim) {
    const std::size_t all = values.size() / dim;
    count_ = std::min(all, kMostVectors);
    values_.reserve(count_ * dim);
    for (std::size_t i = 0; i < count_; ++i) {
      const double* vector = values.data() + i * all / count_ * dim;
      values_.insert(values_.end(), vector, vector + dim);
    }
  }

  std::size_t count() const { return count_; }
  const double* at(std::size_t i) const { return values_.data() + i * dim_; }

  double SquaredDistance(std::size_t i, const double* centroid) const {
    double sum = 0;
    for (std::size_t c = 0; c < dim_; ++c) sum += (at(i)[c] - centroid[c]) * (at(i)[c] - centroid[c]);
    return sum;
  }

 private:
  std::size_t dim_;
  std::size_t count_ = 0;
  std::vector<double> values_;
};

// A vector drawn with probability nearest[i] / total; any where all are 0.
std::size_t Draw(Random& random, const std::vector<double>& nearest, double total) {
  if (!(total > 0)) return random.UniformInt(nearest.size());
  double rest = random.UniformDouble() * total;
  std::size_t last = 0;
  for (std::size_t i = 0; i < nearest.size(); ++i) {
    if (nearest[i] == 0) continue;
    last = i;
    rest -= nearest[i];
    if (rest < 0) break;
  }
  return last;  // also where rounding left a rest
}

std::vector<double> PlusPlus(const Sample& sample, std::size_t dim, std::size_t clusters, Random& random) {
  const int candidates = 2 + static_cast<int>(std::log(static_cast<double>(clusters)));
  std::vector<double> centroids;
  const auto add = [&](std::size_t i) { centroids.insert(centroids.end(), sample.at(i), sample.at(i) + dim); };
  add(random.UniformInt(sample.count()));
  std::vector<double> nearest(sample.count());
  for (std::size_t i = 0; i < nearest.size(); ++i) nearest[i] = sample.SquaredDistance(i, centroids.data());
  std::vector<double> trial(sample.count());
  std::vector<double> best(sample.count());
  while (centroids.size() < clusters * dim) {
    double total = 0;
    for (const double distance : nearest) total += distance;
    double best_total = std::numeric_limits<double>::infinity();
    std::size_t chosen = 0;
    for (int candidate = 0; candidate < candidates; ++candidate) {
      const std::size_t i = Draw(random, nearest, total);
      double trial_total = 0;
      for (std::size_t other = 0; other < trial.size(); ++other) {
        trial[other] = std::min(nearest[other], sample.SquaredDistance(other, sample.at(i)));
        trial_total += trial[other];
      }
      if (trial_total < best_total) {
        best_total = trial_total;
        chosen = i;
        best.swap(trial);
      }
    }
    add(chosen);
    nearest.swap(best);
  }
  return centroids;
}

// One Lloyd iteration; false where no vector changed its cluster.
bool Lloyd(const Sample& sample, std::size_t dim, std::vector<double>& centroids, std::vector<std::size_t>& cluster) {
  const std::size_t clusters = centroids.size() / dim;
  std::vector<double> sums(centroids.size());
  std::vector<std::size_t> members(clusters);
  bool changed = false;
  for (std::size_t i = 0; i < sample.count(); ++i) {
    double least = std::numeric_limits<double>::infinity();
    std::size_t nearest = 0;
    for (std::size_t j = 0; j < clusters; ++j) {
      const double distance = sample.SquaredDistance(i, centroids.data() + j * dim);
      if (distance < least) {
        least = distance;
        nearest = j;
      }
    }
    changed = changed || cluster[i] != nearest;
    cluster[i] = nearest;
    ++members[nearest];
    for (std::size_t c = 0; c < dim; ++c) sums[nearest * dim + c] += sample.at(i)[c];
  }
  for (std::size_t j = 0; j < clusters; ++j) {
    for (std::size_t c = 0; members[j] > 0 && c < dim; ++c) {
      centroids[j * dim + c] = sums[j * dim + c] / static_cast<double>(members[j]);
    }
  }
  return changed;
}

std::vector<double> Ascending(const std::vector<double>& centroids, std::size_t dim) {
  std::vector<std::vector<double>> rows;
  for (std::size_t i = 0; i < centroids.size(); i += dim) {
    rows.emplace_back(centroids.data() + i, centroids.data() + i + dim);
  }
  std::sort(rows.begin(), rows.end());
  std::vector<double> sorted;
  for (const std::vector<double>& row : rows) sorted.insert(sorted.end(), row.begin(), row.end());
  return sorted;
}

}  // namespace

std::vector<double> KMeans(const std::vector<double>& values, int dim, int clusters, std::uint64_t seed) {
  const std::size_t d = static_cast<std::size_t>(dim);
  const Sample sample(values, d);
  Random random(seed);
  std::vector<double> centroids = PlusPlus(sample, d, static_cast<std::size_t>(clusters), random);
  std::vector<std::size_t> cluster(sample.count(), static_cast<std::size_t>(clusters));
  for (int i = 0; i < kMostLloydIterations && Lloyd(sample, d, centroids, cluster); ++i) {
  }
  return Ascending(centroids, d);
}

}  // namespace tierlib::dkm
