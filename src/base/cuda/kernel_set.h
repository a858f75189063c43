// Kernel sets: the kernels of one problem as members of a struct, so that one sequence of launches does for one problem
// and for many. A sequence is written for a `Launch`, which is OneSet or ManySets:
//   launch.Run(&Set::count);  for (int i = 0; i < launch.Most(steps); ++i) launch.Run(&Set::iterate, i);
//
// Thread-safety: one thread.
#ifndef TIERLIB_SRC_BASE_CUDA_KERNEL_SET_H_
#define TIERLIB_SRC_BASE_CUDA_KERNEL_SET_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>

#include "base/cuda/batch.h"
#include "base/cuda/store_words.h"
#include "tierlib/status.h"

namespace tierlib {

// The kernels of one problem, each a launch with its arguments.
template <class Grid, class Set>
class OneSet {
 public:
  // `set` must outlive this, as in one expression.
  OneSet(Grid& grid, const Set& set) : grid_(grid), set_(set) {}

  // `member` of the set, or of what it derives from.
  template <class Kernel, class Base>
  Status Run(Kernel Base::*member, int step = -1) const {
    Kernel kernel = set_.*member;
    if constexpr (HasSteps<Kernel>) {
      if (step >= 0 && !kernel.SetStep(step)) return OkStatus();
    }
    if (BlocksOf(kernel) == 0) return OkStatus();
    return grid_.Run(kernel, BlocksOf(kernel), SharedBytesOf(kernel));
  }
  template <class Number>
  int Most(const Number& number) const {
    return number(set_);
  }

 private:
  Grid& grid_;
  const Set& set_;
};

// The kernels of several problems, each member of all of them one launch (batch.h).
template <class Grid, class Set>
class ManySets {
 public:
  static_assert(std::is_trivially_copyable_v<Set> && sizeof(Set) % sizeof(std::uint64_t) == 0);

  // `list`: device memory of sets.size() * sizeof(Set) bytes, aligned to 256, which Put fills.
  ManySets(Grid& grid, std::span<const Set> sets, void* list) : grid_(grid), sets_(sets), list_(list) {}

  Status Put() const { return StoreBytes(grid_, sets_.data(), sets_.size_bytes(), list_); }

  // InvalidArgument where that is more blocks than a grid can have.
  template <class Kernel, class Base>
  Status Run(Kernel Base::*member, int step = -1) const {
    Batch<Kernel> batch;
    batch.blocks_each = 0;
    std::size_t shared_bytes = 0;
    for (const Set& set : sets_) {
      batch.blocks_each = std::max(batch.blocks_each, BlocksOf(set.*member));
      shared_bytes = std::max(shared_bytes, SharedBytesOf(set.*member));
    }
    if (batch.blocks_each == 0) return OkStatus();
    const auto blocks = static_cast<std::int64_t>(sets_.size()) * batch.blocks_each;
    if (blocks > std::numeric_limits<int>::max()) {
      return InvalidArgumentError("a batch of " + std::to_string(sets_.size()) + " kernels of " +
                                  std::to_string(batch.blocks_each) + " blocks: at most 2^31 - 1 blocks are possible");
    }
    const auto* const begin = reinterpret_cast<const std::byte*>(sets_.data());
    batch.first =
        static_cast<const std::byte*>(list_) + (reinterpret_cast<const std::byte*>(&(sets_.front().*member)) - begin);
    batch.stride = sizeof(Set);
    batch.step = step;
    return grid_.Run(batch, static_cast<int>(blocks), shared_bytes);
  }
  template <class Number>
  int Most(const Number& number) const {
    int most = 0;
    for (const Set& set : sets_) most = std::max(most, number(set));
    return most;
  }

 private:
  Grid& grid_;
  std::span<const Set> sets_;
  void* list_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_BASE_CUDA_KERNEL_SET_H_
