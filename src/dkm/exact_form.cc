#include "dkm/exact_form.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "autograd/context.h"
#include "autograd/op.h"
#include "autograd/replay.h"
#include "dkm/cuda_form.h"

namespace tierlib::dkm {
namespace {

using autograd::BackwardPass;
using autograd::Launcher;
using autograd::Op;
using autograd::Tensor;
using autograd::Value;

// Weights of a group whose pieces are enough for all threads; each lane costs a few MiB of workspace.
constexpr std::int64_t kEnoughWeights = std::int64_t{1} << 19;
constexpr std::int64_t kMostLanes = 4;

// A few hundred bytes for each group that W~ may be made again from at any time: they stay on the device.
StatusOr<Tensor> NewTrajectories(const Launcher& launcher, const ExactProblem& problem) {
  const auto each = static_cast<std::int64_t>(host::ExactTrajectoryElements(problem.shape));
  return autograd::AllocateTensor(launcher.context(), DType::kF64, {problem.groups.count * each}, Holds::kPersistent,
                                  launcher.label() + ".centroids", trace::Tag::kActivation);
}

// Where the groups of a problem lie.
struct Places {
  host::ExactShape shape;  // of all groups but the last
  Groups groups;
  std::int64_t lanes = 1;
  std::size_t workspace_bytes = 0;  // of a lane

  host::ExactShape Shape(std::int64_t group) const {
    host::ExactShape own = shape;
    own.table.vectors = groups.Vectors(group);
    return own;
  }
  std::size_t FirstByte(std::int64_t group) const {
    return static_cast<std::size_t>(groups.FirstVector(group)) * ElementBytes(shape.stored);
  }
  std::size_t FirstCentroid(std::int64_t group) const {
    return static_cast<std::size_t>(group) * static_cast<std::size_t>(shape.table.clusters);
  }
  std::size_t FirstOfTrajectory(std::int64_t group) const {
    return static_cast<std::size_t>(group) * host::ExactTrajectoryElements(shape);
  }
  std::size_t WorkspaceBytes() const { return static_cast<std::size_t>(lanes) * workspace_bytes; }
};

Places PlacesOf(const host::ExactShape& shape, const Groups& groups, std::size_t workspace_bytes) {
  return {shape, groups, LanesOf(groups, kEnoughWeights, kMostLanes), (workspace_bytes + 63) / 64 * 64};
}

const std::byte* At(const void* data, std::size_t bytes) { return static_cast<const std::byte*>(data) + bytes; }
std::byte* At(void* data, std::size_t bytes) { return static_cast<std::byte*>(data) + bytes; }

// The kernel of the forward pass: all groups.
struct Forward {
  Places places;
  host::ExactForwardArguments<double> all;  // pointers to what the first group has
  std::shared_ptr<host::FirstNonFinite> seen;
  std::shared_ptr<host::IterationCount> run;
  const float* start = nullptr;
  float* newest = nullptr;

  void RunGroup(KernelContext& context, std::int64_t group, std::int64_t lane) const {
    host::ExactForwardArguments<double> a = all;
    a.shape = places.Shape(group);
    a.weights = At(all.weights, places.FirstByte(group));
    a.trajectory = all.trajectory + places.FirstOfTrajectory(group);
    a.output = At(all.output, places.FirstByte(group));
    a.workspace = At(all.workspace, static_cast<std::size_t>(lane) * places.workspace_bytes);
    host::FirstNonFinite in_group(host::kAllFinite);
    a.non_finite = &in_group;
    const host::TiledShape& table = a.shape.table;
    const std::size_t first = places.FirstCentroid(group);
    const auto clusters = static_cast<std::size_t>(table.clusters);
    for (std::size_t j = 0; j < clusters; ++j) a.trajectory[j] = static_cast<double>(start[first + j]);
    host::ExactForward(context, a);
    const double* last = a.trajectory + host::TiledCentroidOffset(table, table.iterations);
    for (std::size_t j = 0; j < clusters; ++j) newest[first + j] = static_cast<float>(last[j]);
    if (in_group != host::kAllFinite) host::LowerTo(places.groups.FirstVector(group) + in_group, *seen);
  }

  void operator()(KernelContext& context) const {
    ForEachGroup(context, places.groups, places.lanes,
                 [&](std::int64_t group, std::int64_t lane) { RunGroup(context, group, lane); });
    int most = 0;
    for (std::int64_t group = 0; group < places.groups.count; ++group) {
      const double* trajectory = all.trajectory + places.FirstOfTrajectory(group);
      most = std::max(most, host::IterationsRun(places.shape.table, trajectory));
    }
    run->store(most, std::memory_order_relaxed);
  }
};

// `weights` row-major; `nearest` as in host::ExactForwardArguments.
Status LaunchForward(const Launcher& launcher, const ExactProblem& problem, const Tensor& weights,
                     const Tensor& trajectories, const Tensor& output, bool nearest) {
  const Places places =
      PlacesOf(problem.shape, problem.groups, host::ExactForwardWorkspaceBytes<double>(problem.shape));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(places.WorkspaceBytes()));
  Forward forward;
  forward.places = places;
  forward.all.weights = weights.data();
  forward.all.trajectory = static_cast<double*>(trajectories.data());
  forward.all.output = output.data();
  forward.all.nearest = nearest;
  forward.all.table = problem.table;
  forward.all.workspace = workspace.data();
  forward.seen = problem.non_finite;
  forward.run = problem.iterations_run;
  forward.start = static_cast<const float*>(problem.start.data());
  forward.newest = static_cast<float*>(problem.newest.data());
  return launcher.Launch("dkm exact",
                         {.reads = {&weights, &problem.start},
                          .writes = {&trajectories, &output, &workspace},
                          .updates = {&problem.newest}},
                         std::move(forward));
}

Status ExactBackwardPass(BackwardPass& pass, const host::ExactShape& shape, const Groups& groups, int weight_slot,
                         int trajectory_slot) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor packed, pass.Unpack(weight_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor weights, pass.RowMajor(packed));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectories, pass.Unpack(trajectory_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor gradient, pass.RowMajor(pass.gradient()));
  TIERLIB_ASSIGN_OR_RETURN(Tensor result, pass.NewRowMajorGradient(0));
  if (!pass.runs_host_kernels()) {
    TIERLIB_RETURN_IF_ERROR(LaunchExactBackwardCuda(pass, shape, groups, weights, trajectories, gradient, result));
    return pass.Give(0, std::move(result));
  }
  const Places places = PlacesOf(shape, groups, host::ExactBackwardWorkspaceBytes<double>(shape));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, pass.Workspace(places.WorkspaceBytes()));
  host::ExactBackwardArguments<double> all;
  all.weights = weights.data();
  all.trajectory = static_cast<const double*>(trajectories.data());
  all.gradient = gradient.data();
  all.weight_gradient = result.data();
  all.workspace = workspace.data();
  TIERLIB_RETURN_IF_ERROR(pass.Launch(
      "dkm exact gradient", {.reads = {&weights, &trajectories, &gradient}, .writes = {&result, &workspace}},
      [places, all](KernelContext& context) {
        ForEachGroup(context, places.groups, places.lanes, [&](std::int64_t group, std::int64_t lane) {
          host::ExactBackwardArguments<double> a = all;
          a.shape = places.Shape(group);
          a.weights = At(all.weights, places.FirstByte(group));
          a.trajectory = all.trajectory + places.FirstOfTrajectory(group);
          a.gradient = At(all.gradient, places.FirstByte(group));
          a.weight_gradient = At(all.weight_gradient, places.FirstByte(group));
          a.workspace = At(all.workspace, static_cast<std::size_t>(lane) * places.workspace_bytes);
          host::ExactBackward(context, a);
        });
      }));
  return pass.Give(0, std::move(result));
}

// How W~ is made from a row-major W.
Replay ReplayOf(autograd::Context& context, const ExactProblem& problem, const Tensor& trajectories) {
  const auto* path = static_cast<const double*>(trajectories.data());
  return autograd::KernelReplay(
      context, "dkm exact",
      [places = PlacesOf(problem.shape, problem.groups, 0), path](
          KernelContext& kernel, const autograd::host::Source& from, const autograd::host::Target& to) {
        ForEachGroup(kernel, places.groups, places.lanes, [&](std::int64_t group, std::int64_t) {
          host::ExactReplay(kernel,
                            host::ExactReplayArguments<double>{.shape = places.Shape(group),
                                                               .weights = At(from.data, places.FirstByte(group)),
                                                               .trajectory = path + places.FirstOfTrajectory(group),
                                                               .output = At(to.data, places.FirstByte(group))});
        });
      },
      {trajectories});
}

}  // namespace

Value ExactForm(const Value& weight, const ExactProblem& problem) {
  return autograd::RunOp("dkm_exact", {&weight}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor weights, op.RowMajor(weight.tensor()));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectories, NewTrajectories(op, problem));
    TIERLIB_ASSIGN_OR_RETURN(Tensor output, op.New(weight.dtype(), weight.sizes()));
    const int weight_slot = op.Save(weight.tensor(), "weight");
    Tensor tables;  // of a device with kernels of its own
    if (op.runs_host_kernels()) {
      TIERLIB_RETURN_IF_ERROR(LaunchForward(op, problem, weights, trajectories, output, /*nearest=*/false));
    } else {
      TIERLIB_ASSIGN_OR_RETURN(tables, NewCudaTables(op, problem));
      TIERLIB_RETURN_IF_ERROR(LaunchExactForwardCuda(op, problem, weights, trajectories, tables, output, false));
    }
    const int trajectory_slot = op.Save(trajectories, "centroids");
    if (weight.tensor().layout().is_contiguous()) {
      Replay replay = tables.defined() ? ExactReplayCuda(op.context(), problem, tables)
                                       : ReplayOf(op.context(), problem, trajectories);
      TIERLIB_RETURN_IF_ERROR(op.Derive(output, weight.tensor(), std::move(replay)));
    }
    return op.Record(std::move(output), [shape = problem.shape, groups = problem.groups, weight_slot,
                                         trajectory_slot](BackwardPass& pass) {
      return ExactBackwardPass(pass, shape, groups, weight_slot, trajectory_slot);
    });
  });
}

Status LaunchExactPalettize(const Launcher& launcher, const ExactProblem& problem, const Tensor& row_major_weight,
                            const Tensor& output) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectories, NewTrajectories(launcher, problem));
  if (!launcher.runs_host_kernels()) {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor tables, NewCudaTables(launcher, problem));
    return LaunchExactForwardCuda(launcher, problem, row_major_weight, trajectories, tables, output, /*nearest=*/true);
  }
  return LaunchForward(launcher, problem, row_major_weight, trajectories, output, /*nearest=*/true);
}

}  // namespace tierlib::dkm
