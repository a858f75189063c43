// Palettes on a CUDA stream.
#include "base/cuda/run_kernel.h"
#include "dkm/kernels/cuda/palette_launches.h"

namespace tierlib::dkm::cuda {

Status Palettize(const PalettizeArguments<float>& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunPalettize(grid, a);
}
Status Palettize(const PalettizeArguments<double>& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunPalettize(grid, a);
}
Status PackIndices(const PackArguments& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunPack(grid, a);
}
Status UnpackIndices(const UnpackArguments& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunUnpack(grid, a);
}
Status UnpackWeights(const UnpackWeightsArguments& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunUnpackWeights(grid, a);
}
Status PackedMatvec(const MatvecArguments& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunMatvec(grid, a);
}
Status FindNonFinite(const FindNonFiniteArguments& a, Stream stream) {
  TIERLIB_ASSIGN_OR_RETURN(CudaGrid grid, CudaGrid::On(stream));
  return RunFindNonFinite(grid, a);
}

}  // namespace tierlib::dkm::cuda
