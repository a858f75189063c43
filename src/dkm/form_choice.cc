#include "dkm/form_choice.h"

#include <algorithm>
#include <cstdint>

#include "autograd/kernels/operand.h"
#include "dkm/groups.h"
#include "dkm/kernels/clustering_shape.h"
#include "dkm/kernels/cuda/exact.h"

namespace tierlib::dkm {
namespace {

// With fewer weights it costs more to clear and read tables of 65,536 entries than the tiled form takes.
constexpr std::int64_t kFewestForExact = 16384;

}  // namespace

DType ScaledType(const Options& options, DType weight) {
  return weight == DType::kF64 || IsDense(options.form) ? weight : DType::kF32;
}

DType ClusteredType(const Options& options, DType weight) {
  const bool scaled = options.per_channel_scale != ChannelScale::kNone;
  return options.round_to.value_or(scaled ? ScaledType(options, weight) : weight);
}

Form FormFor(const Options& options, const Layout& weight) {
  if (options.form != Form::kAuto) return options.form;
  const bool exact = options.cluster_dim == 1 && Is16Bits(ClusteredType(options, weight.dtype)) &&
                     GroupsOf(options, weight.sizes).vectors >= kFewestForExact &&
                     weight.elements() < host::kExactWeightLimit;
  return exact ? Form::kExact : Form::kTiled;
}

StatusOr<NativeKernels> NativeKernelsFor(const std::string& name, const Options& options, const Layout& weight) {
  const auto missing = [&](const std::string& what) {
    return UnimplementedError("dkm: weight " + name + " " + weight.ToString() + ": this device has no kernels for " +
                              what);
  };
  const bool scaled = options.per_channel_scale != ChannelScale::kNone;
  const DType given = scaled ? ScaledType(options, weight.dtype) : weight.dtype;
  const Form form = FormFor(options, weight);
  if (form == Form::kPaper) return missing("form paper: use form reference, tiled or exact");
  if (form == Form::kReference) {
    if (options.uniquify) return missing("uniquify, which is for the host: a form tiled or exact saves less still");
    if (options.learners != nullptr) return missing("sharing what form reference saves: use form tiled or exact");
    return NativeKernels{form, given, ClusteredType(options, weight.dtype)};
  }
  if (form == Form::kExact) {
    const Groups groups = GroupsOf(options, weight.sizes);
    const std::int64_t most = std::max(groups.vectors, groups.last_vectors);
    if (most < cuda::kExactWeightLimit) return NativeKernels{form, given, ClusteredType(options, weight.dtype)};
    return missing("form exact of " + std::to_string(most) + " weights that share centroids: it takes fewer than " +
                   std::to_string(cuda::kExactWeightLimit) + ", so set group_rows");
  }
  const DType computed = autograd::host::ComputeType(given);
  return NativeKernels{form, computed, computed};
}

}  // namespace tierlib::dkm
