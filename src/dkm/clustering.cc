// Clustering: one weight's centroids from step to step, and the choice of the form that computes with them.
#include "tierlib/dkm/clustering.h"

#include <cmath>
#include <new>
#include <utility>

#include "autograd/launch.h"
#include "autograd/shape.h"
#include "dkm/dense_chain.h"
#include "dkm/exact_form.h"
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

//   I1  `start` is defined where tau > 0, and then f32 [k, d]; it is never written
//   I2  `newest` is undefined until an Apply that succeeded since the last Advance
struct Clustering::State {
  std::string name;
  Options options;
  double tau = 0;
  Tensor start;
  Tensor newest;             // C_T of the last Apply that succeeded
  bool examined = false;     // the weight was looked at on the host
  Form form = Form::kTiled;  // for the weight that was given last, where the options leave it open
  Dims sizes;                // of the weight, for messages
  // Kernels in flight hold these too: they may outlive this object, and Restore leaves them the first, which they know.
  std::shared_ptr<host::FirstNonFinite> non_finite = std::make_shared<host::FirstNonFinite>(host::kAllFinite);
  std::shared_ptr<host::IterationCount> iterations_run = std::make_shared<host::IterationCount>(0);

  int clusters() const { return 1 << options.bits; }
  Dims centroid_sizes() const { return {clusters(), options.cluster_dim}; }

  host::TiledShape ShapeOf(const Tensor& weight) const {
    return {weight.elements() / options.cluster_dim,
            options.cluster_dim,
            clusters(),
            options.iterations,
            options.metric,
            options.attention,
            tau,
            options.epsilon};
  }

  Status SetStart(Context& context, const std::vector<float>& centroids, double new_tau) {
    TIERLIB_ASSIGN_OR_RETURN(start, Tensor::FromHost(context, DType::kF32, centroid_sizes(), centroids.data(),
                                                     Holds::kPersistent, name + ".centroids"));
    tau = new_tau;
    newest = Tensor();
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
    form = FormFor(options, weight);
    if (examined) return OkStatus();
    TIERLIB_ASSIGN_OR_RETURN(const std::vector<double> values, ReadWeight(name, options, weight));
    if (!start.defined()) {
      const FirstState first = MakeStart(options, weight.dtype(), values);
      TIERLIB_RETURN_IF_ERROR(SetStart(context, first.centroids, first.tau));
    }
    examined = true;
    return OkStatus();
  }

  StatusOr<Tensor> NewCentroids(Context& context) const {
    return Tensor::Empty(context, DType::kF32, centroid_sizes(), Holds::kPersistent, name + ".centroids");
  }

  // Enqueues a look at the weight, whose result CheckSeen finds later.
  Status Watch(const Launcher& launcher, const Tensor& weight) const {
    TIERLIB_ASSIGN_OR_RETURN(const Tensor values, launcher.RowMajor(weight));
    return launcher.Launch("find non-finite", {.reads = {&values}},
                           [seen = non_finite, dtype = values.dtype(), data = values.data(), count = values.elements()](
                               KernelContext& kernel) { host::FindNonFinite(kernel, dtype, data, count, *seen); });
  }

  StatusOr<Value> ApplyDense(const Launcher& launcher, Tape& tape, const Value& weight, const Tensor& centroids) {
    if (weight.dtype() == DType::kF16) {
      return InvalidArgumentError("dkm: weight " + name +
                                  ": a dense form sums beyond the range of f16; use form tiled");
    }
    Tensor first = start;
    if (weight.dtype() != DType::kF32) {
      TIERLIB_ASSIGN_OR_RETURN(first, launcher.New(weight.dtype(), centroid_sizes()));
      TIERLIB_RETURN_IF_ERROR(launcher.Copy(start, first));
    }
    const Value w = Reshape(weight, {weight.tensor().elements() / options.cluster_dim, options.cluster_dim});
    ChainOptions chain{tau, options.iterations, options.metric, options.attention};
    chain.sharding.learners = options.learners;
    const ChainResult result = form == Form::kPaper ? PaperChain(w, tape.Constant(first), chain)
                                                    : ReferenceChain(w, tape.Constant(first), chain);
    TIERLIB_RETURN_IF_ERROR(tape.status());
    TIERLIB_RETURN_IF_ERROR(launcher.Copy(result.centroids.tensor(), centroids));
    iterations_run->store(options.iterations, std::memory_order_relaxed);
    return Reshape(result.output, weight.sizes());
  }

  // `centroids` get C_T.
  TiledProblem TiledProblemOf(const Tensor& weight, const Tensor& centroids) const {
    return {ShapeOf(weight), start, centroids, iterations_run, options.table};
  }
  ExactProblem ExactProblemOf(const Tensor& weight, const Tensor& centroids) const {
    return {{ShapeOf(weight), weight.dtype(), ClusteredType(options, weight.dtype())},
            start,
            centroids,
            non_finite,
            iterations_run,
            options.table};
  }

  // True where another form than the exact one is given f32 weights that are to be rounded.
  bool RoundsFirst(const Tensor& weight) const {
    return options.round_to && *options.round_to != weight.dtype() && form != Form::kExact;
  }

  StatusOr<Value> Apply(Tape& tape, const Value& weight) {
    if (weight.defined() && weight.tape() != &tape) {
      return InvalidArgumentError("dkm: weight " + name + " is of another tape");
    }
    TIERLIB_RETURN_IF_ERROR(Prepare(tape.context(), weight.tensor()));
    const Launcher launcher(tape.context(), name, /*backward=*/false);
    const Value values = RoundsFirst(weight.tensor()) ? RoundTo(weight, *options.round_to) : weight;
    TIERLIB_RETURN_IF_ERROR(tape.status());
    if (form != Form::kExact) TIERLIB_RETURN_IF_ERROR(Watch(launcher, values.tensor()));  // that one looks itself
    TIERLIB_ASSIGN_OR_RETURN(const Tensor centroids, NewCentroids(tape.context()));
    Value output;
    if (form == Form::kExact) {
      output = ExactForm(values, ExactProblemOf(weight.tensor(), centroids));
    } else if (form == Form::kTiled) {
      output = TiledForm(values, TiledProblemOf(weight.tensor(), centroids));
    } else {
      TIERLIB_ASSIGN_OR_RETURN(output, ApplyDense(launcher, tape, values, centroids));
    }
    TIERLIB_RETURN_IF_ERROR(tape.status());  // then the centroids hold nothing
    newest = centroids;
    return output;
  }

  StatusOr<Tensor> Palettize(Context& context, const Tensor& weight);
};

StatusOr<Tensor> Clustering::State::Palettize(Context& context, const Tensor& weight) {
  TIERLIB_RETURN_IF_ERROR(Prepare(context, weight));
  const Launcher launcher(context, name + ".palettize", /*backward=*/false);
  TIERLIB_ASSIGN_OR_RETURN(const Tensor values, RoundsFirst(weight) ? RoundTo(launcher, weight, *options.round_to)
                                                                    : launcher.RowMajor(weight));
  TIERLIB_ASSIGN_OR_RETURN(Tensor output, launcher.New(weight.dtype(), weight.sizes()));
  TIERLIB_ASSIGN_OR_RETURN(const Tensor centroids, NewCentroids(context));
  if (form == Form::kExact) {
    TIERLIB_RETURN_IF_ERROR(LaunchExactPalettize(launcher, ExactProblemOf(weight, centroids), values, output));
  } else {
    TIERLIB_RETURN_IF_ERROR(Watch(launcher, values));
    TIERLIB_RETURN_IF_ERROR(LaunchTiledPalettize(launcher, TiledProblemOf(weight, centroids), values, output));
  }
  return output;
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

double Clustering::BitsPerWeight(std::int64_t weights) const {
  const Options& o = state_->options;
  constexpr double kScaleBits = 32;
  const double table_bits =
      8.0 * static_cast<double>(ElementBytes(o.table)) * static_cast<double>(clusters()) * o.cluster_dim +
      (o.table == DType::kI8 ? kScaleBits : 0.0);
  return static_cast<double>(o.bits) / o.cluster_dim + table_bits / static_cast<double>(weights);
}

StatusOr<std::vector<float>> Clustering::Centroids() const {
  if (!state_->start.defined()) return std::vector<float>();
  std::vector<float> centroids(static_cast<std::size_t>(state_->start.elements()));
  TIERLIB_RETURN_IF_ERROR(state_->start.CopyToHost(centroids.data(), centroids.size() * sizeof(float)));
  TIERLIB_RETURN_IF_ERROR(state_->CheckSeen());
  return centroids;
}

Status Clustering::Restore(Context& context, const std::vector<float>& centroids, double tau) {
  TIERLIB_RETURN_IF_ERROR(CheckOptions(state_->options));
  const auto wanted = static_cast<std::size_t>(clusters() * state_->options.cluster_dim);
  const std::string who = "dkm: weight " + state_->name + ": ";
  if (centroids.size() != wanted) {
    return InvalidArgumentError(who + std::to_string(centroids.size()) + " values restored as " +
                                std::to_string(clusters()) + " centroids of " +
                                std::to_string(state_->options.cluster_dim));
  }
  for (const float value : centroids) {
    if (!std::isfinite(value)) return InvalidArgumentError(who + "a restored centroid is NaN or infinite");
  }
  if (!(tau > 0) || !std::isfinite(tau)) {
    return InvalidArgumentError(who + "tau " + std::to_string(tau) + " restored; it must be positive");
  }
  // First, so that nothing has changed where memory is short.
  auto non_finite = std::make_shared<host::FirstNonFinite>(host::kAllFinite);
  TIERLIB_RETURN_IF_ERROR(state_->SetStart(context, centroids, tau));
  state_->non_finite = std::move(non_finite);
  state_->examined = false;
  return OkStatus();
}

}  // namespace tierlib::dkm
