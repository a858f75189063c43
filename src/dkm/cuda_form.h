// The forms of DKM where the device runs kernels of its own kind: what exact_form.cc and tiled_form.cc launch on a CUDA
// device.
#ifndef TIERLIB_SRC_DKM_CUDA_FORM_H_
#define TIERLIB_SRC_DKM_CUDA_FORM_H_

#include "autograd/launch.h"
#include "dkm/exact_form.h"
#include "dkm/tiled_form.h"
#include "tierlib/replay.h"

namespace tierlib::dkm {

// Room for W~ by pattern, for each group, which a replay gathers from: it stays on the device.
StatusOr<autograd::Tensor> NewCudaTables(const autograd::Launcher& launcher, const ExactProblem& problem);

// What a kernel tells the host, in memory that both see.
struct CudaWords {
  std::shared_ptr<host::FirstNonFinite> non_finite;
  std::shared_ptr<host::IterationCount> iterations_run;
};
StatusOr<CudaWords> MakeCudaWords(const autograd::Launcher& launcher);

// `nearest` as in host::ExactForwardArguments. Tensors are row-major; trajectories and tables are those of the groups,
// one behind the other. Groups go one after the other.
Status LaunchExactForwardCuda(const autograd::Launcher& launcher, const ExactProblem& problem,
                              const autograd::Tensor& weights, const autograd::Tensor& trajectories,
                              const autograd::Tensor& tables, const autograd::Tensor& output, bool nearest);
Status LaunchExactBackwardCuda(const autograd::Launcher& launcher, const host::ExactShape& shape, const Groups& groups,
                               const autograd::Tensor& weights, const autograd::Tensor& trajectories,
                               const autograd::Tensor& gradient, const autograd::Tensor& weight_gradient);
// How W~ is made again from a row-major W.
Replay ExactReplayCuda(autograd::Context& context, const ExactProblem& problem, const autograd::Tensor& tables);

// `output` undefined: not wanted. `rounds`: C_T is rounded to problem.table. f32 or f64 tensors of one dtype.
Status LaunchTiledForwardCuda(const autograd::Launcher& launcher, const TiledProblem& problem,
                              const autograd::Tensor& weights, const autograd::Tensor& trajectories,
                              const autograd::Tensor& output, bool rounds);
// How W~ is made again from a row-major W of the type that is computed in.
Replay TiledReplayCuda(autograd::Context& context, const TiledProblem& problem, DType dtype,
                       const autograd::Tensor& trajectories);
Status LaunchTiledBackwardCuda(const autograd::Launcher& launcher, const TiledProblem& problem,
                               const autograd::Tensor& weights, const autograd::Tensor& trajectories,
                               const autograd::Tensor& gradient, const autograd::Tensor& weight_gradient);
// output: each vector of `weight` replaced by the nearest of its group's last centroids in `trajectories`, which are of
// the type that `weight` is computed in.
Status LaunchPalettizeCuda(const autograd::Launcher& launcher, const TiledProblem& problem,
                           const autograd::Tensor& weight, const autograd::Tensor& trajectories,
                           const autograd::Tensor& output);

// Lowers `seen`, of MakeCudaWords, to the first value that is not finite.
Status LaunchFindNonFiniteCuda(const autograd::Launcher& launcher, const autograd::Tensor& values,
                               host::FirstNonFinite& seen);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_CUDA_FORM_H_
