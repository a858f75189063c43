// The kernels of the exact form, made ready for one weight: base/cuda/kernel_set.h launches them, for one weight or for
// many (exact_launches.h has the order).
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_KERNELS_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_KERNELS_H_

#include "dkm/kernels/cuda/count_patterns.h"
#include "dkm/kernels/cuda/exact.h"
#include "dkm/kernels/cuda/exact_memory.h"
#include "dkm/kernels/cuda/tiled_launches.h"

namespace tierlib::dkm::cuda {

inline Path<double> PathOf(const ExactShape& shape, double* trajectory) { return {shape.table, trajectory}; }
// Where a trajectory has the range of patterns.
inline double* RangeOf(const Path<double>& path) { return path.run() + 1; }

// Blocks of a kernel that goes over all weights once.
template <class Kernel>
int StreamingBlocks(const DeviceLimits& limits, std::int64_t weights) {
  return BlocksFor(weights, std::int64_t{Kernel::kThreads} * kPackWeights, 16 * std::int64_t{limits.processors});
}

// Zeroes words at one place and the state of passes.
struct ClearBefore : PlainKernel {
  std::uint64_t* words = nullptr;
  std::int64_t count = 0;
  PassState* state = nullptr;
  int blocks = 1;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    if (block == 0 && thread == 0) *state = PassState{};
    for (std::int64_t i = block * kThreads + thread; i < count; i += std::int64_t{blocks} * kThreads) words[i] = 0;
  }
};
inline ClearBefore Clearing(std::uint64_t* words, std::size_t bytes, PassState* state) {
  ClearBefore clear;
  clear.words = words;
  clear.count = static_cast<std::int64_t>(bytes / sizeof(std::uint64_t));
  clear.state = state;
  clear.blocks = BlocksFor(clear.count, ClearBefore::kThreads, 256);
  return clear;
}

inline Gather GatherOf(const ExactShape& shape, const DeviceLimits& limits, const void* weights, const void* table,
                       void* output, std::int64_t* first_non_finite) {
  Gather gather;
  gather.weights = ArrayOf(shape.stored, weights);
  gather.output = ArrayOf(shape.stored, output);
  gather.pattern = shape.pattern;
  gather.count = shape.table.vectors;
  gather.blocks = StreamingBlocks<Gather>(limits, gather.count);
  gather.table = table;
  gather.first_non_finite = first_non_finite;
  return gather;
}

// Forward. REQUIRES: CheckExactShape.
struct ExactForwardKernels : IterationKernels<double> {
  ExactForwardKernels(const ExactForwardArguments& a, const DeviceLimits& limits) {
    const ExactForwardMemory m(a.shape, a.workspace);
    const Path<double> path = PathOf(a.shape, a.trajectory);
    clear = Clearing(m.counts, kPatterns * sizeof(std::uint64_t), m.work.state);
    count.Set(a.shape, a.weights, limits);
    count.counts = m.counts;
    list.pattern = a.shape.pattern;
    list.counts = m.counts;
    list.range = RangeOf(path);
    list.distinct = m.distinct;
    list.first_non_finite = m.first_non_finite;
    EndPath<double> last;
    last.rounds = a.nearest;
    last.table = a.table_type;
    last.newest = a.newest;
    last.iterations_run = a.iterations_run;
    last.tells_most = a.weights_before > 0;
    const Rows<double> rows{m.distinct.values, m.distinct.counts, m.distinct.count, MostValues(a.shape)};
    static_cast<IterationKernels<double>&>(*this) = IterationsOf(path, rows, m.work, a.start, last);
    fill.path = path;
    fill.pattern = a.shape.pattern;
    fill.stored = a.shape.stored;
    fill.nearest = a.nearest;
    fill.counts = m.counts;
    fill.table = a.table;
    fill.blocks = BlocksFor(kPatterns, FillTable::kThreads, kPatterns);
    gather = GatherOf(a.shape, limits, a.weights, a.table, a.output, m.first_non_finite);
    report.found = m.first_non_finite;
    report.told = a.first_non_finite;
    report.before = a.weights_before;
  }

  ClearBefore clear;
  CountPatterns count;
  ListDistinct list;
  FillTable fill;
  Gather gather;
  ReportNonFinite report;
};

// Backward: counts and sums by pattern and the list of distinct values; slope and offset of each value; the pass that
// applies them. Reference of the second: BackwardOfTable in host/tiled.cc. REQUIRES: CheckExactShape.
struct ExactBackwardKernels {
  ExactBackwardKernels(const ExactBackwardArguments& a, const DeviceLimits& limits) {
    const ExactBackwardMemory m(a.shape, a.workspace);
    const Path<double> path = PathOf(a.shape, a.trajectory);
    clear = Clearing(m.counts, m.cleared_bytes, m.work.state);
    SetSums(a, m, path, limits);
    SetTable(a, m, path);
    spread.distinct = m.distinct;
    spread.slope = m.slope;
    spread.offset = m.offset;
    spread.table = m.table;
    spread.blocks = BlocksFor(MostValues(a.shape), SpreadSlopes::kThreads, 256);
    apply.weights = ArrayOf(a.shape.stored, a.weights);
    apply.gradient = ArrayOf(a.shape.stored, a.gradient);
    apply.weight_gradient = ArrayOf(a.shape.stored, a.weight_gradient);
    apply.pattern = a.shape.pattern;
    apply.count = a.shape.table.vectors;
    apply.table = m.table;
    apply.blocks = StreamingBlocks<ApplySlopes>(limits, apply.count);
  }

  ClearBefore clear;
  LargestGradient largest;
  SumGradients sum;
  ListDistinct list;
  Differentiate<double> slopes;
  Collect<double> collect;  // no blocks where `slopes` collects
  Differentiate<double> offsets;
  SpreadSlopes spread;
  ApplySlopes apply;

 private:
  void SetSums(const ExactBackwardArguments& a, const ExactBackwardMemory& m, const Path<double>& path,
               const DeviceLimits& limits) {
    largest.gradient = ArrayOf(a.shape.stored, a.gradient);
    largest.count = a.shape.table.vectors;
    largest.largest = m.largest;
    largest.blocks = StreamingBlocks<LargestGradient>(limits, largest.count);
    sum.Set(a.shape, a.weights, limits);
    sum.gradient = largest.gradient;
    sum.range = RangeOf(path);
    sum.largest = m.largest;
    sum.counts = m.counts;
    sum.sums = m.sums;
    list.pattern = a.shape.pattern;
    list.counts = m.counts;
    list.sums = m.sums;
    list.largest_gradient = m.largest;
    list.distinct = m.distinct;
  }

  void SetTable(const ExactBackwardArguments& a, const ExactBackwardMemory& m, const Path<double>& path) {
    const std::int64_t most = MostValues(a.shape);
    const bool recomputed = a.shape.table.attention == Attention::kRecomputed;
    const Rows<double> by_sums{m.distinct.values, m.distinct.sums, m.distinct.count, most};
    slopes = PassOver<Differentiate<double>>(path, by_sums, m.work);
    slopes.way = recomputed ? Way::kOutput : Way::kDirect;
    slopes.gradient_is_one = true;
    slopes.collects = recomputed;
    slopes.weight_gradient = m.slope;
    const Rows<double> once{m.distinct.values, nullptr, m.distinct.count, most};
    collect = PassOver<Collect<double>>(path, once, m.work);
    collect.gradient = m.distinct.sums;
    if (recomputed) collect.blocks = 0;
    const Rows<double> by_counts{m.distinct.values, m.distinct.counts, m.distinct.count, most};
    offsets = PassOver<Differentiate<double>>(path, by_counts, m.work);
    offsets.with_direct = !recomputed;
    offsets.overwrites = true;
    offsets.weight_gradient = m.offset;
    offsets.start_gradient = a.start_gradient;
  }
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_KERNELS_H_
