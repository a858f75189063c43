// Clustering: one weight's centroids from step to step, and the choice of the form that computes with them.
#include "tierlib/dkm/clustering.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "autograd/launch.h"
#include "autograd/shape.h"
#include "dkm/channel_scale.h"
#include "dkm/cuda_form.h"
#include "dkm/dense_form.h"
#include "dkm/exact_form.h"
#include "dkm/form_choice.h"
#include "dkm/groups.h"
#include "dkm/kernels/finite.h"
#include "dkm/kernels/tiled.h"
#include "dkm/rounding.h"
#include "dkm/start.h"
#include "dkm/tiled_form.h"
#include "tierlib/autograd/ops.h"

namespace tierlib::dkm {

using autograd::Context;
using autograd::Launcher;
using autograd::Tape;
using autograd::Tensor;
using autograd::Value;

//   I1  `start` is defined where tau > 0, and then f32 [groups * k, d]; it is never written
//   I2  `newest` is undefined until an Apply that succeeded since the last Advance
//   I3  `scales` is defined where `start` is and the options have such, and then f32 [rows]; it is never written
struct Clustering::State {
  std::string name;
  Options options;
  double tau = 0;
  Tensor start;
  Tensor scales;
  Tensor newest;             // C_T of the last Apply that succeeded
  Tensor bias;               // [1, k]: of a dense form's distances, where there is a prune_threshold
  bool examined = false;     // the weight was looked at on the host
  Form form = Form::kTiled;  // for the weight that was given last, where the options leave it open
  Dims sizes;                // of the weight, for messages
  // Kernels in flight hold these too: they may outlive this object, and Restore leaves them the first, which they know.
  std::shared_ptr<host::FirstNonFinite> non_finite = std::make_shared<host::FirstNonFinite>(host::kAllFinite);
  std::shared_ptr<host::IterationCount> iterations_run = std::make_shared<host::IterationCount>(0);

  int clusters() const { return 1 << options.bits; }
  bool scaled() const { return options.per_channel_scale != ChannelScale::kNone; }

  // Of each group.
  host::TiledShape ShapeOf(const Tensor& weight) const {
    return {GroupsOf(options, weight.sizes()).vectors,
            options.cluster_dim,
            clusters(),
            options.iterations,
            options.metric,
            options.attention,
            tau,
            options.epsilon,
            options.form == Form::kPaper ? PaperFloor(options.attention_floor) : options.attention_floor,
            options.prune_threshold};
  }

  Status SetStart(Context& context, const std::vector<float>& centroids, double new_tau,
                  const std::vector<float>& new_scales) {
    const auto rows = static_cast<std::int64_t>(centroids.size()) / options.cluster_dim;
    TIERLIB_ASSIGN_OR_RETURN(Tensor new_start,
                             Tensor::FromHost(context, DType::kF32, {rows, options.cluster_dim}, centroids.data(),
                                              Holds::kPersistent, name + ".centroids"));
    if (scaled()) {
      TIERLIB_ASSIGN_OR_RETURN(scales,
                               Tensor::FromHost(context, DType::kF32, {static_cast<std::int64_t>(new_scales.size())},
                                                new_scales.data(), Holds::kPersistent, name + ".channel_scales"));
    }
    start = std::move(new_start);
    bias = Tensor();  // as the start, of the context that is given from here on
    tau = new_tau;
    newest = Tensor();
    return OkStatus();
  }

  // What was restored, or found for another weight, must be for as many groups and rows as this one has.
  Status CheckFits(const Tensor& weight) const {
    const std::string who = "dkm: weight " + name + " " + weight.layout().ToString() + " has ";
    const std::int64_t groups = GroupsOf(options, weight.sizes()).count;
    if (start.sizes()[0] != groups * clusters()) {
      return InvalidArgumentError(who + std::to_string(groups) + " groups of " + std::to_string(clusters()) +
                                  " clusters, not the " + std::to_string(start.sizes()[0]) +
                                  " centroids that it is to start from");
    }
    if (scaled() && scales.elements() != RowsOf(weight.sizes())) {
      return InvalidArgumentError(who + std::to_string(RowsOf(weight.sizes())) + " rows, not the " +
                                  std::to_string(scales.elements()) + " that there are scales for");
    }
    return OkStatus();
  }

  // Error where a kernel has seen a weight that is not finite. Does not wait for those that have not run yet.
  Status CheckSeen() const {
    const std::int64_t position = non_finite->load(std::memory_order_relaxed);
    return position == host::kAllFinite ? OkStatus() : NotFiniteError(name, options, sizes, position);
  }

  // Checks options and weight; the first time looks at the weight on the host, and makes a start where there is none.
  Status Prepare(Context& context, const Tensor& weight) {
    TIERLIB_RETURN_IF_ERROR(CheckOptions(options));
    TIERLIB_RETURN_IF_ERROR(CheckWeight(name, options, weight));
    TIERLIB_RETURN_IF_ERROR(CheckSeen());
    sizes = weight.sizes();
    form = FormFor(options, weight.layout());
    if (!Launcher(context, name, /*backward=*/false).runs_host_kernels()) {
      TIERLIB_RETURN_IF_ERROR(NativeKernelsFor(name, options, weight.layout()).status());
    }
    if (start.defined()) TIERLIB_RETURN_IF_ERROR(CheckFits(weight));
    if (examined) return OkStatus();
    TIERLIB_RETURN_IF_ERROR(PlaceWords(context));
    TIERLIB_ASSIGN_OR_RETURN(std::vector<double> values, ReadWeight(name, options, weight));
    if (!start.defined()) {
      TIERLIB_ASSIGN_OR_RETURN(const FirstState first,
                               MakeStart(name, options, weight.dtype(), weight.sizes(), std::move(values)));
      TIERLIB_RETURN_IF_ERROR(SetStart(context, first.centroids, first.tau, first.channel_scales));
    }
    examined = true;
    return OkStatus();
  }

  // A device with kernels of its own writes to memory of its own kind.
  Status PlaceWords(Context& context) {
    const Launcher launcher(context, name, /*backward=*/false);
    if (launcher.runs_host_kernels()) return OkStatus();
    TIERLIB_ASSIGN_OR_RETURN(CudaWords words, MakeCudaWords(launcher));
    non_finite = std::move(words.non_finite);
    iterations_run = std::move(words.iterations_run);
    return OkStatus();
  }

  StatusOr<Tensor> NewCentroids(Context& context) const {
    return Tensor::Empty(context, DType::kF32, start.sizes(), Holds::kPersistent, name + ".centroids");
  }

  // What a tensor of the state has on the device.
  StatusOr<std::vector<float>> Read(const Tensor& tensor) const {
    if (!tensor.defined()) return std::vector<float>();
    std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
    TIERLIB_RETURN_IF_ERROR(tensor.CopyToHost(values.data(), values.size() * sizeof(float)));
    TIERLIB_RETURN_IF_ERROR(CheckSeen());
    return values;
  }

  // Enqueues a look at the weight, whose result CheckSeen finds later.
  Status Watch(const Launcher& launcher, const Tensor& weight) const {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor values, launcher.RowMajor(weight));
    if (!launcher.runs_host_kernels()) return LaunchFindNonFiniteCuda(launcher, values, *non_finite);
    return launcher.Launch("find non-finite", {.reads = {&values}},
                           [seen = non_finite, dtype = values.dtype(), data = values.data(), count = values.elements()](
                               KernelContext& kernel) { host::FindNonFinite(kernel, dtype, data, count, *seen); });
  }

  StatusOr<Value> ApplyDense(const Launcher& launcher, Tape& tape, const Value& weight, const Tensor& centroids);
  // [1, k] of the dtype; undefined where nothing lowers a distance.
  StatusOr<Tensor> DistanceBias(const Launcher& launcher, DType dtype);

  // `values` are what is clustered; `centroids` get C_T.
  TiledProblem TiledProblemOf(const Tensor& values, const Tensor& centroids) const {
    return {ShapeOf(values), GroupsOf(options, values.sizes()), start, centroids, iterations_run, options.table};
  }
  ExactProblem ExactProblemOf(const Tensor& values, const Tensor& centroids) const {
    return {{ShapeOf(values), values.dtype(), ClusteredType(options, values.dtype())},
            GroupsOf(options, values.sizes()),
            start,
            centroids,
            non_finite,
            iterations_run,
            options.table};
  }

  // True where another form than the exact one is given f32 weights that are to be rounded.
  bool RoundsFirst(DType values) const {
    return options.round_to && *options.round_to != values && form != Form::kExact;
  }

  // What is clustered of the weight, and W~ of what came out.
  Value ScaledDown(const Value& weight) const {
    const Value scaled_down =
        scaled() ? ScaleRows(weight, scales, ScaleBy::kQuotient, ScaledType(options, weight.dtype())) : weight;
    if (!scaled_down.defined() || !RoundsFirst(scaled_down.dtype())) return scaled_down;
    return RoundTo(scaled_down, *options.round_to);
  }
  Value ScaledUp(const Value& output, DType weight) const {
    return scaled() && output.defined() ? ScaleRows(output, scales, ScaleBy::kProduct, weight) : output;
  }

  StatusOr<Value> Apply(Tape& tape, const Value& weight) {
    if (weight.defined() && weight.tape() != &tape) {
      return InvalidArgumentError("dkm: weight " + name + " is of another tape");
    }
    TIERLIB_RETURN_IF_ERROR(Prepare(tape.context(), weight.tensor()));
    const Launcher launcher(tape.context(), name, /*backward=*/false);
    const Value values = ScaledDown(weight);
    TIERLIB_RETURN_IF_ERROR(tape.status());
    if (form != Form::kExact) TIERLIB_RETURN_IF_ERROR(Watch(launcher, values.tensor()));  // that one looks itself
    TIERLIB_ASSIGN_OR_RETURN(const Tensor centroids, NewCentroids(tape.context()));
    Value output;
    if (form == Form::kExact) {
      output = ExactForm(values, ExactProblemOf(values.tensor(), centroids));
    } else if (form == Form::kTiled) {
      output = TiledForm(values, TiledProblemOf(values.tensor(), centroids));
    } else {
      TIERLIB_ASSIGN_OR_RETURN(output, ApplyDense(launcher, tape, values, centroids));
    }
    output = ScaledUp(output, weight.dtype());
    TIERLIB_RETURN_IF_ERROR(tape.status());  // then the centroids hold nothing
    newest = centroids;
    return output;
  }

  StatusOr<Tensor> Palettize(Context& context, const Tensor& weight);
};

StatusOr<Value> Clustering::State::ApplyDense(const Launcher& launcher, Tape& tape, const Value& weight,
                                              const Tensor& centroids) {
  if (weight.dtype() == DType::kF16) {
    return InvalidArgumentError("dkm: weight " + name + ": a dense form sums beyond the range of f16; use form tiled");
  }
  ChainOptions chain{tau, options.iterations, options.metric, options.attention};
  chain.attention_floor = options.attention_floor;
  chain.uniquify = options.uniquify;
  chain.sharding.learners = options.learners;
  TIERLIB_ASSIGN_OR_RETURN(chain.distance_bias, DistanceBias(launcher, weight.dtype()));
  const DenseProblem problem{form == Form::kPaper,
                             chain,
                             options.cluster_dim,
                             static_cast<int>(clusters()),
                             GroupsOf(options, weight.sizes()),
                             start,
                             centroids};
  TIERLIB_ASSIGN_OR_RETURN(Value output, DenseForm(launcher, tape, weight, problem));
  iterations_run->store(options.iterations, std::memory_order_relaxed);
  return output;
}

StatusOr<Tensor> Clustering::State::DistanceBias(const Launcher& launcher, DType dtype) {
  if (options.prune_threshold == 0) return Tensor();
  if (bias.defined() && bias.dtype() == dtype) return bias;
  std::vector<double> values(static_cast<std::size_t>(clusters()));
  values[0] = -options.prune_threshold;
  const Dims sizes_of_bias = {1, clusters()};
  TIERLIB_ASSIGN_OR_RETURN(const Tensor exact,
                           Tensor::FromHost(launcher.context(), DType::kF64, sizes_of_bias, values.data(),
                                            Holds::kTransient, name + ".distance_bias"));
  TIERLIB_ASSIGN_OR_RETURN(Tensor fresh, Tensor::Empty(launcher.context(), dtype, sizes_of_bias, Holds::kPersistent,
                                                       name + ".distance_bias"));
  TIERLIB_RETURN_IF_ERROR(launcher.Copy(exact, fresh));
  bias = std::move(fresh);
  return bias;
}

StatusOr<Tensor> Clustering::State::Palettize(Context& context, const Tensor& weight) {
  TIERLIB_RETURN_IF_ERROR(Prepare(context, weight));
  const Launcher launcher(context, name + ".palettize", /*backward=*/false);
  TIERLIB_ASSIGN_OR_RETURN(Tensor values, scaled() ? ScaleRows(launcher, weight, scales, ScaleBy::kQuotient,
                                                               ScaledType(options, weight.dtype()))
                                                   : launcher.RowMajor(weight));
  if (RoundsFirst(values.dtype())) {
    TIERLIB_ASSIGN_OR_RETURN(values, RoundTo(launcher, values, *options.round_to));
  }
  TIERLIB_ASSIGN_OR_RETURN(Tensor output, launcher.New(values.dtype(), weight.sizes()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor centroids, NewCentroids(context));
  if (form == Form::kExact) {
    TIERLIB_RETURN_IF_ERROR(LaunchExactPalettize(launcher, ExactProblemOf(values, centroids), values, output));
  } else {
    TIERLIB_RETURN_IF_ERROR(Watch(launcher, values));
    TIERLIB_RETURN_IF_ERROR(LaunchTiledPalettize(launcher, TiledProblemOf(values, centroids), values, output));
  }
  return scaled() ? ScaleRows(launcher, output, scales, ScaleBy::kProduct, weight.dtype()) : output;
}

Clustering::Clustering(std::string name, Options options) : state_(std::make_unique<State>()) {
  state_->name = std::move(name);
  state_->options = options;
}
Clustering::~Clustering() = default;
Clustering::Clustering(Clustering&&) noexcept = default;
Clustering& Clustering::operator=(Clustering&&) noexcept = default;

Value Clustering::Apply(Tape& tape, const Value& weight) {
  if (!tape.status().ok()) return Value();
  try {
    StatusOr<Value> value = state_->Apply(tape, weight);
    if (value.ok()) return *std::move(value);
    tape.Fail(value.status());
  } catch (const std::bad_alloc&) {
    tape.Fail(Status(StatusCode::kResourceExhausted));
  }
  return Value();
}

StatusOr<Tensor> Clustering::Palettize(Context& context, const Tensor& weight) {
  try {
    return state_->Palettize(context, weight);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kResourceExhausted);
  }
}

void Clustering::Advance() {
  if (!state_->newest.defined()) return;
  state_->start = std::move(state_->newest);
  state_->newest = Tensor();
}

const Options& Clustering::options() const { return state_->options; }
Form Clustering::form() const { return state_->options.form == Form::kAuto ? state_->form : state_->options.form; }
double Clustering::tau() const { return state_->tau; }
std::int64_t Clustering::clusters() const { return state_->clusters(); }

int Clustering::IterationsRun() const { return state_->iterations_run->load(std::memory_order_relaxed); }

double Clustering::BitsPerWeight(const Dims& sizes) const {
  const Options& o = state_->options;
  constexpr double kScaleBits = 32;
  double weights = 1;
  for (int i = 0; i < sizes.rank(); ++i) weights *= static_cast<double>(sizes[i]);
  const double table_bits =
      8.0 * static_cast<double>(ElementBytes(o.table)) * static_cast<double>(clusters()) * o.cluster_dim +
      (o.table == DType::kI8 ? kScaleBits : 0.0);
  const double row_bits = state_->scaled() ? kScaleBits * static_cast<double>(RowsOf(sizes)) : 0.0;
  return static_cast<double>(o.bits) / o.cluster_dim +
         (table_bits * static_cast<double>(GroupsOf(o, sizes).count) + row_bits) / weights;
}

double Clustering::BitsPerWeight(std::int64_t weights) const { return BitsPerWeight(Dims{weights}); }

StatusOr<std::vector<float>> Clustering::Centroids() const { return state_->Read(state_->start); }
StatusOr<std::vector<float>> Clustering::ChannelScales() const { return state_->Read(state_->scales); }

Status Clustering::Restore(Context& context, const std::vector<float>& centroids, double tau,
                           const std::vector<float>& channel_scales) {
  TIERLIB_RETURN_IF_ERROR(CheckOptions(state_->options));
  const auto wanted = static_cast<std::size_t>(clusters() * state_->options.cluster_dim);
  const std::string who = "dkm: weight " + state_->name + ": ";
  const bool grouped = state_->options.group_rows > 0;
  if (centroids.empty() || centroids.size() % wanted != 0 || (!grouped && centroids.size() != wanted)) {
    return InvalidArgumentError(who + std::to_string(centroids.size()) + " values restored as " +
                                std::to_string(clusters()) + " centroids of " +
                                std::to_string(state_->options.cluster_dim) + (grouped ? " for each group" : ""));
  }
  for (const float value : centroids) {
    if (!std::isfinite(value)) return InvalidArgumentError(who + "a restored centroid is NaN or infinite");
  }
  if (!(tau > 0) || !std::isfinite(tau)) {
    return InvalidArgumentError(who + "tau " + std::to_string(tau) + " restored; it must be positive");
  }
  if (channel_scales.empty() == state_->scaled()) {
    return InvalidArgumentError(who + std::to_string(channel_scales.size()) + " scales of channels restored " +
                                (state_->scaled() ? "with per_channel_scale" : "without per_channel_scale"));
  }
  for (const float value : channel_scales) {
    if (!(value > 0) || !std::isfinite(value)) {
      return InvalidArgumentError(who + "a restored scale is not a positive number");
    }
  }
  // First, so that nothing has changed where memory is short.
  auto non_finite = std::make_shared<host::FirstNonFinite>(host::kAllFinite);
  TIERLIB_RETURN_IF_ERROR(state_->SetStart(context, centroids, tau, channel_scales));
  state_->non_finite = std::move(non_finite);
  state_->examined = false;
  return OkStatus();
}

}  // namespace tierlib::dkm
