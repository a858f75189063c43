// The tiled form of DKM as ops: saves the weight's own view, and for each group T + 1 sets of centroids with their
// masses.
#ifndef TIERLIB_SRC_DKM_TILED_FORM_H_
#define TIERLIB_SRC_DKM_TILED_FORM_H_

#include <memory>

#include "autograd/launch.h"
#include "dkm/groups.h"
#include "dkm/kernels/tiled.h"
#include "tierlib/autograd/tape.h"

namespace tierlib::dkm {

// What the form needs to know besides the weight. REQUIRES: shape holds (kernels/tiled.h), and the groups' vectors of
// shape.dim are the elements of the weight.
struct TiledProblem {
  host::TiledShape shape;  // of each group; `vectors` is that of all but the last
  Groups groups;
  autograd::Tensor start;                                // the centroids f32 [groups * k, d], constants
  autograd::Tensor newest;                               // f32 [groups * k, d], written with C_T
  std::shared_ptr<host::IterationCount> iterations_run;  // written, too: the most of any group
  DType table = DType::kF32;                             // what palettizing rounds C_T to
};

// W~ with the sizes and dtype of `weight`; f32, bf16 and f16 are computed in float32, f64 in float64. Where the weight
// is row-major and large beside the centroids, W~ is told to the runtime as made from it (on a device with kernels of
// its own, where the weight's type is the one that is computed in).
autograd::Value TiledForm(const autograd::Value& weight, const TiledProblem& problem);

// output [sizes of weight], fresh: each vector of the weight replaced by the nearest of C_T as problem.table has it.
Status LaunchTiledPalettize(const autograd::Launcher& launcher, const TiledProblem& problem,
                            const autograd::Tensor& row_major_weight, const autograd::Tensor& output);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_TILED_FORM_H_
