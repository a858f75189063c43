// A loop over the elements of several tensors of one shape, in runs along the dimension in which the first one is
// densest.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_STRIDED_LOOP_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_STRIDED_LOOP_H_

#include <cstdint>
#include <initializer_list>

#include "absl/functional/function_ref.h"
#include "base/thread_pool.h"
#include "tierlib/view.h"

namespace tierlib::autograd::host {

// Strides of a tensor as seen from `sizes`: its dimensions are right-aligned, and those of size 1 or missing get stride
// 0.
Dims BroadcastStrides(const Layout& layout, const Dims& sizes);

class StridedLoop {
 public:
  static constexpr int kMaxOperands = 4;

  // A run: n elements of every operand, from offsets[i] on and strides[i] apart, in elements.
  using Body = absl::FunctionRef<void(const std::int64_t* offsets, const std::int64_t* strides, std::int64_t n)>;

  // One stride vector per operand, each of the rank of `sizes`. Dimensions are ordered by the first operand's strides
  // (element order does not matter to the caller), and joined where every operand allows it.
  StridedLoop(const Dims& sizes, std::initializer_list<Dims> strides);

  // The dimensions after sorting and joining, the first operand's densest last. The rank is at least 1.
  int rank() const { return rank_; }
  std::int64_t size(int dim) const { return sizes_[dim]; }
  std::int64_t stride(int operand, int dim) const { return strides_[operand][dim]; }

  // Calls body for runs of at most `longest` elements that together cover every element once, on the pool's threads.
  void Run(ThreadPool& pool, std::int64_t longest, Body body) const;

 private:
  void SortByFirstOperand();
  void Join();

  int operands_ = 0;
  int rank_ = 0;
  std::int64_t sizes_[Dims::kMaxRank] = {};
  std::int64_t strides_[kMaxOperands][Dims::kMaxRank] = {};
};

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_HOST_STRIDED_LOOP_H_
