// How a sum is cut: the reduced elements into a few blocks (only where there are too few results to share out), the
// results into runs. A block's sums are accumulated in double; those of several blocks meet in the workspace and are
// added in order.
#include "autograd/kernels/reduce.h"

#include <algorithm>
#include <tuple>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/lanes_rows.h"
#include "autograd/kernels/summed_dims.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {
namespace {

constexpr std::int64_t kBlockElements = 32768;  // of x, that one block of one run should have
constexpr std::int64_t kManyResults = 16384;    // from here on there is enough to share out without blocks
constexpr std::int64_t kMostBlocks = 64;

std::int64_t BlockCount(std::int64_t results, std::int64_t terms) {
  if (results >= kManyResults || results == 0) return 1;
  const std::int64_t wanted = std::max<std::int64_t>(1, terms / std::max<std::int64_t>(1, kBlockElements / results));
  return std::min({wanted, kMostBlocks, std::max<std::int64_t>(1, terms)});
}

class Sum {
 public:
  explicit Sum(const SumToArguments& a) : a_(a), dtype_(a.x.layout.dtype) {
    std::tie(kept_, reduced_) = SplitDims(a);
    results_ = kept_.elements();
    terms_ = reduced_.elements();
    blocks_ = BlockCount(results_, terms_);
    block_terms_ = (terms_ + blocks_ - 1) / blocks_;
    along_terms_ =
        kept_.inner_size() == 1 || (reduced_.inner_size() > 1 && reduced_.inner_stride() < kept_.inner_stride());
  }

  template <typename T>
  void Run(ThreadPool& pool) const {
    const std::int64_t run =
        along_terms_ ? std::max<std::int64_t>(1, kBlockElements / std::max<std::int64_t>(1, block_terms_)) : kChunk;
    const std::int64_t runs = (results_ + run - 1) / run;
    pool.ParallelFor(blocks_ * runs, 1, [&](std::int64_t unit, std::int64_t /*end*/) {
      const std::int64_t block = unit / runs;
      const std::int64_t first = unit % runs * run;
      const std::int64_t last = std::min(results_, first + run);
      if (along_terms_) {
        for (std::int64_t k = first; k < last; ++k) {
          const double sum = SumTerms<T>(block, k);
          Store(block, k, 1, &sum);
        }
        return;
      }
      for (std::int64_t k = first; k < last;) {  // pieces that are evenly spaced in x
        const std::int64_t n = std::min(last - k, kept_.inner_size() - k % kept_.inner_size());
        double sums[kChunk];
        SumColumns<T>(block, k, n, sums);
        Store(block, k, n, sums);
        k += n;
      }
    });
    if (blocks_ > 1) AddBlocks(pool);
  }

 private:
  std::int64_t FirstTerm(std::int64_t block) const { return std::min(terms_, block * block_terms_); }

  // The block's terms of one result.
  template <typename T>
  double SumTerms(std::int64_t block, std::int64_t k) const {
    const std::int64_t start = kept_.XOffset(k);
    const std::int64_t last = FirstTerm(block + 1);
    double sum = 0;
    for (std::int64_t term = FirstTerm(block); term < last;) {
      const std::int64_t left_in_row = reduced_.inner_size() - term % reduced_.inner_size();
      const std::int64_t n = std::min({last - term, left_in_row, kChunk});
      T buffer[kChunk];
      const std::int64_t at = start + reduced_.XOffset(term);
      sum +=
          SumLanes(ReadChunk(dtype_, a_.x.data, at, reduced_.inner_stride(), n, buffer), static_cast<std::size_t>(n));
      term += n;
    }
    return sum;
  }

  // The block's terms of results k ... k + n - 1.
  template <typename T>
  void SumColumns(std::int64_t block, std::int64_t k, std::int64_t n, double* sums) const {
    const std::int64_t start = kept_.XOffset(k);
    std::fill(sums, sums + n, 0.0);
    for (std::int64_t term = FirstTerm(block); term < FirstTerm(block + 1); ++term) {
      T buffer[kChunk];
      const std::int64_t at = start + reduced_.XOffset(term);
      AccumulateLanes(ReadChunk(dtype_, a_.x.data, at, kept_.inner_stride(), n, buffer), sums,
                      static_cast<std::size_t>(n));
    }
  }

  void Store(std::int64_t block, std::int64_t k, std::int64_t n, const double* sums) const {
    if (blocks_ > 1) {
      std::copy(sums, sums + n, static_cast<double*>(a_.workspace) + block * results_ + k);
      return;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      WriteElement(a_.y.layout.dtype, a_.y.data, kept_.YOffset(k + i), sums[i] * a_.scale);
    }
  }

  void AddBlocks(ThreadPool& pool) const {
    const auto* sums = static_cast<const double*>(a_.workspace);
    pool.ParallelFor(results_, kChunk, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) {
        double sum = 0;
        for (std::int64_t block = 0; block < blocks_; ++block) sum += sums[block * results_ + k];
        WriteElement(a_.y.layout.dtype, a_.y.data, kept_.YOffset(k), sum * a_.scale);
      }
    });
  }

  const SumToArguments& a_;
  DType dtype_;
  SummedDims kept_;
  SummedDims reduced_;
  std::int64_t results_ = 0;  // elements of y
  std::int64_t terms_ = 0;    // of x that make one of them
  std::int64_t blocks_ = 1;
  std::int64_t block_terms_ = 0;
  bool along_terms_ = false;  // x is densest along the terms: each result by itself; otherwise many side by side
};

}  // namespace

void SumTo(KernelContext& context, const SumToArguments& a) {
  const Sum sum(a);
  WithComputeType(a.x.layout.dtype, [&](auto type) { sum.Run<decltype(type)>(context.pool); });
}

std::size_t SumToWorkspaceBytes(const Dims& x_sizes, const Dims& y_sizes) {
  std::int64_t results = 1;
  std::int64_t terms = 1;
  for (int i = 0; i < x_sizes.rank(); ++i) {
    (ResultSize(x_sizes, y_sizes, i) == 1 ? terms : results) *= x_sizes[i];
  }
  const std::int64_t blocks = BlockCount(results, terms);
  return blocks > 1 ? static_cast<std::size_t>(blocks * results) * sizeof(double) : 0;
}

}  // namespace tierlib::autograd::host
