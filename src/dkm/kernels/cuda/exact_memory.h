// The workspaces of the exact form on CUDA devices.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_MEMORY_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_MEMORY_H_

#include <cstddef>
#include <cstdint>

#include "dkm/kernels/cuda/carver.h"
#include "dkm/kernels/cuda/distinct.h"
#include "dkm/kernels/cuda/gather.h"

namespace tierlib::dkm::cuda {

inline std::int64_t MostValues(const ExactShape& shape) {
  return shape.table.vectors < kPatterns ? shape.table.vectors : kPatterns;
}

struct ExactForwardMemory {
  ExactForwardMemory(const ExactShape& shape, void* workspace) : carver(workspace) {
    const auto most = static_cast<std::size_t>(MostValues(shape));
    counts = carver.Take<std::uint64_t>(kPatterns);
    distinct.count = carver.Take<std::int64_t>(1);
    distinct.patterns = carver.Take<std::uint16_t>(most);
    distinct.values = carver.Take<double>(most);
    distinct.counts = carver.Take<double>(most);
    first_non_finite = carver.Take<std::int64_t>(1);
    work = TakeTileWorkspace<double>(shape.table, TileBlocks(shape.table, MostValues(shape)), carver);
  }
  Carver carver;
  std::uint64_t* counts;
  Distinct distinct;
  std::int64_t* first_non_finite;
  TileWorkspace<double> work;
};

struct ExactBackwardMemory {
  ExactBackwardMemory(const ExactShape& shape, void* workspace) : carver(workspace) {
    const auto most = static_cast<std::size_t>(MostValues(shape));
    counts = carver.Take<std::uint64_t>(kPatterns);
    sums = carver.Take<std::int64_t>(kPatterns);
    largest = carver.Take<std::uint32_t>(1);
    cleared_bytes = carver.bytes();
    distinct.count = carver.Take<std::int64_t>(1);
    distinct.patterns = carver.Take<std::uint16_t>(most);
    distinct.values = carver.Take<double>(most);
    distinct.counts = carver.Take<double>(most);
    distinct.sums = carver.Take<double>(most);
    slope = carver.Take<double>(most);
    offset = carver.Take<double>(most);
    table = carver.Take<SlopeOffset>(kPatterns);
    work = TakeTileWorkspace<double>(shape.table, TileBlocks(shape.table, MostValues(shape)), carver);
  }
  Carver carver;
  std::uint64_t* counts;  // what is to be zero begins here
  std::int64_t* sums;
  std::uint32_t* largest;
  std::size_t cleared_bytes;
  Distinct distinct;
  double* slope;
  double* offset;
  SlopeOffset* table;
  TileWorkspace<double> work;
};

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_MEMORY_H_
