// The problem that all rows of the ablation solve: one attention weight of LLaMA-7B's shape, clustered once.
#ifndef TIERLIB_BENCH_ABLATION_PROBLEM_H_
#define TIERLIB_BENCH_ABLATION_PROBLEM_H_

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"

namespace tierlib::bench {

struct Problem {
  std::int64_t side = 4096;  // W is side x side, N = side^2
  int bits = 3;              // k = 2^bits
  int iterations = 1;        // T
  double tau = 1e-4;
  // All values are bf16: the same in every dtype that a row computes in.
  std::vector<std::uint16_t> weights;   // [N], normal with deviation 0.02
  std::vector<std::uint16_t> gradient;  // [N], dL/dW~, normal with deviation 1
  std::vector<float> start;             // [k], evenly spread over four deviations, rounded to bf16

  std::int64_t count() const { return side * side; }
  int clusters() const { return 1 << bits; }
};

Problem MakeProblem(std::int64_t side, int bits, int iterations);

// dL/dW in float64, written out from the formulas of docs/design.md and none of the library's kernels. `clamp`: the
// attention is clamped to [1e-7, 1], as in the paper's chain. Sums over N are of fixed tiles.
std::vector<double> TrueGradient(const Problem& problem, bool clamp, ThreadPool& pool);

// ||gradient - truth|| / ||truth||.
double RelativeError(const std::vector<float>& gradient, const std::vector<double>& truth);

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_ABLATION_PROBLEM_H_
