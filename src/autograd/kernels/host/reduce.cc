// How a sum is cut: the reduced elements into a few blocks (only where there are too few results to share out), the
// results into runs. A block's sums are accumulated in double; those of several blocks meet in the workspace and are
// added in order.
#include "autograd/kernels/reduce.h"

#include <algorithm>

#include "autograd/kernels/host/chunk.h"
#include "autograd/kernels/host/lanes_rows.h"
#include "base/thread_pool.h"

namespace tierlib::autograd::host {
namespace {

constexpr std::int64_t kBlockElements = 32768;  // of x, that one block of one run should have
constexpr std::int64_t kManyResults = 16384;    // from here on there is enough to share out without blocks
constexpr std::int64_t kMostBlocks = 64;

// Some dimensions of x, densest last, joined where they can be.
struct Dimensions {
  int rank = 0;
  std::int64_t sizes[Dims::kMaxRank] = {};
  std::int64_t x_strides[Dims::kMaxRank] = {};
  std::int64_t y_strides[Dims::kMaxRank] = {};

  void Add(std::int64_t size, std::int64_t x_stride, std::int64_t y_stride) {
    int at = rank++;
    for (; at > 0 && x_strides[at - 1] < x_stride; --at) Move(at - 1, at);
    sizes[at] = size;
    x_strides[at] = x_stride;
    y_strides[at] = y_stride;
  }

  void Join() {
    if (rank == 0) Add(1, 0, 0);
    int last = 0;
    for (int i = 1; i < rank; ++i) {
      if (x_strides[last] == x_strides[i] * sizes[i] && y_strides[last] == y_strides[i] * sizes[i]) {
        sizes[last] *= sizes[i];
        x_strides[last] = x_strides[i];
        y_strides[last] = y_strides[i];
      } else {
        Move(i, ++last);
      }
    }
    rank = last + 1;
  }

  std::int64_t elements() const {
    std::int64_t product = 1;
    for (int i = 0; i < rank; ++i) product *= sizes[i];
    return product;
  }
  std::int64_t inner_size() const { return sizes[rank - 1]; }
  std::int64_t inner_stride() const { return x_strides[rank - 1]; }
  std::int64_t XOffset(std::int64_t index) const { return Offset(x_strides, index); }
  std::int64_t YOffset(std::int64_t index) const { return Offset(y_strides, index); }

 private:
  void Move(int from, int to) {
    sizes[to] = sizes[from];
    x_strides[to] = x_strides[from];
    y_strides[to] = y_strides[from];
  }
  std::int64_t Offset(const std::int64_t* strides, std::int64_t index) const {
    std::int64_t offset = 0;
    for (int i = rank - 1; i > 0; --i) {
      offset += index % sizes[i] * strides[i];
      index /= sizes[i];
    }
    return offset + index * strides[0];
  }
};

std::int64_t BlockCount(std::int64_t results, std::int64_t terms) {
  if (results >= kManyResults || results == 0) return 1;
  const std::int64_t wanted = std::max<std::int64_t>(1, terms / std::max<std::int64_t>(1, kBlockElements / results));
  return std::min({wanted, kMostBlocks, std::max<std::int64_t>(1, terms)});
}

// The size that y has in x's dimension i; missing ones are 1.
std::int64_t ResultSize(const Dims& x, const Dims& y, int i) {
  const int missing = x.rank() - y.rank();
  return i < missing ? 1 : y[i - missing];
}

class Sum {
 public:
  explicit Sum(const SumToArguments& a) : a_(a), dtype_(a.x.layout.dtype) {
    const Layout& x = a.x.layout;
    const Layout& y = a.y.layout;
    const int missing = x.rank() - y.rank();
    for (int i = 0; i < x.rank(); ++i) {
      if (x.sizes[i] == 1) continue;
      if (ResultSize(x.sizes, y.sizes, i) == 1) {
        reduced_.Add(x.sizes[i], x.strides[i], 0);
      } else {
        kept_.Add(x.sizes[i], x.strides[i], y.strides[i - missing]);
      }
    }
    kept_.Join();
    reduced_.Join();
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
  Dimensions kept_;
  Dimensions reduced_;
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
