#include "dkm/pair_distance.h"

#include <string>
#include <utility>

#include "autograd/op.h"
#include "autograd/shape.h"
#include "dkm/kernels/distance.h"

namespace tierlib::dkm {
namespace {

using autograd::BackwardPass;
using autograd::Op;
using autograd::Tensor;
using autograd::Value;

StatusOr<host::DistanceShape> CheckShape(const Value& w, const Value& c) {
  TIERLIB_RETURN_IF_ERROR(autograd::RequireFloat({&w, &c}));
  if (w.dtype() != c.dtype() || w.sizes().rank() != 2 || c.sizes().rank() != 2 || w.sizes()[1] != c.sizes()[1]) {
    return InvalidArgumentError("wants [N,d] and [k,d] of one dtype, not " + w.tensor().layout().ToString() + " and " +
                                c.tensor().layout().ToString());
  }
  constexpr std::int64_t kMost = 256;
  if (c.sizes()[0] > kMost || c.sizes()[1] > kMost || c.sizes()[0] < 1 || c.sizes()[1] < 1) {
    return InvalidArgumentError("takes 1 to 256 vectors of 1 to 256 values as centroids, not " +
                                autograd::SizesText(c.sizes()));
  }
  return host::DistanceShape{w.dtype(), w.sizes()[0], static_cast<int>(w.sizes()[1]), static_cast<int>(c.sizes()[0])};
}

Status PairDistanceBackward(BackwardPass& pass, const host::DistanceShape& shape, int w_slot, int c_slot,
                            int distance_slot) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor packed_w, pass.Unpack(w_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor packed_c, pass.Unpack(c_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor distance, pass.Unpack(distance_slot));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor w, pass.RowMajor(packed_w));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor c, pass.RowMajor(packed_c));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor slope, pass.RowMajor(pass.gradient()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, pass.Workspace(host::DistanceWorkspaceBytes(shape)));
  autograd::Operands operands{.reads = {&w, &c, &distance, &slope}, .writes = {&workspace}};
  Tensor dw, dc;
  if (pass.wants(0)) {
    TIERLIB_ASSIGN_OR_RETURN(dw, pass.NewRowMajorGradient(0));
    operands.writes.push_back(&dw);
  }
  if (pass.wants(1)) {
    TIERLIB_ASSIGN_OR_RETURN(dc, pass.NewRowMajorGradient(1));
    operands.writes.push_back(&dc);
  }
  TIERLIB_RETURN_IF_ERROR(pass.Launch("pair distance gradient", operands, host::DistanceBackward,
                                      host::DistanceBackwardArguments{.shape = shape,
                                                                      .weights = w.data(),
                                                                      .centroids = c.data(),
                                                                      .distance = distance.data(),
                                                                      .d_distance = slope.data(),
                                                                      .d_weights = AddressOrNull(dw),
                                                                      .d_centroids = AddressOrNull(dc),
                                                                      .workspace = workspace.data()}));
  if (pass.wants(0)) TIERLIB_RETURN_IF_ERROR(pass.Give(0, std::move(dw)));
  return pass.wants(1) ? pass.Give(1, std::move(dc)) : OkStatus();
}

}  // namespace

Value PairDistance(const Value& w, const Value& c) {
  return autograd::RunOp("pair_distance", {&w, &c}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(const host::DistanceShape shape, CheckShape(w, c));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor weights, op.RowMajor(w.tensor()));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor centroids, op.RowMajor(c.tensor()));
    TIERLIB_ASSIGN_OR_RETURN(Tensor distance, op.New(shape.dtype, {shape.vectors, shape.clusters}));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace, op.Workspace(host::DistanceWorkspaceBytes(shape)));
    const int w_slot = op.Save(w.tensor(), "weights");
    const int c_slot = op.Save(c.tensor(), "centroids");
    TIERLIB_RETURN_IF_ERROR(op.Launch(
        "pair distance", {.reads = {&weights, &centroids}, .writes = {&distance, &workspace}}, host::DistanceForward,
        host::DistanceForwardArguments{.shape = shape,
                                       .weights = weights.data(),
                                       .centroids = centroids.data(),
                                       .distance = distance.data(),
                                       .workspace = workspace.data()}));
    const int distance_slot = op.Save(distance, "distance");
    return op.Record(std::move(distance), [=](BackwardPass& pass) {
      return PairDistanceBackward(pass, shape, w_slot, c_slot, distance_slot);
    });
  });
}

}  // namespace tierlib::dkm
