// Which kernels make up the launches of palette.h. `Grid` is CudaGrid or SequentialGrid.
#ifndef TIERLIB_SRC_DKM_KERNELS_CUDA_PALETTE_LAUNCHES_H_
#define TIERLIB_SRC_DKM_KERNELS_CUDA_PALETTE_LAUNCHES_H_

#include <string>

#include "dkm/kernels/cuda/matvec_kernel.h"
#include "dkm/kernels/cuda/palette_kernels.h"

namespace tierlib::dkm::cuda {

inline Status CheckPalette(const PaletteShape& s) {
  if (s.bits >= 1 && s.bits <= 8 && s.rows >= 0 && s.columns >= 0 && s.group_rows >= 1) return OkStatus();
  return InvalidArgumentError("palette on a CUDA device: " + std::to_string(s.rows) + " rows of " +
                              std::to_string(s.columns) + ", " + std::to_string(s.group_rows) + " to a table, of " +
                              std::to_string(s.bits) + " bits: 1 to 8 are possible");
}

template <typename T, class Grid>
Status RunPalettize(Grid& grid, const PalettizeArguments<T>& a) {
  if (a.dim < 1 || a.dim > 256 || a.clusters < 1 || a.clusters > 256) {
    return InvalidArgumentError("palettize on a CUDA device: vectors of " + std::to_string(a.dim) + " and " +
                                std::to_string(a.clusters) + " clusters: 1 to 256 of each are possible");
  }
  PalettizeKernel<T> kernel;
  kernel.a = a;
  kernel.blocks = BlocksFor(a.vectors, PalettizeKernel<T>::kThreads, 4096);
  return grid.Run(kernel, kernel.blocks);
}

template <class Grid>
Status RunPack(Grid& grid, const PackArguments& a) {
  TIERLIB_RETURN_IF_ERROR(CheckPalette(a.shape));
  PackKernel kernel;
  kernel.Set(a.shape);
  kernel.indices = a.indices;
  kernel.packed = a.packed;
  return grid.Run(kernel, kernel.blocks);
}

template <class Grid>
Status RunUnpack(Grid& grid, const UnpackArguments& a) {
  TIERLIB_RETURN_IF_ERROR(CheckPalette(a.shape));
  UnpackKernel kernel;
  kernel.Set(a.shape);
  kernel.packed = a.packed;
  kernel.indices = a.indices;
  return grid.Run(kernel, kernel.blocks);
}

template <class Grid>
Status RunUnpackWeights(Grid& grid, const UnpackWeightsArguments& a) {
  TIERLIB_RETURN_IF_ERROR(CheckPalette(a.shape));
  UnpackWeightsKernel kernel;
  kernel.Set(a.shape);
  kernel.packed = a.packed;
  kernel.tables = a.tables;
  kernel.dtype = a.dtype;
  kernel.weights = a.weights;
  return grid.Run(kernel, kernel.blocks);
}

template <class Grid>
Status RunMatvec(Grid& grid, const MatvecArguments& a) {
  TIERLIB_RETURN_IF_ERROR(CheckPalette(a.shape));
  if (a.shape.rows == 0) return OkStatus();
  MatvecKernel kernel;
  kernel.Set(a, grid.limits());
  return grid.Run(kernel, kernel.blocks, kernel.SharedBytes());
}

template <class Grid>
Status RunFindNonFinite(Grid& grid, const FindNonFiniteArguments& a) {
  ResetPosition reset;
  reset.position = a.found;
  TIERLIB_RETURN_IF_ERROR(grid.Run(reset, 1));
  FindNonFiniteKernel kernel;
  kernel.a = a;
  kernel.blocks = BlocksFor(a.count, FindNonFiniteKernel::kThreads, 4096);
  TIERLIB_RETURN_IF_ERROR(grid.Run(kernel, kernel.blocks));
  ReportNonFinite report;
  report.found = a.found;
  report.told = a.first;
  return grid.Run(report, 1);
}

}  // namespace tierlib::dkm::cuda

#endif  // TIERLIB_SRC_DKM_KERNELS_CUDA_PALETTE_LAUNCHES_H_
