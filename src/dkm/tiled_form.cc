#include "dkm/tiled_form.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "autograd/op.h"
#include "autograd/replay.h"
#include "dkm/cuda_form.h"
#include "dkm/kernels/palettize.h"

namespace tierlib::dkm {
namespace {

using autograd::BackwardPass;
using autograd::Launcher;
using autograd::Op;
using autograd::Tensor;
using autograd::Value;

// A row-major `x` in the type that is computed in: itself where it is that already.
StatusOr<Tensor> InComputeType(const Launcher& launcher, const Tensor& x) {
  const DType compute = autograd::host::ComputeType(x.dtype());
  if (x.dtype() == compute) return launcher.RowMajor(x);
  TIERLIB_ASSIGN_OR_RETURN(Tensor copy, launcher.New(compute, x.sizes()));
  TIERLIB_RETURN_IF_ERROR(launcher.Copy(x, copy));
  return copy;
}

// Vectors of a group whose tiles are enough for all threads.
constexpr std::int64_t kEnoughVectors = std::int64_t{1} << 16;
constexpr std::int64_t kMostLanes = 16;

// Where the groups of a problem lie on the device, for kernels in which T is computed in.
template <typename T>
struct Places {
  host::TiledShape shape;  // of all groups but the last
  Groups groups;
  std::int64_t lanes = 1;
  const T* weights = nullptr;
  T* trajectories = nullptr;
  std::byte* workspaces = nullptr;
  std::size_t workspace_bytes = 0;  // of a lane

  host::TiledShape Shape(std::int64_t group) const {
    host::TiledShape own = shape;
    own.vectors = groups.Vectors(group);
    return own;
  }
  std::int64_t FirstElement(std::int64_t group) const { return groups.FirstVector(group) * shape.dim; }
  std::size_t FirstCentroid(std::int64_t group) const {
    return static_cast<std::size_t>(group) * host::TiledCentroidOffset(shape, 1);
  }
  T* Trajectory(std::int64_t group) const {
    return trajectories + static_cast<std::size_t>(group) * host::TiledTrajectoryElements(shape);
  }
  T* Last(std::int64_t group) const { return Trajectory(group) + host::TiledCentroidOffset(shape, shape.iterations); }
  void* Workspace(std::int64_t lane) const { return workspaces + static_cast<std::size_t>(lane) * workspace_bytes; }
};

std::int64_t Lanes(const Groups& groups) { return LanesOf(groups, kEnoughVectors, kMostLanes); }

std::size_t LaneBytes(const host::TiledShape& shape, std::size_t element_bytes) {
  return (host::TiledWorkspaceBytes(shape, element_bytes) + 63) / 64 * 64;
}

StatusOr<Tensor> NewWorkspace(const Launcher& launcher, const TiledProblem& problem, std::size_t element_bytes) {
  return launcher.Workspace(static_cast<std::size_t>(Lanes(problem.groups)) * LaneBytes(problem.shape, element_bytes));
}

template <typename T>
Places<T> PlacesOf(const TiledProblem& problem, const Tensor& weights, const Tensor& trajectories,
                   const Tensor& workspace) {
  return {problem.shape,
          problem.groups,
          Lanes(problem.groups),
          static_cast<const T*>(weights.data()),
          static_cast<T*>(trajectories.data()),
          static_cast<std::byte*>(workspace.data()),
          LaneBytes(problem.shape, sizeof(T))};
}

// Takes the centroids from `start` to `newest`.
template <typename T>
struct Iterations {
  Places<T> places;
  const float* start;
  float* newest;
  std::shared_ptr<host::IterationCount> run;

  // output [N][d]: W~; null: not wanted.
  void Run(KernelContext& context, T* output) const {
    ForEachGroup(context, places.groups, places.lanes, [&](std::int64_t group, std::int64_t lane) {
      const std::size_t values = host::TiledCentroidOffset(places.shape, 1);
      const std::size_t first = places.FirstCentroid(group);
      T* const trajectory = places.Trajectory(group);
      for (std::size_t i = 0; i < values; ++i) trajectory[i] = static_cast<T>(start[first + i]);
      const std::int64_t element = places.FirstElement(group);
      host::TiledForward(context, places.Shape(group), places.weights + element, trajectory,
                         output == nullptr ? nullptr : output + element, places.Workspace(lane));
      const T* const last = places.Last(group);
      for (std::size_t i = 0; i < values; ++i) newest[first + i] = static_cast<float>(last[i]);
    });
    int most = 0;
    for (std::int64_t group = 0; group < places.groups.count; ++group) {
      most = std::max(most, host::IterationsRun(places.shape, places.Trajectory(group)));
    }
    run->store(most, std::memory_order_relaxed);
  }
};

template <typename T>
Iterations<T> IterationsOf(const TiledProblem& problem, const Tensor& weights, const Tensor& trajectories,
                           const Tensor& workspace) {
  return {PlacesOf<T>(problem, weights, trajectories, workspace), static_cast<const float*>(problem.start.data()),
          static_cast<float*>(problem.newest.data()), problem.iterations_run};
}

template <typename T>
Status LaunchForward(const Launcher& launcher, const TiledProblem& problem, const Tensor& weights,
                     const Tensor& trajectories, const Tensor& output) {
  if (!launcher.runs_host_kernels()) {
    return LaunchTiledForwardCuda(launcher, problem, weights, trajectories, output, /*rounds=*/false);
  }
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, NewWorkspace(launcher, problem, sizeof(T)));
  return launcher.Launch("dkm tiled",
                         {.reads = {&weights, &problem.start},
                          .writes = {&trajectories, &output, &workspace},
                          .updates = {&problem.newest}},
                         [iterations = IterationsOf<T>(problem, weights, trajectories, workspace),
                          y = static_cast<T*>(output.data())](KernelContext& context) { iterations.Run(context, y); });
}

template <typename T>
Status LaunchBackward(const Launcher& launcher, const TiledProblem& problem, const Tensor& weights,
                      const Tensor& trajectories, const Tensor& gradient, const Tensor& weight_gradient) {
  if (!launcher.runs_host_kernels()) {
    return LaunchTiledBackwardCuda(launcher, problem, weights, trajectories, gradient, weight_gradient);
  }
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, NewWorkspace(launcher, problem, sizeof(T)));
  return launcher.Launch(
      "dkm tiled gradient", {.reads = {&weights, &trajectories, &gradient}, .writes = {&weight_gradient, &workspace}},
      [places = PlacesOf<T>(problem, weights, trajectories, workspace), g = static_cast<const T*>(gradient.data()),
       dw = static_cast<T*>(weight_gradient.data())](KernelContext& context) {
        ForEachGroup(context, places.groups, places.lanes, [&](std::int64_t group, std::int64_t lane) {
          const std::int64_t element = places.FirstElement(group);
          host::TiledBackward(context, places.Shape(group), places.weights + element, places.Trajectory(group),
                              g + element, dw + element, nullptr, places.Workspace(lane));
        });
      });
}

Status TiledBackwardPass(BackwardPass& pass, const TiledProblem& problem, int weight_slot, int trajectory_slot) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor packed, pass.Unpack(weight_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor weights, InComputeType(pass, packed));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectories, pass.Unpack(trajectory_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor gradient, InComputeType(pass, pass.gradient()));
  TIERLIB_ASSIGN_OR_RETURN(Tensor result, pass.NewRowMajorGradient(0));
  Tensor computed = result;
  if (result.dtype() != weights.dtype()) {
    TIERLIB_ASSIGN_OR_RETURN(computed, pass.New(weights.dtype(), weights.sizes()));
  }
  TIERLIB_RETURN_IF_ERROR(weights.dtype() == DType::kF64
                              ? LaunchBackward<double>(pass, problem, weights, trajectories, gradient, computed)
                              : LaunchBackward<float>(pass, problem, weights, trajectories, gradient, computed));
  if (result.dtype() != weights.dtype()) TIERLIB_RETURN_IF_ERROR(pass.Copy(computed, result));
  return pass.Give(0, std::move(result));
}

Dims TrajectorySizes(const TiledProblem& problem) {
  return {problem.groups.count * static_cast<std::int64_t>(host::TiledTrajectoryElements(problem.shape))};
}

// For one pass.
StatusOr<Tensor> NewTrajectories(const Launcher& launcher, const TiledProblem& problem, DType compute) {
  return launcher.New(compute, TrajectorySizes(problem));
}

// What W~ is made from again, besides W: small beside it, so that it stays where the replay finds it.
StatusOr<Tensor> KeptTrajectories(const Launcher& launcher, const TiledProblem& problem, DType compute) {
  return autograd::AllocateTensor(launcher.context(), compute, TrajectorySizes(problem), Holds::kPersistent,
                                  launcher.label() + ".centroids", trace::Tag::kActivation);
}

// Whether W~ need not be kept, as it can be made again from W.
bool Replays(const Launcher& launcher, const TiledProblem& problem, const Tensor& weight) {
  const DType compute = autograd::host::ComputeType(weight.dtype());
  const std::int64_t kept = TrajectorySizes(problem)[0] * static_cast<std::int64_t>(ElementBytes(compute));
  return weight.layout().is_contiguous() && kept < weight.layout().logical_bytes() / 2 &&
         (launcher.runs_host_kernels() || weight.dtype() == compute);
}

// How.
template <typename T>
Replay ReplayOf(autograd::Context& context, const TiledProblem& problem, DType dtype, const Tensor& trajectories) {
  return autograd::KernelReplay(
      context, "dkm tiled",
      [shape = problem.shape, groups = problem.groups, dtype, path = static_cast<const T*>(trajectories.data())](
          KernelContext& kernel, const autograd::host::Source& from, const autograd::host::Target& to) {
        ForEachGroup(kernel, groups, Lanes(groups), [&](std::int64_t group, std::int64_t) {
          host::TiledReplayArguments<T> a{shape, dtype};
          a.shape.vectors = groups.Vectors(group);
          const std::size_t first =
              static_cast<std::size_t>(groups.FirstVector(group) * shape.dim) * ElementBytes(dtype);
          a.weights = static_cast<const std::byte*>(from.data) + first;
          a.output = static_cast<std::byte*>(to.data) + first;
          a.trajectory = path + static_cast<std::size_t>(group) * host::TiledTrajectoryElements(shape);
          host::TiledReplay(kernel, a);
        });
      },
      {trajectories});
}

Status DeriveOutput(Op& op, const TiledProblem& problem, const Tensor& output, const Tensor& weight,
                    const Tensor& trajectories) {
  autograd::Context& context = op.context();
  if (!op.runs_host_kernels()) {
    return op.Derive(output, weight, TiledReplayCuda(context, problem, weight.dtype(), trajectories));
  }
  return op.Derive(output, weight,
                   trajectories.dtype() == DType::kF64
                       ? ReplayOf<double>(context, problem, weight.dtype(), trajectories)
                       : ReplayOf<float>(context, problem, weight.dtype(), trajectories));
}

// `computed`: the weight in the type that is computed in.
template <typename T>
Status LaunchPalettize(const Launcher& launcher, const TiledProblem& problem, const Tensor& weight,
                       const Tensor& computed, const Tensor& output) {
  const host::TiledShape& shape = problem.shape;
  TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectories, NewTrajectories(launcher, problem, computed.dtype()));
  if (!launcher.runs_host_kernels()) {
    TIERLIB_RETURN_IF_ERROR(
        LaunchTiledForwardCuda(launcher, problem, computed, trajectories, Tensor(), /*rounds=*/true));
    return LaunchPalettizeCuda(launcher, problem, weight, trajectories, output);
  }
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, NewWorkspace(launcher, problem, sizeof(T)));
  host::PalettizeArguments<T> arguments;
  arguments.dtype = weight.dtype();
  arguments.dim = shape.dim;
  arguments.clusters = shape.clusters;
  arguments.metric = shape.metric;
  arguments.prune_threshold = shape.prune_threshold;
  return launcher.Launch("dkm palettize",
                         {.reads = {&weight, &computed, &problem.start},
                          .writes = {&trajectories, &workspace, &output},
                          .updates = {&problem.newest}},
                         [arguments, iterations = IterationsOf<T>(problem, computed, trajectories, workspace),
                          table = problem.table, from = static_cast<const std::byte*>(weight.data()),
                          to = static_cast<std::byte*>(output.data())](KernelContext& context) {
                           iterations.Run(context, nullptr);
                           const Places<T>& places = iterations.places;
                           ForEachGroup(context, places.groups, places.lanes, [&](std::int64_t group, std::int64_t) {
                             host::RoundTable(table, host::TiledCentroidOffset(places.shape, 1), places.Last(group));
                             const std::size_t first =
                                 static_cast<std::size_t>(places.FirstElement(group)) * ElementBytes(arguments.dtype);
                             host::PalettizeArguments<T> own = arguments;
                             own.vectors = places.groups.Vectors(group);
                             own.weights = from + first;
                             own.centroids = places.Last(group);
                             own.output = to + first;
                             host::Palettize(context, own);
                           });
                         });
}

}  // namespace

Value TiledForm(const Value& weight, const TiledProblem& problem) {
  return autograd::RunOp("dkm_tiled", {&weight}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(autograd::RequireFloat({&weight}));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor weights, InComputeType(op, weight.tensor()));
    const DType compute = weights.dtype();
    const bool replays = Replays(op, problem, weight.tensor());
    TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectories,
                             replays ? KeptTrajectories(op, problem, compute) : NewTrajectories(op, problem, compute));
    TIERLIB_ASSIGN_OR_RETURN(Tensor output, op.New(compute, weight.sizes()));
    const int weight_slot = op.Save(weight.tensor(), "weight");
    TIERLIB_RETURN_IF_ERROR(compute == DType::kF64 ? LaunchForward<double>(op, problem, weights, trajectories, output)
                                                   : LaunchForward<float>(op, problem, weights, trajectories, output));
    const int trajectory_slot = op.Save(trajectories, "centroids");
    if (compute != weight.dtype()) {
      TIERLIB_ASSIGN_OR_RETURN(Tensor rounded, op.New(weight.dtype(), weight.sizes()));
      TIERLIB_RETURN_IF_ERROR(op.Copy(output, rounded));
      output = std::move(rounded);
    }
    if (replays) TIERLIB_RETURN_IF_ERROR(DeriveOutput(op, problem, output, weight.tensor(), trajectories));
    TiledProblem backward{problem.shape, problem.groups, Tensor(), Tensor(), nullptr, problem.table};
    return op.Record(std::move(output), [backward, weight_slot, trajectory_slot](BackwardPass& pass) {
      return TiledBackwardPass(pass, backward, weight_slot, trajectory_slot);
    });
  });
}

Status LaunchTiledPalettize(const Launcher& launcher, const TiledProblem& problem, const Tensor& row_major_weight,
                            const Tensor& output) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor computed, InComputeType(launcher, row_major_weight));
  return computed.dtype() == DType::kF64
             ? LaunchPalettize<double>(launcher, problem, row_major_weight, computed, output)
             : LaunchPalettize<float>(launcher, problem, row_major_weight, computed, output);
}

}  // namespace tierlib::dkm
