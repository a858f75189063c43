// k-means on the host: the centroids that clustering starts from.
#ifndef TIERLIB_SRC_DKM_KMEANS_H_
#define TIERLIB_SRC_DKM_KMEANS_H_

#include <cstdint>
#include <vector>

namespace tierlib::dkm {

// k-means++ (Arthur and Vassilvitskii 2007; at each step the best of 2 + ln k candidates), then Lloyd iterations until
// no vector changes its cluster, at most 25. In float64 on one thread: the same for any number of threads. At most
// 65,536 vectors are looked at, evenly spread over `values`; centroids come in ascending order (by components). Where
// there are fewer distinct vectors than clusters some centroids are equal. An empty cluster keeps its centroid.
//
// `values`: N vectors of `dim`, finite. Returns clusters * dim. REQUIRES: N >= clusters >= 1, dim >= 1.
std::vector<double> KMeans(const std::vector<double>& values, int dim, int clusters, std::uint64_t seed);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_KMEANS_H_
