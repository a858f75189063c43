// What tests of the exact form's kernels work on: weights of one stored type, and what the kernels make of them.
#ifndef TIERLIB_TESTS_DKM_EXACT_PROBLEM_H_
#define TIERLIB_TESTS_DKM_EXACT_PROBLEM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "autograd/kernels/host/chunk.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "dkm/dense_reference.h"
#include "dkm/kernels/exact.h"
#include "dkm/kernels/tiled.h"

namespace tierlib::dkm::host {

// Memory of `values` as `dtype` has them, and back.
inline std::vector<std::byte> Store(DType dtype, const std::vector<double>& values) {
  std::vector<std::byte> bytes(values.size() * ElementBytes(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    autograd::host::WriteElement<double>(dtype, bytes.data(), static_cast<std::int64_t>(i), values[i]);
  }
  return bytes;
}
inline std::vector<double> Load(DType dtype, const std::vector<std::byte>& bytes) {
  std::vector<double> values(bytes.size() / ElementBytes(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = autograd::host::ReadElement<double>(dtype, bytes.data(), static_cast<std::int64_t>(i));
  }
  return values;
}
// The nearest values that `dtype` has.
inline std::vector<double> Rounded(DType dtype, const std::vector<double>& values) {
  return Load(dtype, Store(dtype, values));
}

// Workspace, aligned to 64, that is full of NaN.
struct alignas(64) Line {
  double values[8];
};
inline std::vector<Line> RubbishWorkspace(std::size_t bytes) {
  Line rubbish;
  for (double& value : rubbish.values) value = std::numeric_limits<double>::quiet_NaN();
  return std::vector<Line>((bytes + sizeof(Line) - 1) / sizeof(Line), rubbish);
}

template <typename T>
struct ExactResult {
  std::vector<std::byte> output, replayed, weight_gradient;
  std::vector<T> trajectory;
  std::vector<double> start_gradient;
  std::int64_t non_finite = kAllFinite;

  std::vector<T> Last(const ExactShape& shape) const {
    const T* last = trajectory.data() + TiledCentroidOffset(shape.table, shape.table.iterations);
    return {last, last + shape.table.clusters};
  }
};

// Forward, replay and backward, in workspaces that hold other things before.
template <typename T>
ExactResult<T> SolveExact(const ExactShape& shape, const std::vector<double>& weights, const std::vector<double>& start,
                          const std::vector<double>& gradient, int threads = 1) {
  ThreadPool pool(threads);
  KernelContext context{pool};
  std::vector<Line> workspace = RubbishWorkspace(ExactForwardWorkspaceBytes<T>(shape));
  const std::vector<std::byte> w = Store(shape.stored, weights);
  const std::vector<std::byte> g = Store(shape.stored, gradient);
  ExactResult<T> result;
  result.output.resize(w.size());
  result.replayed.resize(w.size());
  result.weight_gradient.resize(w.size());
  result.trajectory.assign(ExactTrajectoryElements(shape), std::numeric_limits<T>::quiet_NaN());
  result.start_gradient.assign(start.size(), std::numeric_limits<double>::quiet_NaN());
  std::copy(start.begin(), start.end(), result.trajectory.begin());
  FirstNonFinite non_finite = kAllFinite;
  ExactForward(context, ExactForwardArguments<T>{.shape = shape,
                                                 .weights = w.data(),
                                                 .trajectory = result.trajectory.data(),
                                                 .output = result.output.data(),
                                                 .non_finite = &non_finite,
                                                 .workspace = workspace.data()});
  result.non_finite = non_finite;
  ExactReplay(context, ExactReplayArguments<T>{.shape = shape,
                                               .weights = w.data(),
                                               .trajectory = result.trajectory.data(),
                                               .output = result.replayed.data()});
  workspace = RubbishWorkspace(ExactBackwardWorkspaceBytes<T>(shape));
  ExactBackward(context, ExactBackwardArguments<T>{.shape = shape,
                                                   .weights = w.data(),
                                                   .trajectory = result.trajectory.data(),
                                                   .gradient = g.data(),
                                                   .weight_gradient = result.weight_gradient.data(),
                                                   .start_gradient = result.start_gradient.data(),
                                                   .workspace = workspace.data()});
  return result;
}

// The same by the tiled form in float64.
struct TiledResult {
  std::vector<double> output, trajectory, weight_gradient, start_gradient;
  std::vector<double> Last(const TiledShape& shape) const {
    const double* last = trajectory.data() + TiledCentroidOffset(shape, shape.iterations);
    return {last, last + shape.clusters};
  }
};
inline TiledResult SolveTiled(const TiledShape& shape, const std::vector<double>& weights,
                              const std::vector<double>& start, const std::vector<double>& gradient) {
  ThreadPool pool(2);
  KernelContext context{pool};
  std::vector<double> workspace(TiledWorkspaceBytes(shape, sizeof(double)) / sizeof(double));
  TiledResult result;
  result.output.resize(weights.size());
  result.weight_gradient.resize(weights.size());
  result.start_gradient.resize(start.size());
  result.trajectory.resize(TiledTrajectoryElements(shape));
  std::copy(start.begin(), start.end(), result.trajectory.begin());
  TiledForward(context, shape, weights.data(), result.trajectory.data(), result.output.data(), workspace.data());
  TiledBackward(context, shape, weights.data(), result.trajectory.data(), gradient.data(),
                result.weight_gradient.data(), result.start_gradient.data(), workspace.data());
  return result;
}

// Normal values of the deviation, and centroids at even distances over two deviations to either side.
inline std::vector<double> NormalValues(std::uint64_t seed, std::int64_t count, double deviation) {
  Random random(seed);
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) value = deviation * random.Normal();
  return values;
}
inline std::vector<double> EvenStart(int clusters, double deviation) {
  std::vector<double> start;
  for (int j = 0; j < clusters; ++j) {
    start.push_back(static_cast<double>(static_cast<float>(deviation * (4 * (j + 0.5) / clusters - 2))));
  }
  return start;
}

}  // namespace tierlib::dkm::host

#endif  // TIERLIB_TESTS_DKM_EXACT_PROBLEM_H_
