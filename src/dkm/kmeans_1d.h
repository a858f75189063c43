// Exact k-means of numbers: in one dimension clusters are runs of the sorted values, and the best runs can be computed.
#ifndef TIERLIB_SRC_DKM_KMEANS_1D_H_
#define TIERLIB_SRC_DKM_KMEANS_1D_H_

#include <cstddef>
#include <vector>

namespace tierlib::dkm {

inline constexpr std::size_t kMostDistinctValues = 65536;

// Distinct finite values in ascending order, and how often each is there. Both have the same size.
struct WeightedValues {
  std::vector<double> values;
  std::vector<double> counts;  // > 0
};

// The `clusters` centroids, ascending, with the least sum of squared distances to the nearest one: the optimum, where
// k-means++ and Lloyd iterations find a local one. Where there are no more distinct values than clusters, each is a
// centroid and the last is repeated. In float64 on one thread; no random numbers, so the same for every run.
//
// Dynamic programming over runs of the sorted values, as in Wang and Song, "Ckmeans.1d.dp" (R Journal 3/2, 2011), each
// layer by divide and conquer over the monotone left ends of the last run, as Gronlund et al., "Fast exact k-means,
// k-medians and Bregman divergence clustering in 1D" (arXiv 1701.07204), lay out. Each layer looks only where its
// border can be (border_bands.h): O(U log U) for the bands of U distinct values as a rule, and O(k U log U) at worst,
// where the bands cannot be narrow (all cuts between two numbers of runs cost the same at some price). Of cuts that are
// equally good, but for the rounding of sums, one is taken, the same one in every run. Memory: 2 k U bytes at worst.
//
// REQUIRES: clusters >= 1, 1 <= U <= kMostDistinctValues.
std::vector<double> KMeans1d(const WeightedValues& sorted, int clusters);

// The same of plain values in any order, all finite: a start for clustering (d = 1). Of more than kMostDistinctValues
// values as many are looked at, evenly spread over `values`, as KMeans (kmeans.h) does. REQUIRES: values is not empty.
std::vector<double> KMeans1d(const std::vector<double>& values, int clusters);

// Merges equal values (both zeros are one). `pairs` is sorted by this.
struct ValueAndCount {
  double value;
  double count;
};
WeightedValues MergeEqual(std::vector<ValueAndCount>& pairs);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_KMEANS_1D_H_
