// What a clustering begins with: a look at the weight on the host.
#ifndef TIERLIB_SRC_DKM_START_H_
#define TIERLIB_SRC_DKM_START_H_

#include <string>
#include <vector>

#include "tierlib/autograd/tensor.h"
#include "tierlib/dkm/clustering.h"
#include "tierlib/status.h"

namespace tierlib::dkm {

// InvalidArgument names the option that cannot hold.
Status CheckOptions(const Options& options);

// InvalidArgument, naming the weight, where it is not of a float type, d does not divide its size or that of its
// groups, one of them has fewer vectors than clusters, or its type or size is not one that options.round_to or the
// exact form takes.
Status CheckWeight(const std::string& name, const Options& options, const autograd::Tensor& weight);

// "weight block.0.c_attn: value 1027, at [8,3], is NaN or infinite", "... once scaled", "... once rounded to f16".
Status NotFiniteError(const std::string& name, const Options& options, const Dims& sizes, std::int64_t position);

// The weight's elements, row-major; waits for the device. Errors of CheckWeight; NotFiniteError, also where they are
// not finite once they are rounded as the options say. Zeros on a device without bytes (shape_only).
StatusOr<std::vector<double>> ReadWeight(const std::string& name, const Options& options,
                                         const autograd::Tensor& weight);

struct FirstState {
  std::vector<float> centroids;       // [groups * k, d], by k-means
  std::vector<float> channel_scales;  // [rows], or none
  double tau = 0;                     // the option, or what clustering.h says where that is 0
};
// `values`, of the weight whose name, type and sizes are given, as ReadWeight returns them. NotFiniteError where one is
// beyond its type's range once it is scaled and rounded.
StatusOr<FirstState> MakeStart(const std::string& name, const Options& options, DType weight, const Dims& sizes,
                               std::vector<double> values);

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_START_H_
