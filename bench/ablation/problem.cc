#include "ablation/problem.h"

#include <bit>
#include <cmath>

#include "base/random.h"
#include "dkm/kernels/tiled.h"

namespace tierlib::bench {
namespace {

constexpr double kDeviation = 0.02;

std::uint16_t UpperHalf(double value) {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16);
}

std::vector<std::uint16_t> Normals(std::uint64_t seed, std::int64_t count, double deviation) {
  Random random(seed);
  std::vector<std::uint16_t> values(static_cast<std::size_t>(count));
  for (std::uint16_t& value : values) value = UpperHalf(deviation * random.Normal());
  return values;
}

}  // namespace

Problem MakeProblem(std::int64_t side, int bits, int iterations) {
  Problem problem;
  problem.side = side;
  problem.bits = bits;
  problem.iterations = iterations;
  problem.weights = Normals(1, problem.count(), kDeviation);
  problem.gradient = Normals(2, problem.count(), 1);
  for (int j = 0; j < problem.clusters(); ++j) {
    const double part = (j + 0.5) / problem.clusters();
    problem.start.push_back(std::bit_cast<float>(std::uint32_t{UpperHalf(kDeviation * (4 * part - 2))} << 16));
  }
  return problem;
}

double RelativeError(const std::vector<float>& gradient, const std::vector<double>& truth) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double d = static_cast<double>(gradient[i]) - truth[i];
    difference += d * d;
    norm += truth[i] * truth[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace tierlib::bench
