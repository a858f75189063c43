// Dropout: saves nothing. Its mask is a function of (seed, counter), drawn again in backward, and in a replay from its
// input.
#include "autograd/kernels/dropout.h"

#include <utility>

#include "autograd/op.h"
#include "autograd/replay.h"
#include "base/check.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

struct Mask {
  double p = 0;
  std::uint64_t seed = 0;
  std::uint64_t counter = 0;

  host::DropoutArguments On(DType dtype, std::int64_t count, const void* x, void* y) const {
    return host::DropoutArguments{
        .dtype = dtype, .count = count, .p = p, .seed = seed, .counter = counter, .x = x, .y = y};
  }
};

Status Compute(const Launcher& launcher, const Mask& mask, const Tensor& x, const Tensor& y) {
  return launcher.Launch("dropout", {.reads = {&x}, .writes = {&y}}, host::Dropout,
                         mask.On(x.dtype(), x.elements(), x.data(), y.data()));
}

}  // namespace

Value Dropout(const Value& x, double p, std::uint64_t seed, std::uint64_t counter) {
  return RunOp("dropout", {&x}, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
    if (!(p >= 0 && p <= 1)) return InvalidArgumentError("p = " + std::to_string(p) + " is not in [0, 1]");
    if (p == 0) return x;
    const Mask mask{p, seed, counter};
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), x.sizes()));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor row_major, op.RowMajor(x.tensor()));
    TIERLIB_RETURN_IF_ERROR(Compute(op, mask, row_major, y));
    if (x.tensor().layout().is_contiguous()) {
      TIERLIB_RETURN_IF_ERROR(op.Derive(
          y, x.tensor(),
          KernelReplay<host::DropoutArguments>(
              op.context(), "dropout", host::Dropout, [mask](const host::Source& from, const host::Target& to) {
                TIERLIB_CHECK(from.layout.is_contiguous() && to.layout.is_contiguous(),
                              "dropout is replayed through other layouts than it was derived with");
                return mask.On(to.layout.dtype, to.layout.elements(), from.data, to.data);
              })));
    }
    return op.Record(std::move(y), [mask](BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(const Tensor dy, pass.RowMajor(pass.gradient()));
      TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewRowMajorGradient(0));
      TIERLIB_RETURN_IF_ERROR(Compute(pass, mask, dy, dx));
      return pass.Give(0, std::move(dx));
    });
  });
}

}  // namespace tierlib::autograd
