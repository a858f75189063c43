#include "dkm/tiled_form.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "autograd/op.h"
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

// The pointers of a problem on the device, for kernels in which T is computed in.
template <typename T>
struct Iterations {
  host::TiledShape shape;
  const T* weights;
  const float* start;
  T* trajectory;
  float* newest;
  void* workspace;
  std::shared_ptr<host::IterationCount> run;

  // Takes the centroids from `start` to `newest`. output [N][d]: W~; null: not wanted.
  void Run(KernelContext& context, T* output) const {
    const std::size_t values = host::TiledCentroidOffset(shape, 1);
    for (std::size_t i = 0; i < values; ++i) trajectory[i] = static_cast<T>(start[i]);
    host::TiledForward(context, shape, weights, trajectory, output, workspace);
    for (std::size_t i = 0; i < values; ++i) newest[i] = static_cast<float>(last()[i]);
    run->store(host::IterationsRun(shape, trajectory), std::memory_order_relaxed);
  }
  T* last() const { return trajectory + host::TiledCentroidOffset(shape, shape.iterations); }
};

template <typename T>
Iterations<T> IterationsOf(const TiledProblem& problem, const Tensor& weights, const Tensor& trajectory,
                           const Tensor& workspace) {
  return {problem.shape,
          static_cast<const T*>(weights.data()),
          static_cast<const float*>(problem.start.data()),
          static_cast<T*>(trajectory.data()),
          static_cast<float*>(problem.newest.data()),
          workspace.data(),
          problem.iterations_run};
}

template <typename T>
Status LaunchForward(const Launcher& launcher, const TiledProblem& problem, const Tensor& weights,
                     const Tensor& trajectory, const Tensor& output) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace,
                           launcher.Workspace(host::TiledWorkspaceBytes(problem.shape, sizeof(T))));
  return launcher.Launch(
      "dkm tiled",
      {.reads = {&weights, &problem.start}, .writes = {&trajectory, &output, &workspace}, .updates = {&problem.newest}},
      [iterations = IterationsOf<T>(problem, weights, trajectory, workspace),
       y = static_cast<T*>(output.data())](KernelContext& context) { iterations.Run(context, y); });
}

template <typename T>
Status LaunchBackward(const Launcher& launcher, const host::TiledShape& shape, const Tensor& weights,
                      const Tensor& trajectory, const Tensor& gradient, const Tensor& weight_gradient) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(host::TiledWorkspaceBytes(shape, sizeof(T))));
  return launcher.Launch(
      "dkm tiled gradient", {.reads = {&weights, &trajectory, &gradient}, .writes = {&weight_gradient, &workspace}},
      [shape, w = static_cast<const T*>(weights.data()), path = static_cast<const T*>(trajectory.data()),
       g = static_cast<const T*>(gradient.data()), dw = static_cast<T*>(weight_gradient.data()),
       work = workspace.data()](KernelContext& context) {
        host::TiledBackward(context, shape, w, path, g, dw, nullptr, work);
      });
}

Status TiledBackwardPass(BackwardPass& pass, const host::TiledShape& shape, int weight_slot, int trajectory_slot) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor packed, pass.Unpack(weight_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor weights, InComputeType(pass, packed));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectory, pass.Unpack(trajectory_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor gradient, InComputeType(pass, pass.gradient()));
  TIERLIB_ASSIGN_OR_RETURN(Tensor result, pass.NewRowMajorGradient(0));
  Tensor computed = result;
  if (result.dtype() != weights.dtype()) {
    TIERLIB_ASSIGN_OR_RETURN(computed, pass.New(weights.dtype(), weights.sizes()));
  }
  TIERLIB_RETURN_IF_ERROR(weights.dtype() == DType::kF64
                              ? LaunchBackward<double>(pass, shape, weights, trajectory, gradient, computed)
                              : LaunchBackward<float>(pass, shape, weights, trajectory, gradient, computed));
  if (result.dtype() != weights.dtype()) TIERLIB_RETURN_IF_ERROR(pass.Copy(computed, result));
  return pass.Give(0, std::move(result));
}

StatusOr<Tensor> NewTrajectory(const Launcher& launcher, const host::TiledShape& shape, DType compute) {
  return launcher.New(compute, {static_cast<std::int64_t>(host::TiledTrajectoryElements(shape))});
}

// `computed`: the weight in the type that is computed in.
template <typename T>
Status LaunchPalettize(const Launcher& launcher, const TiledProblem& problem, const Tensor& weight,
                       const Tensor& computed, const Tensor& output) {
  const host::TiledShape& shape = problem.shape;
  TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectory, NewTrajectory(launcher, shape, computed.dtype()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(host::TiledWorkspaceBytes(shape, sizeof(T))));
  host::PalettizeArguments<T> arguments;
  arguments.dtype = weight.dtype();
  arguments.vectors = shape.vectors;
  arguments.dim = shape.dim;
  arguments.clusters = shape.clusters;
  arguments.weights = weight.data();
  arguments.output = output.data();
  const Iterations<T> iterations = IterationsOf<T>(problem, computed, trajectory, workspace);
  arguments.centroids = iterations.last();
  return launcher.Launch("dkm palettize",
                         {.reads = {&weight, &computed, &problem.start},
                          .writes = {&trajectory, &workspace, &output},
                          .updates = {&problem.newest}},
                         [arguments, iterations, table = problem.table](KernelContext& context) {
                           iterations.Run(context, nullptr);
                           host::RoundTable(table, host::TiledCentroidOffset(iterations.shape, 1), iterations.last());
                           host::Palettize(context, arguments);
                         });
}

}  // namespace

Value TiledForm(const Value& weight, const TiledProblem& problem) {
  return autograd::RunOp("dkm_tiled", {&weight}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(autograd::RequireFloat({&weight}));
    const host::TiledShape shape = problem.shape;
    TIERLIB_ASSIGN_OR_RETURN(const Tensor weights, InComputeType(op, weight.tensor()));
    const DType compute = weights.dtype();
    TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectory, NewTrajectory(op, shape, compute));
    TIERLIB_ASSIGN_OR_RETURN(Tensor output, op.New(compute, weight.sizes()));
    const int weight_slot = op.Save(weight.tensor(), "weight");
    TIERLIB_RETURN_IF_ERROR(compute == DType::kF64 ? LaunchForward<double>(op, problem, weights, trajectory, output)
                                                   : LaunchForward<float>(op, problem, weights, trajectory, output));
    const int trajectory_slot = op.Save(trajectory, "centroids");
    if (compute != weight.dtype()) {
      TIERLIB_ASSIGN_OR_RETURN(Tensor rounded, op.New(weight.dtype(), weight.sizes()));
      TIERLIB_RETURN_IF_ERROR(op.Copy(output, rounded));
      output = std::move(rounded);
    }
    return op.Record(std::move(output), [shape, weight_slot, trajectory_slot](BackwardPass& pass) {
      return TiledBackwardPass(pass, shape, weight_slot, trajectory_slot);
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
