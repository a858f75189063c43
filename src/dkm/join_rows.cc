#include "dkm/join_rows.h"

#include <cstdint>
#include <utility>

#include "autograd/op.h"

namespace tierlib::dkm {

using autograd::BackwardPass;
using autograd::Op;
using autograd::Tensor;
using autograd::Value;

namespace {

// Where a part of these sizes lies in a row-major tensor, from the element `first` on.
Tensor PlaceIn(const Tensor& whole, std::int64_t first, const Dims& sizes) {
  Layout place = Layout::Contiguous(whole.dtype(), sizes);
  place.offset_bytes = whole.layout().offset_bytes + first * static_cast<std::int64_t>(ElementBytes(whole.dtype()));
  return whole.WithLayout(place);
}

}  // namespace

Value JoinRows(const std::vector<Value>& parts, const Dims& sizes) {
  std::vector<const Value*> inputs;
  for (const Value& part : parts) inputs.push_back(&part);
  return autograd::RunOp("dkm_join", inputs, [&](Op& op) -> StatusOr<Value> {
    TIERLIB_ASSIGN_OR_RETURN(Tensor whole, op.New(parts.front().dtype(), sizes));
    std::vector<Dims> part_sizes;
    std::int64_t first = 0;
    for (const Value& part : parts) {
      TIERLIB_RETURN_IF_ERROR(op.Copy(part.tensor(), PlaceIn(whole, first, part.sizes())));
      first += part.tensor().elements();
      part_sizes.push_back(part.sizes());
    }
    return op.Record(std::move(whole), [part_sizes](BackwardPass& pass) -> Status {
      TIERLIB_ASSIGN_OR_RETURN(const Tensor gradient, pass.RowMajor(pass.gradient()));
      std::int64_t from = 0;
      for (std::size_t i = 0; i < part_sizes.size(); ++i) {
        const Tensor part = PlaceIn(gradient, from, part_sizes[i]);
        from += part.elements();
        if (pass.wants(static_cast<int>(i))) TIERLIB_RETURN_IF_ERROR(pass.Give(static_cast<int>(i), part));
      }
      return OkStatus();
    });
  });
}

}  // namespace tierlib::dkm
