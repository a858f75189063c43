#include "dkm/rounding.h"

#include <utility>

#include "autograd/kernels/cast.h"
#include "autograd/op.h"
#include "autograd/replay.h"

namespace tierlib::dkm {

using autograd::Tensor;
using autograd::Value;
using autograd::host::RoundArguments;

StatusOr<Tensor> RoundTo(const autograd::Launcher& launcher, const Tensor& x, DType narrow) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor from, launcher.RowMajor(x));
  TIERLIB_ASSIGN_OR_RETURN(Tensor to, launcher.New(DType::kF32, x.sizes()));
  TIERLIB_RETURN_IF_ERROR(launcher.Launch("dkm round", {.reads = {&from}, .writes = {&to}}, autograd::host::Round,
                                          RoundArguments{narrow, autograd::In(from), autograd::Out(to)}));
  return to;
}

Value RoundTo(const Value& x, DType narrow) {
  return autograd::RunOp("dkm_round", {&x}, [&](autograd::Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, RoundTo(op, x.tensor(), narrow));
    if (x.tensor().layout().is_contiguous()) {
      TIERLIB_RETURN_IF_ERROR(
          op.Derive(y, x.tensor(),
                    autograd::KernelReplay<RoundArguments>(
                        op.context(), "dkm round", autograd::host::Round,
                        [narrow](const autograd::host::Source& from, const autograd::host::Target& to) {
                          return RoundArguments{narrow, from, to};
                        })));
    }
    return op.Record(std::move(y), [](autograd::BackwardPass& pass) { return pass.Give(0, pass.gradient()); });
  });
}

}  // namespace tierlib::dkm
