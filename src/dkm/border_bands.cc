#include "dkm/border_bands.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "dkm/priced_cuts.h"

namespace tierlib::dkm {
namespace {

constexpr int kMostTrials = 40;
constexpr std::size_t kMargin = 2;  // borders that rounding may be off by
// A trial costs as much as the borders of the values, this many times, in bands.
constexpr std::size_t kBordersOfTrial = 2;

// Two cuts, of as many runs as are wanted or fewer and of as many or more, and the prices they are the best at.
class Bracket {
 public:
  Bracket(const WeightedValues& sorted, const RunCosts& costs, std::size_t clusters)
      : costs_(costs), clusters_(clusters), fewer_price_(HUGE_VAL) {
    const auto count = static_cast<std::uint32_t>(costs.count());
    fewer_ = {{0, count}, costs.Cost(0, count)};
    more_.borders.resize(count + std::size_t{1});
    std::iota(more_.borders.begin(), more_.borders.end(), std::uint32_t{0});
    guess_ = PriceByDensity(sorted);
  }

  // Brings the two closer to what is wanted until the bands between them are narrow enough.
  void Narrow() {
    PricedCuts cuts(costs_);
    double price = guess_;
    for (int trial = 0; trial < kMostTrials && !IsNarrow(); ++trial) {
      Cut cut = cuts.At(price);
      const std::size_t runs = cut.runs();
      if (runs == fewer_.runs() || runs == more_.runs()) {
        // No cut of another number of runs at the price where both cost the same: there is none between them.
        if (price == PriceBetween()) return;
        (runs == fewer_.runs() ? fewer_price_ : more_price_) = price;
        price = PriceBetween();
        continue;
      }
      if (runs <= clusters_) fewer_ = cut, fewer_price_ = price;
      if (runs >= clusters_) more_ = std::move(cut), more_price_ = price;
      price = NextPrice(price, runs, trial);
    }
  }

  std::vector<Band> Bands() const {
    std::vector<Band> bands(clusters_ + 1);
    for (std::size_t q = 0; q <= clusters_; ++q) {
      bands[q] = Between(q);
      bands[q].first = std::max(bands[q].first, q + kMargin) - kMargin;
      bands[q].last = std::min(bands[q].last + kMargin, costs_.count() - (clusters_ - q));
    }
    bands.front() = {0, 0};
    bands.back() = {costs_.count(), costs_.count()};
    return bands;
  }

 private:
  // Where the wanted cut's border q lies, but for rounding.
  Band Between(std::size_t q) const {
    const std::size_t less = clusters_ - fewer_.runs(), more = more_.runs() - clusters_;
    std::size_t first = more_.borders[q];
    if (q >= less) first = std::max<std::size_t>(first, fewer_.borders[q - less]);
    std::size_t last = more_.borders[q + more];
    if (q < fewer_.borders.size()) last = std::min<std::size_t>(last, fewer_.borders[q]);
    return {std::min(first, last), last};
  }

  bool IsNarrow() const {
    std::size_t borders = 0;
    for (std::size_t q = 1; q < clusters_; ++q) borders += Between(q).width();
    return borders <= clusters_ + kBordersOfTrial * costs_.count();
  }

  // Where both cuts cost the same. Every cut between them that is the best at some price is as good here or better.
  double PriceBetween() const { return (fewer_.cost - more_.cost) / static_cast<double>(more_.runs() - fewer_.runs()); }

  // After `runs` at `price`. The number of runs goes with about the third root of the price.
  double NextPrice(double price, std::size_t runs, int trial) const {
    if (fewer_price_ < HUGE_VAL && more_price_ > 0) return PriceBetween();
    if (trial % 4 == 3) return PriceBetween();  // these values are of another kind
    const auto have = static_cast<double>(runs), want = static_cast<double>(clusters_);
    // A little beyond, so that the two enclose it.
    const double aim = runs < clusters_ ? want + 0.125 * (want - have) : std::max(1.0, want - 0.125 * (have - want));
    return price * std::pow(have / aim, 3);
  }

  // By the density of the values: many clusters of a density p cost (integral of p^(1/3))^3 / (12 k^2) (Panter and
  // Dite, 1951). One more spares the derivative.
  double PriceByDensity(const WeightedValues& sorted) const {
    constexpr std::size_t kBlock = 16;
    const std::size_t count = sorted.values.size();
    double integral = 0;
    for (std::size_t begin = 0; begin + 1 < count; begin += kBlock) {
      const std::size_t end = std::min(begin + kBlock, count - 1);
      const double weight = std::accumulate(sorted.counts.begin() + static_cast<std::ptrdiff_t>(begin),
                                            sorted.counts.begin() + static_cast<std::ptrdiff_t>(end), 0.0);
      const double width = sorted.values[end] - sorted.values[begin];
      integral += std::cbrt(weight * width * width);
    }
    return std::pow(integral / static_cast<double>(clusters_), 3) / 6;
  }

  const RunCosts& costs_;
  const std::size_t clusters_;
  Cut fewer_;
  Cut more_;
  double fewer_price_;  // infinite until one is found: one run
  double more_price_ = 0;
  double guess_;
};

}  // namespace

std::vector<Band> BorderBands(const WeightedValues& sorted, const RunCosts& costs, std::size_t clusters) {
  Bracket bracket(sorted, costs, clusters);
  bracket.Narrow();
  return bracket.Bands();
}

}  // namespace tierlib::dkm
