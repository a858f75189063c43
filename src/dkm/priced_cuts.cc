#include "dkm/priced_cuts.h"

#include <algorithm>

namespace tierlib::dkm {

// The costs of runs are such that once a later begin is the better one, it is so for all ends that follow. So the
// candidates of a queue take turns, and each border enters it once and leaves it once.
Cut PricedCuts::At(double price) {
  candidates_.assign(1, {0, 1});
  head_ = 0;
  for (std::size_t end = 1;; ++end) {
    while (head_ + 1 < candidates_.size() && candidates_[head_ + 1].first_end <= end) ++head_;
    const std::uint32_t begin = candidates_[head_].begin;
    prefixes_[end] = {prefixes_[begin].cost + costs_.Cost(begin, end), prefixes_[begin].runs + 1, begin};
    if (end == costs_.count()) return Trace();
    Add(end, price);
  }
}

// Makes `begin` a candidate for all ends that come, where there is one for which it is better than those before.
void PricedCuts::Add(std::size_t begin, double price) {
  while (candidates_.size() > head_) {
    const Candidate& last = candidates_.back();
    const std::size_t end = std::max<std::size_t>(last.first_end, begin + 1);
    if (!IsBetter(begin, last.begin, end, price)) {
      const std::size_t first = FirstEndWhereBetter(begin, last.begin, end, price);
      if (first <= costs_.count()) {
        candidates_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(first)});
      }
      return;
    }
    candidates_.pop_back();
  }
  candidates_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(begin + 1)});
}

// Beyond the last border where there is none. REQUIRES: `b` is not better at `end`. Looks close to `end` first: begins
// that follow each other take turns soon.
std::size_t PricedCuts::FirstEndWhereBetter(std::size_t b, std::size_t a, std::size_t end, double price) const {
  std::size_t worse = end;
  std::size_t better = costs_.count() + 1;
  for (std::size_t step = 1; worse + step <= costs_.count(); step *= 2) {
    if (IsBetter(b, a, worse + step, price)) {
      better = worse + step;
      break;
    }
    worse += step;
  }
  while (better - worse > 1) {
    const std::size_t middle = worse + (better - worse) / 2;
    (middle <= costs_.count() && IsBetter(b, a, middle, price) ? better : worse) = middle;
  }
  return better;
}

Cut PricedCuts::Trace() const {
  Cut cut;
  cut.borders.resize(prefixes_[costs_.count()].runs + std::size_t{1});
  std::size_t end = costs_.count();
  for (std::size_t q = cut.borders.size() - 1; q > 0; --q) {
    cut.borders[q] = static_cast<std::uint32_t>(end);
    end = prefixes_[end].begin;
  }
  cut.cost = prefixes_[costs_.count()].cost;
  return cut;
}

}  // namespace tierlib::dkm
