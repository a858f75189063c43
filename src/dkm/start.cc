#include "dkm/start.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "autograd/kernels/host/chunk.h"
#include "autograd/shape.h"
#include "base/thread_pool.h"
#include "dkm/channel_scale.h"
#include "dkm/form_choice.h"
#include "dkm/groups.h"
#include "dkm/kernels/exact.h"
#include "dkm/kernels/tile_pass.h"
#include "dkm/kmeans.h"
#include "dkm/kmeans_1d.h"
#include "dkm/value_cells.h"

namespace tierlib::dkm {
namespace {

// tau of a weight without variance: any value does where all weights are equal, but 0.
constexpr double kSmallestTau = 1e-20;

// float32 trajectories count them exactly.
constexpr int kMostIterations = 65536;

// In the unit of the distance: the square of a tenth of the standard deviation, or the tenth itself.
double AutomaticTau(Metric metric, double variance) {
  return std::max(metric == Metric::kSquared ? 0.01 * variance : 0.1 * std::sqrt(variance), kSmallestTau);
}

double Rounded(DType dtype, double value) {
  std::uint16_t bits = 0;
  autograd::host::WriteElement<double>(dtype, &bits, 0, value);
  return autograd::host::ReadElement<double>(dtype, &bits, 0);
}

double Variance(const std::vector<double>& values) {
  const double count = static_cast<double>(values.size());
  double mean = 0;
  for (const double value : values) mean += value / count;
  double variance = 0;
  for (const double value : values) variance += (value - mean) * (value - mean) / count;
  return variance;
}

// The values that are clustered, in place.
void ScaleAndRound(const Options& options, DType weight, const std::vector<float>& scales,
                   std::vector<double>& values) {
  const bool whole = ScaledType(options, weight) == DType::kF64;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!scales.empty()) {
      const double quotient = values[i] / static_cast<double>(scales[i / (values.size() / scales.size())]);
      values[i] = whole ? quotient : static_cast<double>(static_cast<float>(quotient));
    }
    if (options.round_to) values[i] = Rounded(*options.round_to, values[i]);
  }
}

std::vector<double> ExactCentroids(DType dtype, const std::vector<double>& values, int clusters) {
  if (dtype == DType::kF64) return KMeans1d(values, clusters);
  std::vector<std::byte> bytes(values.size() * ElementBytes(dtype));
  const auto count = static_cast<std::int64_t>(values.size());
  for (std::int64_t i = 0; i < count; ++i) {
    autograd::host::WriteElement<double>(dtype, bytes.data(), i, values[static_cast<std::size_t>(i)]);
  }
  ThreadPool pool(1);
  return KMeans1d(Is16Bits(dtype) ? ValuesOfBits(dtype, CountBitPatterns(pool, bytes.data(), count))
                                  : CellsOfFloats(pool, bytes.data(), count),
                  clusters);
}

// Options that others have, and how a dense form keeps what it saves.
Status CheckCompatibility(const Options& options) {
  const auto wrong = [](const std::string& text) { return InvalidArgumentError("dkm: " + text); };
  if (options.group_rows < 0) {
    return wrong("group_rows are at least 1, or 0 for all, not " + std::to_string(options.group_rows));
  }
  if (!(options.attention_floor >= 0 && options.attention_floor < 1)) {
    return wrong("attention_floor is from 0, for none, to below 1, not " + std::to_string(options.attention_floor));
  }
  if (!(options.prune_threshold >= 0) || !std::isfinite(options.prune_threshold)) {
    return wrong("prune_threshold is positive, or 0 for none, not " + std::to_string(options.prune_threshold));
  }
  if (options.uniquify && !IsDense(options.form)) {
    return wrong("uniquify is for the maps of a dense form: use form reference or paper");
  }
  if (options.uniquify && options.cluster_dim != 1) {
    return wrong("uniquify takes cluster_dim 1, not " + std::to_string(options.cluster_dim) +
                 ": vectors are hardly ever equal");
  }
  return OkStatus();
}

// Each group must be cut into vectors, and have one for each cluster.
Status CheckGroups(const std::string& who, const Options& options, const autograd::Tensor& weight) {
  const std::int64_t clusters = std::int64_t{1} << options.bits;
  const Groups groups = GroupsOf(options, weight.sizes());
  const std::string fewer =
      ", fewer than the " + std::to_string(clusters) + " clusters of " + std::to_string(options.bits) + " bits";
  if (groups.count == 1) {
    if (groups.vectors * options.cluster_dim != weight.elements()) {
      return InvalidArgumentError(who + " cannot be cut into vectors of " + std::to_string(options.cluster_dim));
    }
    if (groups.vectors >= clusters) return OkStatus();
    return InvalidArgumentError(who + " has " + std::to_string(groups.vectors) + " vectors" + fewer);
  }
  const std::int64_t columns = weight.elements() / RowsOf(weight.sizes());
  for (const auto& [rows, vectors] :
       {std::pair(groups.rows, groups.vectors), std::pair(groups.last_rows, groups.last_vectors)}) {
    const std::string group =
        who + ": a group of " + std::to_string(rows) + " of its " + std::to_string(RowsOf(weight.sizes())) + " rows";
    if (vectors * options.cluster_dim != rows * columns) {
      return InvalidArgumentError(group + " cannot be cut into vectors of " + std::to_string(options.cluster_dim));
    }
    if (vectors < clusters) {
      return InvalidArgumentError(group + " has " + std::to_string(vectors) + " vectors" + fewer);
    }
  }
  return OkStatus();
}

}  // namespace

Status CheckOptions(const Options& options) {
  const auto wrong = [](const std::string& text) { return InvalidArgumentError("dkm: " + text); };
  if (options.bits < 1 || options.bits > 8) {
    return wrong("bits are 1 to 8, not " + std::to_string(options.bits));
  }
  if (options.cluster_dim < 1 || options.cluster_dim > host::kMostDimensions) {
    return wrong("cluster_dim is 1 to 256, not " + std::to_string(options.cluster_dim));
  }
  if (options.iterations < 1 || options.iterations > kMostIterations) {
    return wrong("iterations are 1 to 65536, not " + std::to_string(options.iterations));
  }
  if (!(options.epsilon >= 0) || !std::isfinite(options.epsilon)) {
    return wrong("epsilon is positive, or 0 for all iterations, not " + std::to_string(options.epsilon));
  }
  if (options.epsilon > 0 && IsDense(options.form)) {
    return wrong("a dense form runs all iterations; with epsilon use form tiled or exact");
  }
  if (!(options.tau >= 0) || !std::isfinite(options.tau)) {
    return wrong("tau is positive, or 0 for one by the variance, not " + std::to_string(options.tau));
  }
  if (options.form == Form::kExact && options.cluster_dim != 1) {
    return wrong("form exact takes cluster_dim 1, not " + std::to_string(options.cluster_dim) + "; use form tiled");
  }
  if (options.start == Start::kExact && options.cluster_dim != 1) {
    return wrong("start exact takes cluster_dim 1, not " + std::to_string(options.cluster_dim));
  }
  if (!Is16Bits(options.table) && options.table != DType::kF32 && options.table != DType::kI8) {
    return wrong(std::string("table is f32, f16, bf16 or i8, not ") + DTypeName(options.table));
  }
  if (options.round_to && !Is16Bits(*options.round_to)) {
    return wrong(std::string("round_to is bf16 or f16, not ") + DTypeName(*options.round_to));
  }
  return CheckCompatibility(options);
}

Status CheckWeight(const std::string& name, const Options& options, const autograd::Tensor& weight) {
  if (!weight.defined()) return InvalidArgumentError("dkm: weight " + name + " is undefined");
  const std::string who = "dkm: weight " + name + " " + weight.layout().ToString();
  if (!IsFloat(weight.dtype())) return InvalidArgumentError(who + " is not of a float type");
  if (options.round_to && weight.dtype() != DType::kF32 && weight.dtype() != *options.round_to) {
    return InvalidArgumentError(who + " cannot be rounded to " + DTypeName(*options.round_to) +
                                ": round_to is for f32 weights");
  }
  const bool scaled = options.per_channel_scale != ChannelScale::kNone;
  if (options.form == Form::kExact && scaled && !options.round_to) {
    return InvalidArgumentError(who +
                                " has more than 16 bits once it is scaled, and form exact needs 16: set round_to, " +
                                "or use form tiled");
  }
  if (options.form == Form::kExact && !Is16Bits(ClusteredType(options, weight.dtype()))) {
    return InvalidArgumentError(who + " is not of 16 bits, which form exact needs: set round_to, or use form tiled");
  }
  if (options.form == Form::kExact && weight.elements() >= host::kExactWeightLimit) {
    return InvalidArgumentError(who + " has " + std::to_string(weight.elements()) +
                                " values; form exact takes fewer than " + std::to_string(host::kExactWeightLimit) +
                                ": use form tiled");
  }
  return CheckGroups(who, options, weight);
}

Status NotFiniteError(const std::string& name, const Options& options, const Dims& sizes, std::int64_t position) {
  Dims at = sizes;
  std::int64_t rest = position;
  for (int i = sizes.rank() - 1; i >= 0; --i) {
    at[i] = rest % sizes[i];
    rest /= sizes[i];
  }
  const bool scaled = options.per_channel_scale != ChannelScale::kNone;
  return InvalidArgumentError("dkm: weight " + name + ": value " + std::to_string(position) + ", at " +
                              autograd::SizesText(at) + ", is NaN or infinite" +
                              (options.round_to ? std::string(" once rounded to ") + DTypeName(*options.round_to)
                               : scaled         ? " once scaled"
                                                : ""));
}

StatusOr<std::vector<double>> ReadWeight(const std::string& name, const Options& options,
                                         const autograd::Tensor& weight) {
  TIERLIB_RETURN_IF_ERROR(CheckWeight(name, options, weight));
  std::vector<std::byte> bytes(static_cast<std::size_t>(weight.layout().logical_bytes()));
  TIERLIB_RETURN_IF_ERROR(weight.CopyToHost(bytes.data(), bytes.size()));
  std::vector<double> values(static_cast<std::size_t>(weight.elements()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto position = static_cast<std::int64_t>(i);
    values[i] = autograd::host::ReadElement<double>(weight.dtype(), bytes.data(), position);
    const bool rounds = options.round_to && options.per_channel_scale == ChannelScale::kNone;
    if (!std::isfinite(rounds ? Rounded(*options.round_to, values[i]) : values[i])) {
      return NotFiniteError(name, options, weight.sizes(), position);
    }
  }
  return values;
}

StatusOr<FirstState> MakeStart(const std::string& name, const Options& options, DType weight, const Dims& sizes,
                               std::vector<double> values) {
  FirstState start;
  if (options.per_channel_scale != ChannelScale::kNone) {
    start.channel_scales = ChannelScalesOf(options.per_channel_scale, sizes, values);
  }
  ScaleAndRound(options, weight, start.channel_scales, values);
  for (std::size_t i = 0; i < values.size(); ++i) {  // a quotient may be beyond the range of what it is rounded to
    if (!std::isfinite(values[i])) return NotFiniteError(name, options, sizes, static_cast<std::int64_t>(i));
  }
  start.tau = options.tau > 0 ? options.tau : AutomaticTau(options.metric, Variance(values));
  const int clusters = 1 << options.bits;
  const Groups groups = GroupsOf(options, sizes);
  for (std::int64_t group = 0; group < groups.count; ++group) {
    const auto begin = values.begin() + groups.FirstVector(group) * options.cluster_dim;
    const std::vector<double> own(begin, begin + groups.Vectors(group) * options.cluster_dim);
    const std::vector<double> centroids =
        options.start == Start::kExact
            ? ExactCentroids(ClusteredType(options, weight), own, clusters)
            : KMeans(own, options.cluster_dim, clusters, options.seed + static_cast<std::uint64_t>(group));
    start.centroids.insert(start.centroids.end(), centroids.begin(), centroids.end());
  }
  return start;
}

}  // namespace tierlib::dkm
