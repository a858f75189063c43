#include "dkm/exact_form.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "autograd/context.h"
#include "autograd/op.h"
#include "autograd/replay.h"

namespace tierlib::dkm {
namespace {

using autograd::BackwardPass;
using autograd::Launcher;
using autograd::Op;
using autograd::Tensor;
using autograd::Value;

// A few hundred bytes that W~ may be made again from at any time: they stay on the device.
StatusOr<Tensor> NewTrajectory(const Launcher& launcher, const host::ExactShape& shape) {
  return autograd::AllocateTensor(launcher.context(), DType::kF64,
                                  {static_cast<std::int64_t>(host::ExactTrajectoryElements(shape))}, Holds::kPersistent,
                                  launcher.label() + ".centroids", trace::Tag::kActivation);
}

// `weights` row-major; `nearest` as in host::ExactForwardArguments.
Status LaunchForward(const Launcher& launcher, const ExactProblem& problem, const Tensor& weights,
                     const Tensor& trajectory, const Tensor& output, bool nearest) {
  const host::ExactShape& shape = problem.shape;
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(host::ExactForwardWorkspaceBytes<double>(shape)));
  host::ExactForwardArguments<double> arguments;
  arguments.shape = shape;
  arguments.weights = weights.data();
  arguments.trajectory = static_cast<double*>(trajectory.data());
  arguments.output = output.data();
  arguments.nearest = nearest;
  arguments.table = problem.table;
  arguments.workspace = workspace.data();
  return launcher.Launch(
      "dkm exact",
      {.reads = {&weights, &problem.start}, .writes = {&trajectory, &output, &workspace}, .updates = {&problem.newest}},
      [arguments, seen = problem.non_finite, run = problem.iterations_run,
       from = static_cast<const float*>(problem.start.data()),
       to = static_cast<float*>(problem.newest.data())](KernelContext& context) {
        host::ExactForwardArguments<double> a = arguments;
        a.non_finite = seen.get();
        const host::TiledShape& table = a.shape.table;
        for (int j = 0; j < table.clusters; ++j) a.trajectory[j] = static_cast<double>(from[j]);
        host::ExactForward(context, a);
        const double* last = a.trajectory + host::TiledCentroidOffset(table, table.iterations);
        for (int j = 0; j < table.clusters; ++j) to[j] = static_cast<float>(last[j]);
        run->store(host::IterationsRun(table, a.trajectory), std::memory_order_relaxed);
      });
}

Status ExactBackwardPass(BackwardPass& pass, const host::ExactShape& shape, int weight_slot, int trajectory_slot) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor packed, pass.Unpack(weight_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor weights, pass.RowMajor(packed));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectory, pass.Unpack(trajectory_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor gradient, pass.RowMajor(pass.gradient()));
  TIERLIB_ASSIGN_OR_RETURN(Tensor result, pass.NewRowMajorGradient(0));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, pass.Workspace(host::ExactBackwardWorkspaceBytes<double>(shape)));
  host::ExactBackwardArguments<double> arguments;
  arguments.shape = shape;
  arguments.weights = weights.data();
  arguments.trajectory = static_cast<const double*>(trajectory.data());
  arguments.gradient = gradient.data();
  arguments.weight_gradient = result.data();
  arguments.workspace = workspace.data();
  TIERLIB_RETURN_IF_ERROR(
      pass.Launch("dkm exact gradient", {.reads = {&weights, &trajectory, &gradient}, .writes = {&result, &workspace}},
                  [arguments](KernelContext& context) { host::ExactBackward(context, arguments); }));
  return pass.Give(0, std::move(result));
}

// How W~ is made from a row-major W.
Replay ReplayOf(autograd::Context& context, const host::ExactShape& shape, const Tensor& trajectory) {
  const auto* path = static_cast<const double*>(trajectory.data());
  return autograd::KernelReplay(
      context, "dkm exact",
      [shape, path](KernelContext& kernel, const autograd::host::Source& from, const autograd::host::Target& to) {
        host::ExactReplay(kernel, host::ExactReplayArguments<double>{
                                      .shape = shape, .weights = from.data, .trajectory = path, .output = to.data});
      },
      {trajectory});
}

}  // namespace

Value ExactForm(const Value& weight, const ExactProblem& problem) {
  return autograd::RunOp("dkm_exact", {&weight}, [&](Op& op) -> StatusOr<Value> {
    const host::ExactShape shape = problem.shape;
    TIERLIB_ASSIGN_OR_RETURN(const Tensor weights, op.RowMajor(weight.tensor()));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectory, NewTrajectory(op, shape));
    TIERLIB_ASSIGN_OR_RETURN(Tensor output, op.New(weight.dtype(), weight.sizes()));
    const int weight_slot = op.Save(weight.tensor(), "weight");
    TIERLIB_RETURN_IF_ERROR(LaunchForward(op, problem, weights, trajectory, output, /*nearest=*/false));
    const int trajectory_slot = op.Save(trajectory, "centroids");
    if (weight.tensor().layout().is_contiguous()) {
      TIERLIB_RETURN_IF_ERROR(op.Derive(output, weight.tensor(), ReplayOf(op.context(), shape, trajectory)));
    }
    return op.Record(std::move(output), [shape, weight_slot, trajectory_slot](BackwardPass& pass) {
      return ExactBackwardPass(pass, shape, weight_slot, trajectory_slot);
    });
  });
}

Status LaunchExactPalettize(const Launcher& launcher, const ExactProblem& problem, const Tensor& row_major_weight,
                            const Tensor& output) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectory, NewTrajectory(launcher, problem.shape));
  return LaunchForward(launcher, problem, row_major_weight, trajectory, output, /*nearest=*/true);
}

}  // namespace tierlib::dkm
