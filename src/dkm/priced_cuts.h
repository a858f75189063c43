// Sorted values cut into as many runs as pay: each run has a price besides its cost (run_costs.h).
#ifndef TIERLIB_SRC_DKM_PRICED_CUTS_H_
#define TIERLIB_SRC_DKM_PRICED_CUTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dkm/run_costs.h"

namespace tierlib::dkm {

// Borders of runs, from 0 to the number of values, ascending; and the sum of the runs' costs.
struct Cut {
  std::vector<std::uint32_t> borders;
  double cost = 0;

  std::size_t runs() const { return borders.size() - 1; }
};

// Finds cuts of the values of `costs`, which must outlive this. Not for two threads at a time: its memory, 24 bytes for
// each value, is kept from call to call.
class PricedCuts {
 public:
  explicit PricedCuts(const RunCosts& costs) : costs_(costs), prefixes_(costs.count() + 1) {
    candidates_.reserve(costs.count());
  }

  // The cut with the least sum of costs and of `price` for each run: of all cuts into as many runs it costs the least.
  // More runs at a lower price. Rounding decides between cuts that are equally good. O(U log U) at most, and nearer to
  // U where the runs are many. REQUIRES: price >= 0.
  Cut At(double price);

 private:
  // The best cut of the first values.
  struct Prefix {
    double cost = 0;
    std::uint32_t runs = 0;
    std::uint32_t begin = 0;  // of the last run
  };
  // A begin of last runs that is the best one for ends from `first_end` to the next candidate's.
  struct Candidate {
    std::uint32_t begin;
    std::uint32_t first_end;
  };

  // Whether a last run [b, end) is better than [a, end). Where both make as many runs the price does not enter, so that
  // it takes no digits from the costs.
  bool IsBetter(std::size_t b, std::size_t a, std::size_t end, double price) const {
    const double more = static_cast<double>(prefixes_[a].runs) - static_cast<double>(prefixes_[b].runs);
    return (prefixes_[b].cost + costs_.Cost(b, end)) - (prefixes_[a].cost + costs_.Cost(a, end)) < more * price;
  }
  std::size_t FirstEndWhereBetter(std::size_t b, std::size_t a, std::size_t end, double price) const;
  void Add(std::size_t begin, double price);
  Cut Trace() const;

  const RunCosts& costs_;
  std::vector<Prefix> prefixes_;       // by border
  std::vector<Candidate> candidates_;  // from `head_` on; their begins and their ends ascend
  std::size_t head_ = 0;
};

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_PRICED_CUTS_H_
