#include "ablation/targets.h"

#include <cmath>

#include "absl/strings/str_format.h"

namespace tierlib::bench {
namespace {

constexpr double kMib = 1024 * 1024;

struct Target {
  double mib = 0;
  double tolerance = 0;  // MiB; as `mib` is the most that is right where this is 0
};

Target TargetOf(const Problem& problem, const Row& row, DType dtype, int learners) {
  const double weights = static_cast<double>(problem.count()) / kMib;
  const double w = weights * static_cast<double>(ElementBytes(dtype));
  const double map = w * problem.clusters();
  const double t = problem.iterations;
  if (row.exact) return Target{row.parameter ? 1 : 2 * weights + 1};
  if (row.mode == OffloadMode::kNaive) return {(5 * t + 1) * map + 2 * t * w, 1};
  const double by_learner = row.share ? learners : 1;
  // What is small is kept whole by every learner.
  if (row.uniquify) return {(w + 2 * t * 2 * weights + 1) / by_learner + (row.share ? 0.175 : 0)};
  return {(2 * t * map + w) / by_learner, row.share ? 0.5 : 1};
}

}  // namespace

std::string MissedTarget(const Problem& problem, const Row& row, DType dtype, int learners, std::uint64_t host_bytes) {
  const Target target = TargetOf(problem, row, dtype, learners);
  const double mib = static_cast<double>(host_bytes) / kMib;
  if (target.tolerance == 0) {
    return mib <= target.mib ? "" : absl::StrFormat("%.3f MiB on the host, at most %.3f is right", mib, target.mib);
  }
  if (std::abs(mib - target.mib) <= target.tolerance) return "";
  return absl::StrFormat("%.3f MiB on the host, %.3f +- %.1f is right", mib, target.mib, target.tolerance);
}

}  // namespace tierlib::bench
