#include "dkm/tiled_form.h"

#include <utility>

#include "autograd/op.h"

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

template <typename T>
Status LaunchForward(const Launcher& launcher, const host::TiledShape& shape, const Tensor& weights,
                     const Tensor& start, const Tensor& trajectory, const Tensor& output, const Tensor& newest) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, launcher.Workspace(host::TiledWorkspaceBytes(shape, sizeof(T))));
  return launcher.Launch(
      "dkm tiled", {.reads = {&weights, &start}, .writes = {&trajectory, &output, &workspace}, .updates = {&newest}},
      [shape, w = static_cast<const T*>(weights.data()), from = static_cast<const float*>(start.data()),
       path = static_cast<T*>(trajectory.data()), y = static_cast<T*>(output.data()),
       to = static_cast<float*>(newest.data()), work = workspace.data()](KernelContext& context) {
        const std::size_t values = host::TiledCentroidOffset(shape, 1);
        for (std::size_t i = 0; i < values; ++i) path[i] = static_cast<T>(from[i]);
        host::TiledForward(context, shape, w, path, y, work);
        const T* last = path + host::TiledCentroidOffset(shape, shape.iterations);
        for (std::size_t i = 0; i < values; ++i) to[i] = static_cast<float>(last[i]);
      });
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

}  // namespace

Value TiledForm(const Value& weight, const Tensor& start, const host::TiledShape& shape, const Tensor& newest) {
  return autograd::RunOp("dkm_tiled", {&weight}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(autograd::RequireFloat({&weight}));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor weights, InComputeType(op, weight.tensor()));
    const DType compute = weights.dtype();
    const auto elements = static_cast<std::int64_t>(host::TiledTrajectoryElements(shape));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor trajectory, op.New(compute, {elements}));
    TIERLIB_ASSIGN_OR_RETURN(Tensor output, op.New(compute, weight.sizes()));
    const int weight_slot = op.Save(weight.tensor(), "weight");
    TIERLIB_RETURN_IF_ERROR(compute == DType::kF64
                                ? LaunchForward<double>(op, shape, weights, start, trajectory, output, newest)
                                : LaunchForward<float>(op, shape, weights, start, trajectory, output, newest));
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

}  // namespace tierlib::dkm
