#include "autograd/kernels/host/strided_loop.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tierlib::autograd::host {
namespace {

// Elements that one tile of the pool should have: a few microseconds of arithmetic, so that claiming it costs little.
constexpr std::int64_t kTileElements = 16384;

}  // namespace

Dims BroadcastStrides(const Layout& layout, const Dims& sizes) {
  TIERLIB_DCHECK(layout.rank() <= sizes.rank(), "a source has more dimensions than the target");
  Dims strides = Dims::Filled(sizes.rank(), 0);
  const int missing = sizes.rank() - layout.rank();
  for (int i = 0; i < layout.rank(); ++i) {
    TIERLIB_DCHECK(layout.sizes[i] == 1 || layout.sizes[i] == sizes[missing + i], "a source does not broadcast");
    strides[missing + i] = layout.sizes[i] == 1 ? 0 : layout.strides[i];
  }
  return strides;
}

StridedLoop::StridedLoop(const Dims& sizes, std::initializer_list<Dims> strides)
    : operands_(static_cast<int>(strides.size())) {
  TIERLIB_DCHECK(operands_ <= kMaxOperands, "more operands than a loop has room for");
  for (int i = 0; i < sizes.rank(); ++i) {
    if (sizes[i] == 1) continue;
    sizes_[rank_] = sizes[i];
    int operand = 0;
    for (const Dims& of_operand : strides) strides_[operand++][rank_] = of_operand[i];
    ++rank_;
  }
  if (rank_ == 0) sizes_[rank_++] = 1;
  SortByFirstOperand();
  Join();
}

// Insertion sort: at most eight dimensions, and equal strides keep their order.
void StridedLoop::SortByFirstOperand() {
  for (int i = 1; i < rank_; ++i) {
    for (int j = i; j > 0 && strides_[0][j - 1] < strides_[0][j]; --j) {
      std::swap(sizes_[j - 1], sizes_[j]);
      for (int operand = 0; operand < operands_; ++operand) std::swap(strides_[operand][j - 1], strides_[operand][j]);
    }
  }
}

// Dimensions i and i + 1 are one where stepping i is the same as stepping i + 1 through its whole size.
void StridedLoop::Join() {
  int last = 0;
  for (int i = 1; i < rank_; ++i) {
    bool joins = true;
    for (int operand = 0; operand < operands_; ++operand) {
      joins = joins && strides_[operand][last] == strides_[operand][i] * sizes_[i];
    }
    if (joins) {
      sizes_[last] *= sizes_[i];
    } else {
      sizes_[++last] = sizes_[i];
    }
    for (int operand = 0; operand < operands_; ++operand) strides_[operand][last] = strides_[operand][i];
  }
  rank_ = last + 1;
}

void StridedLoop::Run(ThreadPool& pool, std::int64_t longest, Body body) const {
  const int inner = rank_ - 1;
  std::int64_t rows = 1;
  for (int i = 0; i < inner; ++i) rows *= sizes_[i];
  const std::int64_t row = sizes_[inner];
  if (rows == 0 || row == 0) return;
  const std::int64_t runs_per_row = (row - 1) / longest + 1;
  const std::int64_t grain = std::max<std::int64_t>(1, kTileElements / std::min(row, longest));

  std::int64_t inner_strides[kMaxOperands];
  for (int operand = 0; operand < operands_; ++operand) inner_strides[operand] = strides_[operand][inner];

  pool.ParallelFor(rows * runs_per_row, grain, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t position[Dims::kMaxRank] = {};
    std::int64_t row_offsets[kMaxOperands] = {};
    std::int64_t rest = begin / runs_per_row;
    for (int i = inner - 1; i >= 0; --i) {
      position[i] = rest % sizes_[i];
      rest /= sizes_[i];
      for (int operand = 0; operand < operands_; ++operand) row_offsets[operand] += position[i] * strides_[operand][i];
    }
    std::int64_t run = begin % runs_per_row;
    for (std::int64_t unit = begin; unit < end; ++unit) {
      std::int64_t offsets[kMaxOperands];
      for (int operand = 0; operand < operands_; ++operand) {
        offsets[operand] = row_offsets[operand] + run * longest * inner_strides[operand];
      }
      body(offsets, inner_strides, std::min(longest, row - run * longest));
      if (++run < runs_per_row) continue;
      run = 0;
      for (int i = inner - 1; i >= 0; --i) {  // the next row, as an odometer turns
        for (int operand = 0; operand < operands_; ++operand) row_offsets[operand] += strides_[operand][i];
        if (++position[i] < sizes_[i]) break;
        for (int operand = 0; operand < operands_; ++operand) row_offsets[operand] -= sizes_[i] * strides_[operand][i];
        position[i] = 0;
      }
    }
  });
}

}  // namespace tierlib::autograd::host
