// What tests of the CUDA kernels of DKM work on: runs the launches on a grid whose memory the host can reach, in
// workspaces that hold other things before, and gives results in the form of the host kernels' tests.
#ifndef TIERLIB_TESTS_DKM_CUDA_PROBLEM_H_
#define TIERLIB_TESTS_DKM_CUDA_PROBLEM_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/cuda/sequential_grid.h"
#include "dkm/exact_problem.h"
#include "dkm/kernels/cuda/exact_launches.h"
#include "dkm/kernels/cuda/tiled_launches.h"

namespace tierlib::dkm::cuda {

// Aligned to 256 and full of NaN.
class Rubbish {
 public:
  explicit Rubbish(std::size_t bytes) : memory_(host::RubbishWorkspace(bytes + 256)) {}
  void* data() {
    const auto begin = reinterpret_cast<std::uintptr_t>(memory_.data());
    return reinterpret_cast<void*>((begin + 255) / 256 * 256);
  }

 private:
  std::vector<host::Line> memory_;
};

template <typename T>
constexpr T kNaN = std::numeric_limits<T>::quiet_NaN();

inline std::vector<float> AsFloats(const std::vector<double>& values) { return {values.begin(), values.end()}; }

struct ExactOutcome : host::ExactResult<double> {
  std::vector<float> newest;
  std::int32_t iterations_run = -1;
};

// A weight with all that forward and backward passes of it work on. Weights begin `shift` elements after memory that
// packs may be read from.
class ExactWeight {
 public:
  ExactWeight(const ExactShape& shape, const std::vector<double>& weights, const std::vector<double>& start,
              const std::vector<double>& gradient, bool nearest = false, DType table_type = DType::kF32,
              std::size_t shift = 0)
      : gradient_(host::Store(shape.stored, gradient)),
        start_(AsFloats(start)),
        table_(ExactTableBytes(shape)),
        workspace_(ExactForwardMemory(shape, nullptr).carver.bytes()),
        backward_workspace_(ExactBackwardMemory(shape, nullptr).carver.bytes()) {
    const std::vector<std::byte> w = host::Store(shape.stored, weights);
    memory_.resize(w.size() / sizeof(host::Line) + 2);
    auto* const at = reinterpret_cast<std::byte*>(memory_.data()) + shift * ElementBytes(shape.stored);
    std::copy(w.begin(), w.end(), at);
    outcome.output.resize(w.size());
    outcome.replayed.resize(w.size());
    outcome.weight_gradient.resize(w.size());
    outcome.trajectory.assign(host::ExactTrajectoryElements(shape), kNaN<double>);
    outcome.start_gradient.assign(start.size(), kNaN<double>);
    outcome.newest.resize(start.size());
    forward.shape = shape;
    forward.weights = at;
    forward.start = start_.data();
    forward.trajectory = outcome.trajectory.data();
    forward.newest = outcome.newest.data();
    forward.table = table_.data();
    forward.output = outcome.output.data();
    forward.nearest = nearest;
    forward.table_type = table_type;
    forward.first_non_finite = &outcome.non_finite;
    forward.iterations_run = &outcome.iterations_run;
    forward.workspace = workspace_.data();
    replay = {shape, at, table_.data(), outcome.replayed.data()};
    backward.shape = shape;
    backward.weights = at;
    backward.trajectory = outcome.trajectory.data();
    backward.gradient = gradient_.data();
    backward.weight_gradient = outcome.weight_gradient.data();
    backward.start_gradient = outcome.start_gradient.data();
    backward.workspace = backward_workspace_.data();
  }
  ExactWeight(const ExactWeight&) = delete;
  ExactWeight& operator=(const ExactWeight&) = delete;

  ExactOutcome outcome;
  ExactForwardArguments forward;
  ExactReplayArguments replay;
  ExactBackwardArguments backward;

 private:
  std::vector<host::Line> memory_;
  std::vector<std::byte> gradient_;
  std::vector<float> start_;
  Rubbish table_;
  Rubbish workspace_;
  Rubbish backward_workspace_;
};

// Forward, replay and backward.
inline ExactOutcome SolveExactOn(SequentialGrid grid, const ExactShape& shape, const std::vector<double>& weights,
                                 const std::vector<double>& start, const std::vector<double>& gradient,
                                 bool nearest = false, DType table_type = DType::kF32, std::size_t shift = 0) {
  ExactWeight weight(shape, weights, start, gradient, nearest, table_type, shift);
  EXPECT_TRUE(RunExactForward(grid, weight.forward).ok());
  EXPECT_TRUE(RunExactReplay(grid, weight.replay).ok());
  EXPECT_TRUE(RunExactBackward(grid, weight.backward).ok());
  return weight.outcome;
}

template <typename T>
struct TiledOutcome {
  std::vector<T> trajectory, output, weight_gradient;
  std::vector<double> start_gradient;
  std::vector<float> newest;
  std::int32_t iterations_run = -1;
};

template <typename T>
TiledOutcome<T> SolveTiledOn(SequentialGrid grid, const TiledShape& shape, const std::vector<T>& weights,
                             const std::vector<float>& start, const std::vector<T>& gradient, bool rounds = false,
                             DType table_type = DType::kF32) {
  TiledOutcome<T> r;
  r.trajectory.assign(host::TiledTrajectoryElements(shape), kNaN<T>);
  r.output.assign(weights.size(), kNaN<T>);
  r.weight_gradient.assign(weights.size(), kNaN<T>);
  r.start_gradient.assign(start.size(), kNaN<double>);
  r.newest.resize(start.size());
  Rubbish workspace(TiledMemory<T>(shape, nullptr).carver.bytes());
  TiledForwardArguments<T> forward;
  forward.shape = shape;
  forward.weights = weights.data();
  forward.start = start.data();
  forward.trajectory = r.trajectory.data();
  forward.newest = r.newest.data();
  forward.output = r.output.data();
  forward.rounds = rounds;
  forward.table = table_type;
  forward.iterations_run = &r.iterations_run;
  forward.workspace = workspace.data();
  EXPECT_TRUE(RunTiledForward(grid, forward).ok());
  Rubbish backward_workspace(TiledMemory<T>(shape, nullptr).carver.bytes());
  TiledBackwardArguments<T> backward;
  backward.shape = shape;
  backward.weights = weights.data();
  backward.trajectory = r.trajectory.data();
  backward.gradient = gradient.data();
  backward.weight_gradient = r.weight_gradient.data();
  backward.start_gradient = r.start_gradient.data();
  backward.workspace = backward_workspace.data();
  EXPECT_TRUE(RunTiledBackward(grid, backward).ok());
  return r;
}

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_TESTS_DKM_CUDA_PROBLEM_H_
