// Elementwise operations, casts, copies, activations: which kernel of map_kernels.h runs. `Grid` is CudaGrid or
// SequentialGrid. Reference: the host kernels that the arguments belong to.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ELEMENTWISE_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ELEMENTWISE_LAUNCHES_H_

#include <cstdint>
#include <span>

#include "autograd/kernels/activation.h"
#include "autograd/kernels/cast.h"
#include "autograd/kernels/cuda/formulas.h"
#include "autograd/kernels/cuda/map_kernels.h"
#include "autograd/kernels/elementwise.h"
#include "tierlib/status.h"

namespace tierlib::autograd::cuda {

// Blocks that keep a device busy and end at about the same time.
template <class Grid>
int MapBlocks(const Grid& grid, std::int64_t threads) {
  return BlocksFor(threads, PlainKernel::kThreads, std::int64_t{grid.limits().processors} * 16);
}

// Whether packs of `pack` elements of one dtype divide the runs of all operands.
inline bool PacksFit(const StridedPlan& plan, const host::Target& y, std::span<const host::Source> sources, int pack) {
  if (plan.inner_stride(0) != 1 || plan.inner_size() % pack != 0) return false;
  for (int o = 0; o <= static_cast<int>(sources.size()); ++o) {
    const host::Source& operand = o == 0 ? host::Source{y.data, y.layout} : sources[static_cast<std::size_t>(o) - 1];
    if (operand.layout.dtype != y.layout.dtype) return false;
    if (plan.inner_stride(o) == 0) continue;
    if (plan.inner_stride(o) != 1 || !IsPackAligned(operand.data)) return false;
    for (int d = 0; d + 1 < plan.rank; ++d) {
      if (plan.strides[o][d] % pack != 0) return false;
    }
  }
  return true;
}

template <class Kernel, class Formula, class Grid>
Status RunMapKernel(Grid& grid, const StridedPlan& plan, const Formula& formula, const host::Target& y,
                    std::span<const host::Source> sources, std::int64_t threads) {
  Kernel kernel;
  kernel.plan = plan;
  kernel.formula = formula;
  kernel.y = y.data;
  kernel.y_dtype = y.layout.dtype;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    kernel.x[i] = sources[i].data;
    kernel.x_dtype[i] = sources[i].layout.dtype;
  }
  kernel.blocks = MapBlocks(grid, threads);
  return grid.Run(kernel, kernel.blocks);
}

// y = formula(sources), in the compute type of `arithmetic`.
template <class Formula, class Grid>
Status RunMap(Grid& grid, const Formula& formula, DType arithmetic, const host::Target& y,
              std::span<const host::Source> sources) {
  const StridedPlan plan = MakeStridedPlan(y, sources);
  if (plan.elements == 0) return OkStatus();
  const int pack = 16 / static_cast<int>(ElementBytes(y.layout.dtype));
  if (PacksFit(plan, y, sources, pack)) {
    return WithFormat(y.layout.dtype, [&](auto format) {
      return RunMapKernel<MapPacks<decltype(format), Formula>>(grid, plan, formula, y, sources, plan.elements / pack);
    });
  }
  return WithComputeType(arithmetic, [&](auto type) {
    return RunMapKernel<MapElements<AnyFloat<decltype(type)>, Formula>>(grid, plan, formula, y, sources, plan.elements);
  });
}

// Moves elements of sizeof(Bits) bytes without looking at them.
template <typename Bits, class Grid>
Status RunBitCopy(Grid& grid, const host::CastArguments& a) {
  const StridedPlan plan = MakeStridedPlan(a.y, std::span(&a.x, 1));
  if (plan.elements == 0) return OkStatus();
  constexpr int kPack = 16 / sizeof(Bits);
  if (PacksFit(plan, a.y, std::span(&a.x, 1), kPack)) {
    return RunMapKernel<MapPacks<Raw<Bits>, CopyFormula>>(grid, plan, CopyFormula{}, a.y, std::span(&a.x, 1),
                                                          plan.elements / kPack);
  }
  return RunMapKernel<MapElements<AnyBits<Bits>, CopyFormula>>(grid, plan, CopyFormula{}, a.y, std::span(&a.x, 1),
                                                               plan.elements);
}

template <class Grid>
Status Run(Grid& grid, const host::CastArguments& a, void*) {
  const DType from = a.x.layout.dtype;
  const DType to = a.y.layout.dtype;
  if (from != to) {
    return RunMap(grid, CopyFormula{}, from == DType::kF64 ? from : to, a.y, std::span(&a.x, 1));
  }
  switch (ElementBytes(to)) {
    case 1: return RunBitCopy<std::uint8_t>(grid, a);
    case 2: return RunBitCopy<std::uint16_t>(grid, a);
    case 4: return RunBitCopy<std::uint32_t>(grid, a);
    default: return RunBitCopy<std::uint64_t>(grid, a);
  }
}

template <class Grid>
Status Run(Grid& grid, const host::RoundArguments& a, void*) {
  const DType from = a.x.layout.dtype;
  return RunMap(grid, RoundFormula{a.narrow}, from == DType::kF64 ? from : a.y.layout.dtype, a.y, std::span(&a.x, 1));
}

template <class Grid>
Status Run(Grid& grid, const host::FillArguments& a, void*) {
  return RunMap(grid, FillFormula{a.value}, a.y.layout.dtype, a.y, {});
}
template <class Grid>
Status Run(Grid& grid, const host::UnaryArguments& a, void*) {
  return RunMap(grid, UnaryFormula{a.op, a.c0, a.c1}, a.y.layout.dtype, a.y, std::span(&a.x, 1));
}
template <class Grid>
Status Run(Grid& grid, const host::BinaryArguments& a, void*) {
  const host::Source sources[] = {a.a, a.b};
  return RunMap(grid, BinaryFormula{a.op, a.c0, a.c1}, a.y.layout.dtype, a.y, sources);
}
template <class Grid>
Status Run(Grid& grid, const host::DivisorGradientArguments& a, void*) {
  const host::Source sources[] = {a.gradient, a.numerator, a.denominator};
  return RunMap(grid, DivisorGradientFormula{}, a.y.layout.dtype, a.y, sources);
}
template <class Grid>
Status Run(Grid& grid, const host::MaskedFillArguments& a, void*) {
  const host::Source sources[] = {a.x, a.mask};
  return RunMap(grid, MaskedFillFormula{a.fill}, a.y.layout.dtype, a.y, sources);
}
template <class Grid>
Status Run(Grid& grid, const host::ActivationForwardArguments& a, void*) {
  return RunMap(grid, ActivationFormula{a.activation}, a.y.layout.dtype, a.y, std::span(&a.x, 1));
}
template <class Grid>
Status Run(Grid& grid, const host::ActivationBackwardArguments& a, void*) {
  const host::Source sources[] = {a.dy, a.x};
  return RunMap(grid, ActivationGradientFormula{a.activation}, a.dx.layout.dtype, a.dx, sources);
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ELEMENTWISE_LAUNCHES_H_
