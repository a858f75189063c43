// Causal attention on CUDA devices: the largest tiles that a block's shared memory holds, forward in one launch,
// backward in three. What is kept for backward is one float for each row; delta, another one, stays in the workspace.
// Results depend on the size of the tiles, so on the kind of device, and not on the run. Reference: host/attention.cc;
// with 16 bits probabilities and their gradients are rounded to those before they are multiplied.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_LAUNCHES_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "autograd/kernels/cuda/attention_backward.h"
#include "autograd/kernels/cuda/attention_forward.h"
#include "autograd/kernels/cuda/sums.h"

namespace tierlib::autograd::cuda {

// Each row's product of out and its gradient.
struct DeltaTerm {
  static constexpr int kValues = 1;
  host::AttentionShape shape;
  host::AttentionSource out;
  host::AttentionSource dout;
  TIERLIB_HOST_DEVICE std::int64_t Offset(const host::AttentionSource& x, std::int64_t row) const {
    const std::int64_t head = row / shape.length;
    return head / shape.heads * x.batch_stride + head % shape.heads * x.head_stride + row % shape.length * x.row_stride;
  }
  TIERLIB_HOST_DEVICE void Add(std::int64_t column, std::int64_t row, double* sums) const {
    *sums += Read<double>(shape.dtype, out.data, Offset(out, row) + column) *
             Read<double>(shape.dtype, dout.data, Offset(dout, row) + column);
  }
};
template <typename T>
struct DeltaResult {
  T* delta = nullptr;
  TIERLIB_HOST_DEVICE void Put(std::int64_t, std::int64_t row, int, double sum) const {
    delta[row] = static_cast<T>(sum);
  }
};

inline Status CheckAttention(const host::AttentionShape& s, std::int64_t tiles) {
  if (s.batch * s.heads * tiles <= 0x7fffffff) return OkStatus();
  return InvalidArgumentError("attention on a CUDA device: " + std::to_string(s.batch * s.heads) + " heads of " +
                              std::to_string(s.length) + " rows are more blocks than a launch can have");
}

template <class Kernel, class Grid>
Status RunTiles(Grid& grid, const Kernel& kernel) {
  TIERLIB_RETURN_IF_ERROR(CheckAttention(kernel.shape, kernel.Tiles()));
  return grid.Run(kernel, kernel.Blocks(), static_cast<std::size_t>(kernel.SharedBytes()));
}

// Calls run(Kernel{}) for the kernel with the largest tiles that fit. Kernel<kTile> has SetShape and SharedBytes.
template <template <class, int> class Kernel, class Format, class Grid, class F>
Status WithTile(Grid& grid, const host::AttentionShape& shape, const F& run) {
  const auto fits = [&](auto kernel) {
    kernel.SetShape(shape);
    return kernel.SharedBytes() <= grid.limits().shared_bytes;
  };
  if (fits(Kernel<Format, 64>{})) return run(Kernel<Format, 64>{});
  if (fits(Kernel<Format, 32>{})) return run(Kernel<Format, 32>{});
  if (fits(Kernel<Format, 16>{})) return run(Kernel<Format, 16>{});
  Kernel<Format, 16> smallest;
  smallest.SetShape(shape);
  return UnimplementedError("attention on a CUDA device: heads of " + std::to_string(shape.head_size) + " in " +
                            DTypeName(shape.dtype) + " take " + std::to_string(smallest.SharedBytes()) +
                            " bytes of shared memory, of which a block here may have " +
                            std::to_string(grid.limits().shared_bytes) + "; the composed form needs none");
}

template <class Grid>
Status Run(Grid& grid, const host::AttentionForwardArguments& a, void*) {
  if (a.shape.batch * a.shape.heads * a.shape.length == 0) return OkStatus();
  return WithFormat(a.shape.dtype, [&](auto format) {
    return WithTile<AttentionForwardKernel, decltype(format)>(grid, a.shape, [&](auto kernel) {
      kernel.SetShape(a.shape);
      kernel.a = a;
      return RunTiles(grid, kernel);
    });
  });
}

// delta.
inline std::size_t WorkspaceBytes(const host::AttentionBackwardArguments& a) {
  return static_cast<std::size_t>(a.shape.batch * a.shape.heads * a.shape.length) *
         ElementBytes(host::ComputeType(a.shape.dtype));
}

template <class Grid>
Status Run(Grid& grid, const host::AttentionBackwardArguments& a, void* workspace) {
  const std::int64_t rows = a.shape.batch * a.shape.heads * a.shape.length;
  if (rows == 0) return OkStatus();
  return WithFormat(a.shape.dtype, [&](auto format) -> Status {
    using Format = decltype(format);
    using T = typename Format::Compute;
    T* const delta = static_cast<T*>(workspace);
    TIERLIB_RETURN_IF_ERROR(RunTermKernel(grid, DeltaTerm{a.shape, a.out, a.dout}, DeltaResult<T>{delta},
                                          SumParts{rows, a.shape.head_size, 1, a.shape.head_size}));
    const auto run = [&](auto kernel) {
      kernel.SetShape(a.shape);
      kernel.a = a;
      kernel.delta = delta;
      return RunTiles(grid, kernel);
    };
    TIERLIB_RETURN_IF_ERROR((WithTile<AttentionKeysKernel, Format>(grid, a.shape, run)));
    return WithTile<AttentionQueriesKernel, Format>(grid, a.shape, run);
  });
}

}  // namespace tierlib::autograd::cuda

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_ATTENTION_LAUNCHES_H_
