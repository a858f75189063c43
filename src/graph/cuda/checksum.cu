// Reference (what the kernels below compute together):
//   Crc32cExtend over each range, one after the other
//
// A block of threads reads a tile, each thread every 256th word of it, and adds its part to one word of device memory
// by an atomic exclusive or: the order of blocks changes nothing. crc32c_parts.h has the arithmetic, which is tested on
// the host. One pass over the bytes; a product by a constant is four lookups in shared memory.
#include <cuda_runtime.h>

#include <string>

#include "graph/cuda/checksum.h"
#include "graph/cuda/crc32c_parts.h"

namespace tierlib {
namespace {

constexpr std::uint32_t kMostTiles = 2048;  // enough to fill a device
constexpr std::uint64_t kLeastTileBytes = 65536;
constexpr int kRanges = 32;  // in one launch

struct Batch {
  crc32c::Range ranges[kRanges];
};

__global__ void AddParts(const Batch batch, const crc32c::Powers powers, std::uint32_t* __restrict__ sum) {
  __shared__ crc32c::ShiftTable row;
  __shared__ std::uint32_t of_warp[crc32c::kLanes / 32];
  const crc32c::Range range = batch.ranges[blockIdx.y];
  if (blockIdx.x >= range.tiles) return;
  const int lane = static_cast<int>(threadIdx.x);
  const std::uint32_t shift = crc32c::ShiftBy(powers, crc32c::kRowBytes);
  for (int place = 0; place < 4; ++place) {
    row.of[place][lane] = crc32c::EntryOf(shift, place, static_cast<std::uint32_t>(lane));
  }
  __syncthreads();
  const std::uint32_t to_end = crc32c::ShiftBy(powers, static_cast<std::uint64_t>(4 * (crc32c::kLanes - 1 - lane)));
  std::uint32_t found = crc32c::LaneOfTile(range, blockIdx.x, lane, row, to_end);
  for (int step = 16; step > 0; step /= 2) found ^= __shfl_xor_sync(~0u, found, step);
  if (lane % 32 == 0) of_warp[lane / 32] = found;
  __syncthreads();
  if (lane != 0) return;
  found = 0;
  for (int warp = 0; warp < crc32c::kLanes / 32; ++warp) found ^= of_warp[warp];
  atomicXor(sum, crc32c::PartOfTile(powers, range, blockIdx.x, found));
}

__global__ void Note(const std::uint32_t* sum, const crc32c::Powers powers, const std::uint64_t bytes,
                     const std::uint64_t none, volatile ChecksumWords* result) {
  const std::uint64_t found = crc32c::Finish(powers, *sum, bytes);
  const std::uint64_t first = result->value;
  if (first == none) result->value = found;
  if (first != none && first != found) result->differed = 1;
  __threadfence_system();
}

Status StatusOf(cudaError_t error) {
  if (error == cudaSuccess) return OkStatus();
  (void)cudaGetLastError();
  const std::string words = std::string("checksum: ") + cudaGetErrorName(error) + ": " + cudaGetErrorString(error);
  const bool lost =
      error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure || error == cudaErrorECCUncorrectable;
  return lost ? UnavailableError("device lost: " + words) : InternalError(words);
}

}  // namespace

Status ChecksumCuda(const ChecksumLaunch& launch, Stream stream) {
  static_assert(crc32c::kLanes == 256, "a table's entries are made by one thread each");
  constexpr crc32c::Powers kPowers = crc32c::MakePowers();
  const cudaStream_t queue = reinterpret_cast<cudaStream_t>(stream.handle);
  auto* const sum = static_cast<std::uint32_t*>(launch.sum);
  void* result = nullptr;
  TIERLIB_RETURN_IF_ERROR(StatusOf(cudaHostGetDevicePointer(&result, launch.result, 0)));
  TIERLIB_RETURN_IF_ERROR(StatusOf(cudaMemsetAsync(sum, 0, sizeof(std::uint32_t), queue)));
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < launch.count; ++i) bytes += launch.ranges[i].bytes;
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < launch.count;) {
    Batch batch = {};
    unsigned count = 0;
    unsigned tiles = 1;
    for (; count < kRanges && i < launch.count; ++i) {
      crc32c::Range& range = batch.ranges[count];
      range.begin = static_cast<const unsigned char*>(launch.ranges[i].begin);
      range.bytes = launch.ranges[i].bytes;
      before += range.bytes;
      range.after = bytes - before;
      if (range.bytes == 0) continue;
      crc32c::PlanTiles(range, kMostTiles, kLeastTileBytes);
      if (range.tiles > tiles) tiles = range.tiles;
      ++count;
    }
    if (count == 0) continue;
    AddParts<<<dim3(tiles, count), crc32c::kLanes, 0, queue>>>(batch, kPowers, sum);
    TIERLIB_RETURN_IF_ERROR(StatusOf(cudaGetLastError()));
  }
  Note<<<1, 1, 0, queue>>>(sum, kPowers, bytes, launch.none, static_cast<ChecksumWords*>(result));
  return StatusOf(cudaGetLastError());
}

}  // namespace tierlib
