// Reference (what every thread below computes for one element): ReduceInOrder in comm/reduce.cc.
//
// A thread takes one element after the other and goes through the learners' arrays, each of which is read once, by
// neighbours side by side: the time is that of the bytes.
#include <cuda_runtime.h>

#include <cstdint>

#include "comm/cuda/reduce_in_order.h"

namespace tierlib::comm {
namespace {

constexpr int kThreads = 256;
constexpr std::uint64_t kMostBlocks = 4096;

// Signed integers wrap around as unsigned ones do.
template <typename T, typename Added>
__device__ T Combine(Reduction reduction, T a, T b) {
  switch (reduction) {
    case Reduction::kSum: return static_cast<T>(static_cast<Added>(a) + static_cast<Added>(b));
    // A NaN in `a` stays, as nothing is less than it; one in `b` is unequal to itself.
    case Reduction::kMin: return b < a || b != b ? b : a;
    case Reduction::kMax: return b > a || b != b ? b : a;
  }
  return a;
}

template <typename T, typename Added>
__global__ void Reduce(const ReduceArguments a) {
  const std::uint64_t step = static_cast<std::uint64_t>(gridDim.x) * blockDim.x;
  for (std::uint64_t i = static_cast<std::uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < a.count; i += step) {
    const char* input = static_cast<const char*>(a.inputs);
    T sum = reinterpret_cast<const T*>(input)[i];
    for (int rank = 1; rank < a.input_count; ++rank) {
      input += a.apart;
      sum = Combine<T, Added>(a.reduction, sum, reinterpret_cast<const T*>(input)[i]);
    }
    static_cast<T*>(a.out)[i] = sum;
  }
}

template <typename T, typename Added>
void Launch(const ReduceArguments& a, cudaStream_t stream) {
  std::uint64_t blocks = (a.count + kThreads - 1) / kThreads;
  if (blocks > kMostBlocks) blocks = kMostBlocks;
  Reduce<T, Added><<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(a);
}

}  // namespace

cudaError_t EnqueueReduceInOrder(const ReduceArguments& a, cudaStream_t stream) {
  if (a.count == 0) return cudaSuccess;
  switch (a.dtype) {
    case DType::kF32: Launch<float, float>(a, stream); break;
    case DType::kF64: Launch<double, double>(a, stream); break;
    case DType::kI32: Launch<std::int32_t, std::uint32_t>(a, stream); break;
    case DType::kI64: Launch<std::int64_t, std::uint64_t>(a, stream); break;
    default: return cudaErrorInvalidValue;
  }
  return cudaGetLastError();
}

}  // namespace tierlib::comm
