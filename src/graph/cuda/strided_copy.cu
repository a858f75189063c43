// Reference (what every thread below computes for one element):
//   for each index (i_0, ..., i_{r-1}):  destination[sum i_k * destination_strides[k]] = source[sum i_k *
//   source_strides[k]]
//
// One thread copies one element per turn of a grid-stride loop, and finds its indices by dividing the flat index by the
// sizes, last dimension first. Dimensions that continue each other on both sides are joined on the host, so most copies
// need one or two divisions an element. Elements are moved as unsigned integers of their size: bits stay as they are,
// NaNs too.
#include <cuda_runtime.h>

#include <cstdint>
#include <string>

#include "graph/cuda/strided_copy.h"

namespace tierlib {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxBlocks = 16384;  // enough to fill a device; the loop takes the rest

struct Dimensions {
  int rank;
  std::int64_t elements;
  std::int64_t sizes[StridedCopy::kMaxRank];
  std::int64_t destination_strides[StridedCopy::kMaxRank];
  std::int64_t source_strides[StridedCopy::kMaxRank];
};

template <typename Element>
__global__ void CopyElements(Element* __restrict__ destination, const Element* __restrict__ source,
                             const Dimensions dimensions) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  std::int64_t flat = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; flat < dimensions.elements; flat += step) {
    std::int64_t rest = flat;
    std::int64_t to = 0;
    std::int64_t from = 0;
    for (int k = dimensions.rank - 1; k > 0; --k) {
      const std::int64_t quotient = rest / dimensions.sizes[k];
      const std::int64_t index = rest - quotient * dimensions.sizes[k];
      rest = quotient;
      to += index * dimensions.destination_strides[k];
      from += index * dimensions.source_strides[k];
    }
    if (dimensions.rank > 0) {
      to += rest * dimensions.destination_strides[0];
      from += rest * dimensions.source_strides[0];
    }
    destination[to] = source[from];
  }
}

// Drops dimensions of size 1 and joins those that continue each other on both sides.
Dimensions Join(const StridedCopy& copy) {
  Dimensions joined = {};
  joined.elements = 1;
  for (int k = 0; k < copy.rank; ++k) {
    joined.elements *= copy.sizes[k];
    if (copy.sizes[k] == 1) continue;
    const int last = joined.rank - 1;
    if (last >= 0 && joined.destination_strides[last] == copy.sizes[k] * copy.destination_strides[k] &&
        joined.source_strides[last] == copy.sizes[k] * copy.source_strides[k]) {
      joined.sizes[last] *= copy.sizes[k];
      joined.destination_strides[last] = copy.destination_strides[k];
      joined.source_strides[last] = copy.source_strides[k];
      continue;
    }
    joined.sizes[joined.rank] = copy.sizes[k];
    joined.destination_strides[joined.rank] = copy.destination_strides[k];
    joined.source_strides[joined.rank] = copy.source_strides[k];
    ++joined.rank;
  }
  return joined;
}

template <typename Element>
void Launch(const StridedCopy& copy, const Dimensions& dimensions, cudaStream_t stream) {
  std::int64_t blocks = (dimensions.elements + kThreads - 1) / kThreads;
  if (blocks > kMaxBlocks) blocks = kMaxBlocks;
  CopyElements<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(
      static_cast<Element*>(copy.destination), static_cast<const Element*>(copy.source), dimensions);
}

}  // namespace

Status StridedCopyCuda(const StridedCopy& copy, Stream stream) {
  if (copy.rank < 0 || copy.rank > StridedCopy::kMaxRank) {
    return InvalidArgumentError("strided copy of rank " + std::to_string(copy.rank) + ": at most " +
                                std::to_string(StridedCopy::kMaxRank) + " are possible");
  }
  const Dimensions dimensions = Join(copy);
  if (dimensions.elements == 0) return OkStatus();
  const cudaStream_t queue = reinterpret_cast<cudaStream_t>(stream.handle);
  switch (copy.element_bytes) {
    case 1: Launch<std::uint8_t>(copy, dimensions, queue); break;
    case 2: Launch<std::uint16_t>(copy, dimensions, queue); break;
    case 4: Launch<std::uint32_t>(copy, dimensions, queue); break;
    case 8: Launch<std::uint64_t>(copy, dimensions, queue); break;
    default:
      return InvalidArgumentError("strided copy of elements of " + std::to_string(copy.element_bytes) +
                                  " bytes: 1, 2, 4 and 8 are possible");
  }
  const cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) return OkStatus();
  const std::string words = std::string("strided copy: ") + cudaGetErrorName(error) + ": " + cudaGetErrorString(error);
  const bool lost =
      error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure || error == cudaErrorECCUncorrectable;
  return lost ? UnavailableError("device lost: " + words) : InternalError(words);
}

}  // namespace tierlib
