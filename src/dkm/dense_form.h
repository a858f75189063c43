// The dense forms of DKM: a chain of ops for each group of a weight, and W~ as a value that is made again from W.
#ifndef TIERLIB_SRC_DKM_DENSE_FORM_H_
#define TIERLIB_SRC_DKM_DENSE_FORM_H_

#include "autograd/launch.h"
#include "dkm/dense_chain.h"
#include "dkm/groups.h"
#include "tierlib/autograd/tape.h"

namespace tierlib::dkm {

// What the form needs to know besides the weight. REQUIRES: the groups' vectors of `dim` are the elements of the
// weight.
struct DenseProblem {
  bool paper = false;  // which chain; else the reference's
  ChainOptions chain;
  int dim = 1;
  int clusters = 0;
  Groups groups;
  autograd::Tensor start;   // the centroids f32 [groups * k, d], constants
  autograd::Tensor newest;  // f32 [groups * k, d], written with C_T
};

// W~ with the sizes and dtype of `weight`, f32, f64 or bf16. Where the weight is row-major and large beside the
// centroids, W~ is told to the runtime as made from it and a copy of those (on the host's kernels, and but for vectors
// of which DenseReplays says otherwise).
StatusOr<autograd::Value> DenseForm(const autograd::Launcher& launcher, autograd::Tape& tape,
                                    const autograd::Value& weight, const DenseProblem& problem);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_DENSE_FORM_H_
