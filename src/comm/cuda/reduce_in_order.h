// Sums, minima and maxima over learners on a CUDA device, in the order of ranks. Plain arguments, as nvcc compiles the
// other side.
#ifndef TIERLIB_SRC_COMM_CUDA_REDUCE_IN_ORDER_H_
#define TIERLIB_SRC_COMM_CUDA_REDUCE_IN_ORDER_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "tierlib/comm/communicator.h"
#include "tierlib/dtype.h"

namespace tierlib::comm {

struct ReduceArguments {
  const void* inputs = nullptr;  // [input_count] arrays of [count], `apart` bytes from each other
  int input_count = 0;
  std::uint64_t apart = 0;
  std::uint64_t count = 0;
  DType dtype = DType::kF32;  // f32, f64, i32 or i64
  Reduction reduction = Reduction::kSum;
  void* out = nullptr;  // [count]
};

// Enqueues and returns. Reference: ReduceInOrder in comm/reduce.cc, to the bit.
cudaError_t EnqueueReduceInOrder(const ReduceArguments& a, cudaStream_t stream);

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_CUDA_REDUCE_IN_ORDER_H_
