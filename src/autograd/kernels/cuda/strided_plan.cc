#include "autograd/kernels/cuda/strided_plan.h"

#include "autograd/kernels/host/strided_loop.h"
#include "base/check.h"

namespace tierlib::autograd::cuda {
namespace {

host::StridedLoop LoopOver(const host::Target& y, std::span<const host::Source> x) {
  const Dims& sizes = y.layout.sizes;
  const auto strides = [&](std::size_t i) { return host::BroadcastStrides(x[i].layout, sizes); };
  switch (x.size()) {
    case 0: return host::StridedLoop(sizes, {y.layout.strides});
    case 1: return host::StridedLoop(sizes, {y.layout.strides, strides(0)});
    case 2: return host::StridedLoop(sizes, {y.layout.strides, strides(0), strides(1)});
    default: return host::StridedLoop(sizes, {y.layout.strides, strides(0), strides(1), strides(2)});
  }
}

}  // namespace

StridedPlan MakeStridedPlan(const host::Target& y, std::span<const host::Source> sources) {
  TIERLIB_DCHECK(sources.size() < StridedPlan::kMostOperands, "more operands than a plan has room for");
  const host::StridedLoop loop = LoopOver(y, sources);
  StridedPlan plan;
  plan.rank = loop.rank();
  plan.elements = 1;
  for (int d = 0; d < plan.rank; ++d) {
    plan.sizes[d] = loop.size(d);
    plan.elements *= plan.sizes[d];
    for (int o = 0; o <= static_cast<int>(sources.size()); ++o) plan.strides[o][d] = loop.stride(o, d);
  }
  return plan;
}

}  // namespace tierlib::autograd::cuda
