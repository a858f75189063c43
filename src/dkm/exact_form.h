// The exact form of DKM as ops: saves the weight's own view, and for each group T + 1 sets of centroids with their
// masses. W~ can be made again from the two.
#ifndef TIERLIB_SRC_DKM_EXACT_FORM_H_
#define TIERLIB_SRC_DKM_EXACT_FORM_H_

#include <memory>

#include "autograd/launch.h"
#include "dkm/groups.h"
#include "dkm/kernels/exact.h"
#include "tierlib/autograd/tape.h"

namespace tierlib::dkm {

// What the form needs to know besides the weight.
struct ExactProblem {
  host::ExactShape shape;  // of each group; `vectors` is that of all but the last
  Groups groups;
  autograd::Tensor start;   // the centroids f32 [groups * k, 1], constants
  autograd::Tensor newest;  // f32 [groups * k, 1], written with C_T
  std::shared_ptr<host::FirstNonFinite> non_finite;
  std::shared_ptr<host::IterationCount> iterations_run;  // written: the most of any group
  DType table = DType::kF32;                             // what palettizing rounds C_T to
};

// W~ with the sizes and dtype of `weight`, whose tables are computed in float64. Where the weight is row-major, W~ is
// told to the runtime as made from it. REQUIRES: problem.shape holds (kernels/exact.h) for the weight.
autograd::Value ExactForm(const autograd::Value& weight, const ExactProblem& problem);

// output [sizes of weight], fresh: each weight's value replaced by the nearest of C_T as problem.table has it, which
// problem.newest gets.
Status LaunchExactPalettize(const autograd::Launcher& launcher, const ExactProblem& problem,
                            const autograd::Tensor& row_major_weight, const autograd::Tensor& output);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_EXACT_FORM_H_
