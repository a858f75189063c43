// Where borders of the best runs can be, and what looking only there gives: against dynamic programming that looks
// everywhere, on values of many kinds.
#include "dkm/border_bands.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "dkm/priced_cuts.h"

namespace tierlib::dkm {
namespace {

// How the values of a test are drawn: value i, and how often it is there.
struct Kind {
  const char* name;
  std::function<ValueAndCount(Random&, int)> draw;
  bool has_one_best_cut = true;
};

const Kind kKinds[] = {
    {"normal",
     [](Random& random, int) {
       return ValueAndCount{random.Normal(), 1.0};
     }},
    {"normal, many of each",
     [](Random& random, int) {
       return ValueAndCount{random.Normal(), 1.0 + static_cast<double>(random.UniformInt(100000))};
     }},
    {"as coarse as bf16",
     [](Random& random, int) {
       return ValueAndCount{std::ldexp(std::round(std::ldexp(random.Normal(), 5)), -5), 1.0};
     },
     false},
    {"even",
     [](Random&, int i) {
       return ValueAndCount{i * 1.0, 1.0};
     },
     false},
    {"threes",
     [](Random&, int i) {
       return ValueAndCount{i / 3 * 7.0 + i % 3, 1.0};
     },
     false},
    {"groups",
     [](Random& random, int i) {
       return ValueAndCount{i % 20 + 1e-2 * random.Normal(), 1.0};
     }},
    {"outliers",
     [](Random& random, int i) {
       return ValueAndCount{random.Normal() * (i % 30 == 7 ? 1e6 : 1.0), 1.0};
     }},
    {"heavy tails",
     [](Random& random, int) {
       return ValueAndCount{std::pow(random.Normal(), 7), 1.0};
     }},
    {"magnitudes of float32",
     [](Random&, int i) {
       return ValueAndCount{std::ldexp(i % 2 == 0 ? 1.0 : -1.0, i % 250 - 125), 1.0};
     }},
    {"subnormal",
     [](Random& random, int) {
       const auto multiple = static_cast<double>(random.UniformInt(1000));
       return ValueAndCount{multiple * static_cast<double>(std::numeric_limits<float>::denorm_min()), 1.0};
     },
     false},
};

WeightedValues Draw(const Kind& kind, Random& random, int count) {
  std::vector<ValueAndCount> pairs;
  for (int i = 0; i < count; ++i) pairs.push_back(kind.draw(random, i));
  return MergeEqual(pairs);
}

// The best cuts of all first values into all numbers of runs, by looking everywhere: costs[q][j].
std::vector<std::vector<double>> CostsOfAll(const RunCosts& costs, std::size_t clusters) {
  std::vector<std::vector<double>> best(clusters + 1, std::vector<double>(costs.count() + 1, HUGE_VAL));
  best[0][0] = 0;
  for (std::size_t q = 1; q <= clusters; ++q) {
    for (std::size_t end = q; end <= costs.count(); ++end) {
      for (std::size_t begin = q - 1; begin < end; ++begin) {
        best[q][end] = std::min(best[q][end], best[q - 1][begin] + costs.Cost(begin, end));
      }
    }
  }
  return best;
}

// Of the best cut into as many runs as `best` has layers but one: the first begins, where several are as good.
std::vector<std::size_t> BestBorders(const RunCosts& costs, const std::vector<std::vector<double>>& best) {
  std::vector<std::size_t> borders(best.size());
  borders.back() = costs.count();
  for (std::size_t q = best.size() - 1; q > 0; --q) {
    std::size_t begin = q - 1;
    while (best[q - 1][begin] + costs.Cost(begin, borders[q]) > best[q][borders[q]]) ++begin;
    borders[q - 1] = begin;
  }
  return borders;
}

double CostOf(const RunCosts& costs, const WeightedValues& sorted, const std::vector<double>& centroids) {
  double sum = 0;
  std::size_t begin = 0;
  for (std::size_t q = 0; q < centroids.size(); ++q) {
    std::size_t end = begin;
    while (end < costs.count() && (q + 1 == centroids.size() || std::fabs(sorted.values[end] - centroids[q]) <=
                                                                    std::fabs(sorted.values[end] - centroids[q + 1]))) {
      ++end;
    }
    if (end > begin) sum += costs.Cost(begin, end);
    begin = end;
  }
  return sum;
}

TEST(BorderBands, HoldTheBestBorders) {
  Random random(21);
  for (const Kind& kind : kKinds) {
    const WeightedValues sorted = Draw(kind, random, TIERLIB_RANDOM_SCALE > 1 ? 60 : 240);
    const RunCosts costs(sorted);
    for (const std::size_t clusters :
         {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{16}, std::size_t{47}}) {
      if (clusters > costs.count()) continue;
      const std::string which = std::string(kind.name) + ", k " + std::to_string(clusters);
      const std::vector<Band> bands = BorderBands(sorted, costs, clusters);
      ASSERT_EQ(bands.size(), clusters + 1) << which;
      EXPECT_EQ(bands.front().last, 0u) << which;
      EXPECT_EQ(bands.back().first, costs.count()) << which;
      const auto best = CostsOfAll(costs, clusters);
      const std::vector<std::size_t> borders = BestBorders(costs, best);
      for (std::size_t q = 0; q <= clusters; ++q) {
        EXPECT_LE(bands[q].first, bands[q].last) << which;
        if (q > 0) {
          EXPECT_LT(bands[q - 1].first, bands[q].first) << which;
          EXPECT_LT(bands[q - 1].last, bands[q].last) << which;
        }
        if (kind.has_one_best_cut) {
          EXPECT_LE(bands[q].first, borders[q]) << which << ", " << q;
          EXPECT_GE(bands[q].last, borders[q]) << which << ", " << q;
        }
      }
    }
  }
}

// To the bit where there is one best cut, and as good where there are several.
TEST(BorderBands, LookingInsideThemGivesWhatLookingEverywhereDoes) {
  Random random(22);
  for (const Kind& kind : kKinds) {
    for (const int count : {40, TIERLIB_RANDOM_SCALE > 1 ? 50 : 250}) {
      const WeightedValues sorted = Draw(kind, random, count);
      const RunCosts costs(sorted);
      for (const std::size_t clusters : {std::size_t{2}, std::size_t{8}, std::size_t{33}}) {
        if (clusters >= costs.count()) continue;
        const std::string which = std::string(kind.name) + ", k " + std::to_string(clusters);
        const auto best = CostsOfAll(costs, clusters);
        const std::vector<double> centroids = KMeans1d(sorted, static_cast<int>(clusters));
        const double all = best[1][costs.count()];
        EXPECT_NEAR(CostOf(costs, sorted, centroids), best[clusters][costs.count()], 1e-15 * all) << which;
        if (!kind.has_one_best_cut) continue;
        const std::vector<std::size_t> borders = BestBorders(costs, best);
        for (std::size_t q = 0; q < clusters; ++q) {
          const double mean = costs.Mean(borders[q], borders[q + 1]);
          const double least = sorted.values[borders[q]], most = sorted.values[borders[q + 1] - 1];
          EXPECT_EQ(centroids[q], std::min(std::max(mean, least), most)) << which << ", " << q;
        }
      }
    }
  }
}

// What the bands are for: all layers together look at about as many borders as there are values, not at k times as
// many.
TEST(BorderBands, AreNarrow) {
  Random random(23);
  const int count = 4000 / std::min(TIERLIB_RANDOM_SCALE, 4);
  for (const Kind& kind : {kKinds[0], kKinds[1], kKinds[3], kKinds[7]}) {
    const WeightedValues sorted = Draw(kind, random, count);
    const RunCosts costs(sorted);
    for (const std::size_t clusters : {std::size_t{8}, std::size_t{64}, std::size_t{256}}) {
      std::size_t borders = 0;
      for (const Band& band : BorderBands(sorted, costs, clusters)) borders += band.width();
      EXPECT_LE(borders, 5 * costs.count() + 8 * clusters) << kind.name << ", k " << clusters;
    }
  }
}

TEST(PricedCuts, AreTheBestAtTheirPrice) {
  Random random(24);
  for (const Kind& kind : kKinds) {
    const WeightedValues sorted = Draw(kind, random, TIERLIB_RANDOM_SCALE > 1 ? 40 : 90);
    const RunCosts costs(sorted);
    const std::size_t most = costs.count();
    const auto best = CostsOfAll(costs, most);
    const double all = best[1][most];
    PricedCuts cuts(costs);
    std::size_t runs_before = most;
    for (double price = all * 1e-9; price <= 2 * all; price *= 3) {
      const Cut cut = cuts.At(price);
      const std::size_t runs = cut.runs();
      ASSERT_GE(runs, 1u) << kind.name;
      EXPECT_LE(runs, runs_before) << kind.name << ", " << price;
      runs_before = runs;
      EXPECT_NEAR(cut.cost, best[runs][most], 1e-13 * all) << kind.name << ", " << price;
      double sum = 0, least = HUGE_VAL;
      for (std::size_t q = 0; q < runs; ++q) sum += costs.Cost(cut.borders[q], cut.borders[q + 1]);
      EXPECT_EQ(sum, cut.cost) << kind.name;
      for (std::size_t q = 1; q <= most; ++q) least = std::min(least, best[q][most] + price * static_cast<double>(q));
      EXPECT_NEAR(cut.cost + price * static_cast<double>(runs), least, 1e-13 * (all + least)) << kind.name << price;
    }
    EXPECT_EQ(cuts.At(4 * all).runs(), 1u) << kind.name;
  }
}

}  // namespace
}  // namespace tierlib::dkm
