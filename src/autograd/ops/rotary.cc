// Rotary position embedding: saves nothing, as backward turns gradients back by the same angles.
#include "autograd/kernels/rotary.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "autograd/op.h"
#include "autograd/shape.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::autograd {
namespace {

// Positions up to this are whole numbers of float64 each.
constexpr std::int64_t kLastPosition = std::int64_t{1} << 53;

Status CheckArguments(const Value& x, const RotaryOptions& options, int position_dim) {
  TIERLIB_RETURN_IF_ERROR(RequireFloat({&x}));
  const Dims& sizes = x.sizes();
  const int rank = sizes.rank();
  if (rank < 2 || position_dim < 0 || position_dim >= rank - 1) {
    return InvalidArgumentError("x " + SizesText(sizes) + ", position_dim " + std::to_string(options.position_dim) +
                                ": it must name a dimension before the last");
  }
  if (sizes[rank - 1] % 2 != 0) {
    return InvalidArgumentError("x " + SizesText(sizes) +
                                ": the last dimension is turned in pairs, so it must be even");
  }
  if (!(options.theta > 0) || !std::isfinite(options.theta)) {
    return InvalidArgumentError("theta = " + std::to_string(options.theta) + " must be positive");
  }
  if (options.first_position < 0) {
    return InvalidArgumentError("first_position " + std::to_string(options.first_position) + " must not be negative");
  }
  const std::int64_t largest = kLastPosition - std::min(sizes[position_dim], kLastPosition);
  if (options.first_position > largest) {
    return InvalidArgumentError("first_position " + std::to_string(options.first_position) + " must be at most " +
                                std::to_string(largest) + ": with " + std::to_string(sizes[position_dim]) +
                                " positions the last one would pass 2^53");
  }
  return OkStatus();
}

// What x [.., T, .., D] is to the kernel, but for its addresses.
host::RotaryArguments Shape(const Value& x, const RotaryOptions& options, int position_dim) {
  const Dims& sizes = x.sizes();
  host::RotaryArguments a{.dtype = x.dtype(), .outer = 1, .positions = sizes[position_dim], .inner = 1};
  for (int dim = 0; dim < position_dim; ++dim) a.outer *= sizes[dim];
  for (int dim = position_dim + 1; dim < sizes.rank() - 1; ++dim) a.inner *= sizes[dim];
  a.pairs = sizes[sizes.rank() - 1] / 2;
  a.first = options.first_position;
  a.theta = options.theta;
  a.halves = options.pairs == RotaryPairs::kHalves;
  return a;
}

Status Turn(const Launcher& launcher, host::RotaryArguments a, bool back, const Tensor& x, const Tensor& y) {
  TIERLIB_ASSIGN_OR_RETURN(const Tensor workspace,
                           launcher.Workspace(host::RotaryWorkspaceBytes(a.dtype, a.positions, a.pairs)));
  a.back = back;
  a.x = x.data();
  a.y = y.data();
  a.workspace = AddressOrNull(workspace);
  Operands operands{.reads = {&x}, .writes = {&y}};
  if (workspace.defined()) operands.writes.push_back(&workspace);
  return launcher.Launch(back ? "rotary gradient" : "rotary", operands, host::Rotary, a);
}

}  // namespace

Value Rotary(const Value& x, const RotaryOptions& options) {
  return RunOp("rotary", {&x}, [&](Op& op) -> StatusOr<Value> {
    const int rank = x.sizes().rank();
    const int position_dim = options.position_dim < 0 ? options.position_dim + rank : options.position_dim;
    TIERLIB_RETURN_IF_ERROR(CheckArguments(x, options, position_dim));
    const host::RotaryArguments shape = Shape(x, options, position_dim);
    TIERLIB_ASSIGN_OR_RETURN(Tensor y, op.New(x.dtype(), x.sizes()));
    TIERLIB_ASSIGN_OR_RETURN(const Tensor row_major, op.RowMajor(x.tensor()));
    TIERLIB_RETURN_IF_ERROR(Turn(op, shape, /*back=*/false, row_major, y));
    return op.Record(std::move(y), [shape](BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(const Tensor dy, pass.RowMajor(pass.gradient()));
      TIERLIB_ASSIGN_OR_RETURN(Tensor dx, pass.NewRowMajorGradient(0));
      TIERLIB_RETURN_IF_ERROR(Turn(pass, shape, /*back=*/true, dy, dx));
      return pass.Give(0, std::move(dx));
    });
  });
}

}  // namespace tierlib::autograd
