// Rows of a table by index, and the sums of their gradients, on CUDA devices. Backward sorts the positions by index
// (sort_positions.h), so that each row's gradients are added in a fixed order, without atomics: in float64, by eight
// lanes that take every eighth use. Reference: host/embedding.cc.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_EMBEDDING_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_EMBEDDING_LAUNCHES_H_

#include <math.h>

#include <cstddef>
#include <cstdint>

#include "autograd/kernels/cuda/element.h"
#include "autograd/kernels/cuda/elementwise_launches.h"
#include "autograd/kernels/cuda/sort_positions.h"
#include "autograd/kernels/embedding.h"

namespace tierlib::autograd::cuda {

// A thread takes one element of y after the other.
template <class Format>
struct EmbeddingForwardKernel : PlainKernel {
  using Bits = typename Format::Bits;
  host::EmbeddingForwardArguments a;
  int blocks = 0;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const std::int64_t step = std::int64_t{blocks} * kThreads;
    for (std::int64_t i = std::int64_t{block} * kThreads + thread; i < a.count * a.width; i += step) {
      const std::int64_t row = a.indices[i / a.width];
      const bool inside = row >= 0 && row < a.vocabulary;
      static_cast<Bits*>(a.y)[i] = inside ? static_cast<const Bits*>(a.table)[row * a.width + i % a.width]
                                          : Format::Store(static_cast<typename Format::Compute>(NAN));
    }
  }
};

// first[v]: where the uses of row v begin in the sorted order; first[vocabulary] is where those of all end.
struct FindUses : PlainKernel {
  SortPositions sorted;  // for its keys
  const std::int32_t* order = nullptr;
  std::int32_t* first = nullptr;  // [vocabulary + 1]
  int blocks = 0;

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int block, int thread, Shared*) const {
    const std::int64_t step = std::int64_t{blocks} * kThreads;
    for (std::int64_t i = std::int64_t{block} * kThreads + thread; i <= sorted.count; i += step) {
      const std::int32_t before = i == 0 ? -1 : sorted.KeyOf(order[i - 1]);
      const std::int32_t here = i == sorted.count ? sorted.key_limit : sorted.KeyOf(order[i]);
      for (std::int32_t v = before + 1; v <= here; ++v) first[v] = static_cast<std::int32_t>(i);
    }
  }
};

// Of a block, 32 threads stand on columns of one row of the table, and eight rows of them share out its uses.
struct SumUses {
  static constexpr int kThreads = PlainKernel::kThreads;
  static constexpr int kStartPhases = 0;
  static constexpr int kRoundPhases = 2;
  static constexpr int kFinishPhases = 0;
  static constexpr int kBeside = 32;
  static constexpr int kLanes = kThreads / kBeside;
  struct Shared {
    double sums[kThreads];
  };

  host::EmbeddingBackwardArguments a;
  const std::int32_t* order = nullptr;
  const std::int32_t* first = nullptr;
  int blocks = 0;

  TIERLIB_HOST_DEVICE std::int64_t Tiles() const { return (a.width + kBeside - 1) / kBeside; }
  TIERLIB_HOST_DEVICE std::int64_t Rounds(int block) const {
    const std::int64_t units = Tiles() * a.vocabulary;
    return units <= block ? 0 : (units - block + blocks - 1) / blocks;
  }
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Start(int, int, Shared*) const {}
  template <int kPhase>
  TIERLIB_HOST_DEVICE void Finish(int, int, Shared*) const {}

  template <int kPhase>
  TIERLIB_HOST_DEVICE void Round(std::int64_t round, int block, int thread, Shared* shared) const {
    const std::int64_t unit = block + round * blocks;
    const std::int64_t row = unit / Tiles();
    const std::int64_t column = unit % Tiles() * kBeside + thread % kBeside;
    if (column >= a.width) return;
    if constexpr (kPhase == 0) {
      double sum = 0;
      for (std::int64_t use = first[row] + thread / kBeside; use < first[row + 1]; use += kLanes) {
        sum += Read<double>(a.dtype, a.dy, order[use] * a.width + column);
      }
      shared->sums[thread] = sum;
    } else if (thread < kBeside) {
      double sum = 0;
      for (int lane = 0; lane < kLanes; ++lane) sum += shared->sums[thread + lane * kBeside];
      Write(a.dtype, a.dtable, row * a.width + column, sum);
    }
  }
};

template <class Grid>
Status Run(Grid& grid, const host::EmbeddingForwardArguments& a, void*) {
  if (a.count * a.width == 0) return OkStatus();
  return WithFormat(a.dtype, [&](auto format) {
    EmbeddingForwardKernel<decltype(format)> kernel;
    kernel.a = a;
    kernel.blocks = MapBlocks(grid, a.count * a.width);
    return grid.Run(kernel, kernel.blocks);
  });
}

inline std::size_t WorkspaceBytes(const host::EmbeddingBackwardArguments& a) {
  return static_cast<std::size_t>(2 * a.count + a.vocabulary + 1) * sizeof(std::int32_t);
}

template <class Grid>
Status Run(Grid& grid, const host::EmbeddingBackwardArguments& a, void* workspace) {
  if (a.vocabulary * a.width == 0) return OkStatus();
  constexpr std::int64_t kMost = 0x7fffffff;
  if (a.count > kMost || a.vocabulary >= kMost) {
    return InvalidArgumentError("embedding gradient on a CUDA device: " + std::to_string(a.count) + " indices into " +
                                std::to_string(a.vocabulary) + " rows: fewer than 2^31 of each are possible");
  }
  SortPositions sort;
  sort.keys = a.indices;
  sort.count = a.count;
  sort.key_limit = static_cast<std::int32_t>(a.vocabulary);
  sort.orders[0] = static_cast<std::int32_t*>(workspace);
  sort.orders[1] = sort.orders[0] + a.count;
  TIERLIB_RETURN_IF_ERROR(grid.Run(sort, 1));
  FindUses find;
  find.sorted = sort;
  find.order = sort.orders[sort.result()];
  find.first = sort.orders[1] + a.count;
  find.blocks = MapBlocks(grid, a.count + 1);
  TIERLIB_RETURN_IF_ERROR(grid.Run(find, find.blocks));
  SumUses sum;
  sum.a = a;
  sum.order = find.order;
  sum.first = find.first;
  sum.blocks = BlocksFor(sum.Tiles() * a.vocabulary, 1, std::int64_t{grid.limits().processors} * 16);
  return grid.Run(sum, sum.blocks);
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_EMBEDDING_LAUNCHES_H_
