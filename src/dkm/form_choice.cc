#include "dkm/form_choice.h"

#include <algorithm>
#include <cstdint>

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

Form FormFor(const Options& options, const Layout& weight, bool host_kernels) {
  if (options.form != Form::kAuto) return options.form;
  const bool exact = options.cluster_dim == 1 && Is16Bits(ClusteredType(options, weight.dtype)) &&
                     (!host_kernels || GroupsOf(options, weight.sizes).vectors >= kFewestForExact) &&
                     weight.elements() < host::kExactWeightLimit;
  return exact ? Form::kExact : Form::kTiled;
}

StatusOr<NativeKernels> NativeKernelsFor(const std::string& name, const Options& options, const Layout& weight) {
  const auto missing = [&](const std::string& what) {
    return UnimplementedError("dkm: weight " + name + " " + weight.ToString() + ": this device has no kernels for " +
                              what);
  };
  const Form form = FormFor(options, weight, /*host_kernels=*/false);
  if (IsDense(form)) return missing("a dense form: use form tiled or exact");
  if (options.per_channel_scale != ChannelScale::kNone) return missing("per_channel_scale");
  if (form == Form::kExact) {
    const Groups groups = GroupsOf(options, weight.sizes);
    const std::int64_t most = std::max(groups.vectors, groups.last_vectors);
    if (most < cuda::kExactWeightLimit) return NativeKernels{form, weight.dtype, ClusteredType(options, weight.dtype)};
    return missing("form exact of " + std::to_string(most) + " weights that share centroids: it takes fewer than " +
                   std::to_string(cuda::kExactWeightLimit) + ", so set group_rows");
  }
  if (Is16Bits(weight.dtype)) return missing("form tiled of 16-bit weights: it takes f32 and f64 there");
  if (options.round_to) return missing("form tiled with round_to: use form exact, where cluster_dim is 1");
  return NativeKernels{form, weight.dtype, weight.dtype};
}

}  // namespace tierlib::dkm
