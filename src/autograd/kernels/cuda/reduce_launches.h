// Sums over dimensions. Reference: host/reduce.cc.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_REDUCE_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_REDUCE_LAUNCHES_H_

#include <cstddef>
#include <cstdint>
#include <tuple>

#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/cuda/sums.h"
#include "autograd/kernels/summed_dims.h"

namespace tierlib::autograd::cuda {

struct SumTerm {
  static constexpr int kValues = 1;
  const void* x = nullptr;
  DType dtype = DType::kF32;
  host::SummedDims kept;
  host::SummedDims summed;
  TIERLIB_HOST_DEVICE void Add(std::int64_t term, std::int64_t result, double* sums) const {
    *sums += Read<double>(dtype, x, kept.XOffset(result) + summed.XOffset(term));
  }
};
struct SumResult {
  void* y = nullptr;
  DType dtype = DType::kF32;
  double scale = 1;
  host::SummedDims kept;
  TIERLIB_HOST_DEVICE void Put(std::int64_t, std::int64_t result, int, double sum) const {
    Write(dtype, y, kept.YOffset(result), sum * scale);
  }
};

// Whether x is densest along what is summed.
struct SumPlan {
  host::SummedDims kept;
  host::SummedDims summed;
  bool along_terms = false;
  SumParts cut;

  explicit SumPlan(const host::SumToArguments& a) {
    std::tie(kept, summed) = host::SplitDims(a);
    const std::int64_t results = kept.elements();
    const std::int64_t terms = summed.elements();
    along_terms = terms >= kWarp && (results == 1 || (summed.inner_stride() < kept.inner_stride()));
    cut = along_terms ? SumParts::OfTerms(results, terms) : SumParts::OfColumns(results, terms);
  }
};

inline std::size_t WorkspaceBytes(const host::SumToArguments& a) { return SumPlan(a).cut.WorkspaceBytes(1); }

template <class Grid>
Status Run(Grid& grid, const host::SumToArguments& a, void* workspace) {
  const SumPlan plan(a);
  const SumTerm term{a.x.data, a.x.layout.dtype, plan.kept, plan.summed};
  const SumResult result{a.y.data, a.y.layout.dtype, a.scale, plan.kept};
  return plan.along_terms ? RunTermSums(grid, term, result, plan.cut, workspace)
                          : RunColumnSums(grid, term, result, plan.cut, workspace);
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_REDUCE_LAUNCHES_H_
