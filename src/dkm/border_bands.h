// Where the borders of the best runs can be: what spares exact k-means most of its work.
#ifndef TIERLIB_SRC_DKM_BORDER_BANDS_H_
#define TIERLIB_SRC_DKM_BORDER_BANDS_H_

#include <cstddef>
#include <vector>

#include "dkm/kmeans_1d.h"
#include "dkm/run_costs.h"

namespace tierlib::dkm {

// A range of borders, both ends included.
struct Band {
  std::size_t first = 0;
  std::size_t last = 0;

  std::size_t width() const { return last - first + 1; }
};

// For q = 0 .. clusters: where border q of a best cut of `sorted` into `clusters` runs lies. Both ends grow from band
// to band, so that each border of a band has one in the band before that is smaller. `costs` are those of `sorted`.
//
// A best cut into more runs has border q at the left of it, or there, and, counted from the end, at the right; one into
// fewer has it the other way around. (Where two cuts cross, exchanging their ends costs nothing: Aggarwal, Schieber and
// Tokuyama, "Finding a minimum-weight k-link path in graphs with the concave Monge property", 1994.) Cuts with a few
// more and a few less are cheap to find: they are the best at some price for each run (priced_cuts.h), and a few trials
// find the prices.
//
// REQUIRES: 1 <= clusters <= the number of values.
std::vector<Band> BorderBands(const WeightedValues& sorted, const RunCosts& costs, std::size_t clusters);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_BORDER_BANDS_H_
