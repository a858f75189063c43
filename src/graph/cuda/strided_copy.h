// StridedCopyCuda: copies elements between two layouts of one shape on a CUDA device: what contiguous, clone and
// copying reshapes are made of. Plain arrays only, because nvcc compiles the other side. In a build without CUDA it
// says so.
#ifndef TIERLIB_SRC_GRAPH_CUDA_STRIDED_COPY_H_
#define TIERLIB_SRC_GRAPH_CUDA_STRIDED_COPY_H_

#include <cstdint>

#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib {

// Element (i_0, ..., i_{rank-1}) of both sides lies at the sum of i_r * strides[r] elements after the pointer. Sides do
// not overlap; elements of the destination that share an address get equal bits, in any order; destination strides may
// be zero only where the size is 1.
struct StridedCopy {
  static constexpr int kMaxRank = 9;  // a layout's 8, and one for the bytes of elements that are not aligned
  void* destination = nullptr;
  const void* source = nullptr;
  int rank = 0;           // 0 .. kMaxRank; rank 0 is one element
  int element_bytes = 0;  // 1, 2, 4 or 8; both pointers are multiples of it
  std::int64_t sizes[kMaxRank] = {};
  std::int64_t destination_strides[kMaxRank] = {};
  std::int64_t source_strides[kMaxRank] = {};
};

// Enqueues the copy on `stream` and returns. InvalidArgument for a rank or element size that is not listed above;
// Unavailable or Internal with CUDA's words where the launch fails; Unimplemented in a build without CUDA.
Status StridedCopyCuda(const StridedCopy& copy, Stream stream);

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_CUDA_STRIDED_COPY_H_
