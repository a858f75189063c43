// ChecksumCuda: the CRC-32C of bytes on a CUDA device, taken there. Plain pointers only, because nvcc compiles the
// other side. In a build without CUDA it says so.
#ifndef TIERLIB_SRC_GRAPH_CUDA_CHECKSUM_H_
#define TIERLIB_SRC_GRAPH_CUDA_CHECKSUM_H_

#include <cstddef>
#include <cstdint>

#include "tierlib/status.h"
#include "tierlib/stream.h"

namespace tierlib {

// What a look at bytes leaves on the host, in memory that is registered with the device.
struct ChecksumWords {
  std::uint64_t value = 0;
  std::uint64_t differed = 0;
};

struct ChecksumRange {
  const void* begin = nullptr;
  std::uint64_t bytes = 0;
};

// `sum`: four bytes of device memory that nobody else uses until the work on the stream so far has ended. Where
// `result` has the value `none`, it gets the checksum of the ranges one after the other; where it has another one,
// `differed` becomes 1. All of them must be there until the stream's work has ended, but the array of ranges, which is
// copied.
struct ChecksumLaunch {
  const ChecksumRange* ranges = nullptr;
  std::size_t count = 0;
  void* sum = nullptr;
  ChecksumWords* result = nullptr;
  std::uint64_t none = 0;
};

// Enqueues the look on `stream`. Unavailable or Internal with CUDA's words where a launch fails; Unimplemented in a
// build without CUDA.
Status ChecksumCuda(const ChecksumLaunch& launch, Stream stream);

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_CUDA_CHECKSUM_H_
