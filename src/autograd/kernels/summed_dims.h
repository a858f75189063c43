// The dimensions of a tensor that is summed up: those that the result keeps, and those that are summed over.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_SUMMED_DIMS_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_SUMMED_DIMS_H_

#include <cstdint>
#include <utility>

#include "autograd/kernels/reduce.h"
#include "base/cuda/grid.h"

namespace tierlib::autograd::host {

// Some dimensions of x, densest last, joined where they can be.
struct SummedDims {
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
  TIERLIB_HOST_DEVICE std::int64_t inner_size() const { return sizes[rank - 1]; }
  TIERLIB_HOST_DEVICE std::int64_t inner_stride() const { return x_strides[rank - 1]; }
  TIERLIB_HOST_DEVICE std::int64_t XOffset(std::int64_t index) const { return Offset(x_strides, index); }
  TIERLIB_HOST_DEVICE std::int64_t YOffset(std::int64_t index) const { return Offset(y_strides, index); }

 private:
  void Move(int from, int to) {
    sizes[to] = sizes[from];
    x_strides[to] = x_strides[from];
    y_strides[to] = y_strides[from];
  }
  TIERLIB_HOST_DEVICE std::int64_t Offset(const std::int64_t* strides, std::int64_t index) const {
    std::int64_t offset = 0;
    for (int i = rank - 1; i > 0; --i) {
      offset += index % sizes[i] * strides[i];
      index /= sizes[i];
    }
    return offset + index * strides[0];
  }
};

// The size that y has in x's dimension i; missing ones are 1.
inline std::int64_t ResultSize(const Dims& x, const Dims& y, int i) {
  const int missing = x.rank() - y.rank();
  return i < missing ? 1 : y[i - missing];
}

// The kept and the summed dimensions of x, joined.
inline std::pair<SummedDims, SummedDims> SplitDims(const SumToArguments& a) {
  const Layout& x = a.x.layout;
  const Layout& y = a.y.layout;
  const int missing = x.rank() - y.rank();
  SummedDims kept;
  SummedDims summed;
  for (int i = 0; i < x.rank(); ++i) {
    if (x.sizes[i] == 1) continue;
    if (ResultSize(x.sizes, y.sizes, i) == 1) {
      summed.Add(x.sizes[i], x.strides[i], 0);
    } else {
      kept.Add(x.sizes[i], x.strides[i], y.strides[i - missing]);
    }
  }
  kept.Join();
  summed.Join();
  return {kept, summed};
}

}  // namespace tierlib::autograd::host

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_SUMMED_DIMS_H_
