#include "dkm/rounding.h"

#include <utility>

#include "autograd/op.h"
#include "autograd/replay.h"
#include "dkm/kernels/round.h"

namespace tierlib::dkm {

using autograd::Tensor;
using autograd::Value;

StatusOr<Tensor> RoundTo(const autograd::Launcher& launcher, const Tensor& x, DType narrow) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor from, launcher.RowMajor(x));
  TIERLIB_ASSIGN_OR_RETURN(Tensor to, launcher.New(DType::kF32, x.sizes()));
  TIERLIB_RETURN_IF_ERROR(launcher.Launch(
      "dkm round", {.reads = {&from}, .writes = {&to}},
      [narrow, in = static_cast<const float*>(from.data()), count = x.elements(), out = static_cast<float*>(to.data())](
          KernelContext& context) { host::RoundTo(context, narrow, in, count, out); }));
  return to;
}

Value RoundTo(const Value& x, DType narrow) {
  return autograd::RunOp("dkm_round", {&x}, [&](autograd::Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, RoundTo(op, x.tensor(), narrow));
    if (x.tensor().layout().is_contiguous()) {
      TIERLIB_RETURN_IF_ERROR(op.Derive(
          y, x.tensor(),
          autograd::KernelReplay(
              op.context(), "dkm round",
              [narrow](KernelContext& context, const autograd::host::Source& from, const autograd::host::Target& to) {
                host::RoundTo(context, narrow, static_cast<const float*>(from.data), from.layout.elements(),
                              static_cast<float*>(to.data));
              })));
    }
    return op.Record(std::move(y), [](autograd::BackwardPass& pass) { return pass.Give(0, pass.gradient()); });
  });
}

}  // namespace tierlib::dkm
