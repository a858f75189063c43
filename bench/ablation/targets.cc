#include "ablation/targets.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/str_format.h"
#include "dkm/shard.h"

namespace tierlib::bench {
namespace {

constexpr double kMib = 1024 * 1024;
constexpr double kNoBound = std::numeric_limits<double>::infinity();

struct Target {
  double bytes = 0;
  double most_apart = kNoBound;  // bytes, beside what ToleranceOf allows
  double most = kNoBound;        // bytes
};

// Beside what the formulas count a row keeps, per iteration, a few sets of k numbers.
double ToleranceOf(const Target& target) { return std::min(0.02 * target.bytes + 8 * 1024, target.most_apart); }

// What one learner keeps of a tensor of so many bytes.
double Share(const Row& row, int learners, double bytes) {
  const bool shared = row.share && bytes >= static_cast<double>(dkm::Sharding().minimum_bytes);
  return shared ? bytes / learners : bytes;
}

Target TargetOf(const Problem& problem, const Row& row, DType dtype, int learners) {
  const auto n = static_cast<double>(problem.count());
  const double w = n * static_cast<double>(ElementBytes(dtype));
  const double map = w * problem.clusters();
  const double t = problem.iterations;
  if (row.mode == OffloadMode::kOff) return {0};
  if (row.exact) return {row.parameter ? 0 : 2 * n, kNoBound, (row.parameter ? 0 : 2 * n) + kMib};
  if (row.mode == OffloadMode::kNaive) return {(5 * t + 1) * map + 2 * t * w, kMib};
  if (!row.uniquify) {
    return {2 * t * Share(row, learners, map) + Share(row, learners, w), row.share ? kMib / 2 : kMib};
  }
  const std::set<std::uint16_t> values(problem.weights.begin(), problem.weights.end());
  const auto distinct = static_cast<double>(values.size());
  const double table = distinct * problem.clusters() * static_cast<double>(ElementBytes(dtype));
  const double by_learner = row.share ? learners : 1;
  return {Share(row, learners, w) + 2 * t * Share(row, learners, table) + Share(row, learners, 2 * distinct), kNoBound,
          (w + 2 * t * 2 * n + kMib) / by_learner + (row.share ? 0.175 * kMib : 0)};
}

}  // namespace

std::string MissedTarget(const Problem& problem, const Row& row, DType dtype, int learners, std::uint64_t host_bytes) {
  const Target target = TargetOf(problem, row, dtype, learners);
  const double tolerance = ToleranceOf(target);
  const auto bytes = static_cast<double>(host_bytes);
  if (std::abs(bytes - target.bytes) > tolerance) {
    return absl::StrFormat("%.3f MiB on the host, %.3f +- %.3f is right", bytes / kMib, target.bytes / kMib,
                           tolerance / kMib);
  }
  if (bytes <= target.most) return "";
  return absl::StrFormat("%.3f MiB on the host, at most %.3f is right", bytes / kMib, target.most / kMib);
}

std::string MissedAccuracy(const Row& row, DType dtype, double error) {
  // The chains' sums over N are the BLAS library's, in float32 and in the order of its kernel for the processor: at
  // 251 x 251 5.7e-7 with that for Haswell and 1.1e-4 with that for SkylakeX. The exact form's are tierlib's own, in
  // float64.
  const double most = row.exact ? 2e-7 : dtype == DType::kF32 ? 1e-3 : 3e-2;
  if (error <= most) return "";  // not where it is NaN
  return absl::StrFormat("a gradient error of %.2e, at most %.0e is right", error, most);
}

}  // namespace tierlib::bench
