// Which kernels make up the exact form, in which order. `Grid` is CudaGrid or SequentialGrid.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_LAUNCHES_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_LAUNCHES_H_

#include <span>
#include <string>
#include <vector>

#include "base/cuda/kernel_set.h"
#include "dkm/kernels/cuda/exact.h"
#include "dkm/kernels/cuda/exact_kernels.h"
#include "dkm/kernels/cuda/tiled_launches.h"

namespace tierlib::dkm::cuda {

inline Status CheckExactShape(const ExactShape& shape) {
  TIERLIB_RETURN_IF_ERROR(CheckTiledShape(shape.table));
  if (shape.table.vectors >= kExactWeightLimit) {
    return InvalidArgumentError("dkm exact on a CUDA device: " + std::to_string(shape.table.vectors) +
                                " weights, it takes fewer than 2^32");
  }
  const bool pattern = shape.pattern == DType::kBF16 || shape.pattern == DType::kF16;
  if (!pattern || (shape.stored != shape.pattern && shape.stored != DType::kF32) || shape.table.dim != 1) {
    return InvalidArgumentError(std::string("dkm exact on a CUDA device: weights of ") + DTypeName(shape.stored) +
                                " clustered as " + DTypeName(shape.pattern) + " in vectors of " +
                                std::to_string(shape.table.dim) +
                                ": bf16 or f16, or f32 as one of them, and 1 are possible");
  }
  return OkStatus();
}

template <class Launch>
Status LaunchExactForward(const Launch& launch) {
  using Kernels = ExactForwardKernels;
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::clear));
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::count));
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::list));
  TIERLIB_RETURN_IF_ERROR(Iterate<double>(launch));
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::fill));
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::gather));
  return launch.Run(&Kernels::report);
}

template <class Launch>
Status LaunchExactBackward(const Launch& launch) {
  using Kernels = ExactBackwardKernels;
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::clear));
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::largest));
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::sum));
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::list));
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::slopes));
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::collect));
  TIERLIB_RETURN_IF_ERROR(IterateBack(launch, &Kernels::offsets));
  TIERLIB_RETURN_IF_ERROR(launch.Run(&Kernels::spread));
  return launch.Run(&Kernels::apply);
}

template <class Grid>
Status RunExactForward(Grid& grid, const ExactForwardArguments& a) {
  TIERLIB_RETURN_IF_ERROR(CheckExactShape(a.shape));
  return LaunchExactForward(OneSet(grid, ExactForwardKernels(a, grid.limits())));
}

template <class Grid>
Status RunExactReplay(Grid& grid, const ExactReplayArguments& a) {
  TIERLIB_RETURN_IF_ERROR(CheckExactShape(a.shape));
  const Gather gather = GatherOf(a.shape, grid.limits(), a.weights, a.table, a.output, nullptr);
  return grid.Run(gather, gather.blocks);
}

template <class Grid>
Status RunExactBackward(Grid& grid, const ExactBackwardArguments& a) {
  TIERLIB_RETURN_IF_ERROR(CheckExactShape(a.shape));
  return LaunchExactBackward(OneSet(grid, ExactBackwardKernels(a, grid.limits())));
}

// The kernel sets of a batch. InvalidArgument, with the place in the batch, for what a shape cannot be.
template <class Set, class Arguments>
StatusOr<std::vector<Set>> KernelsOfBatch(std::span<const Arguments> batch, const DeviceLimits& limits) {
  std::vector<Set> sets;
  sets.reserve(batch.size());
  for (const Arguments& a : batch) {
    const Status checked = CheckExactShape(a.shape);
    if (!checked.ok()) {
      return InvalidArgumentError("weight " + std::to_string(sets.size()) + " of a batch of " +
                                  std::to_string(batch.size()) + ": " + std::string(checked.message()));
    }
    sets.emplace_back(a, limits);
  }
  return sets;
}

template <class Grid>
Status RunExactForwardBatch(Grid& grid, std::span<const ExactForwardArguments> batch, void* list) {
  if (batch.empty()) return OkStatus();
  TIERLIB_ASSIGN_OR_RETURN(const std::vector<ExactForwardKernels> sets,
                           (KernelsOfBatch<ExactForwardKernels>(batch, grid.limits())));
  const ManySets launch(grid, std::span(sets), list);
  TIERLIB_RETURN_IF_ERROR(launch.Put());
  return LaunchExactForward(launch);
}

template <class Grid>
Status RunExactBackwardBatch(Grid& grid, std::span<const ExactBackwardArguments> batch, void* list) {
  if (batch.empty()) return OkStatus();
  TIERLIB_ASSIGN_OR_RETURN(const std::vector<ExactBackwardKernels> sets,
                           (KernelsOfBatch<ExactBackwardKernels>(batch, grid.limits())));
  const ManySets launch(grid, std::span(sets), list);
  TIERLIB_RETURN_IF_ERROR(launch.Put());
  return LaunchExactBackward(launch);
}

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_EXACT_LAUNCHES_H_
