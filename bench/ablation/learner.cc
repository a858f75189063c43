#include "ablation/learner.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "ablation/half_codec.h"
#include "base/clock.h"
#include "dkm/dense_chain.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/dkm/clustering.h"
#include "tierlib/runtime.h"

namespace tierlib::bench {
namespace {

using autograd::Parameter;
using autograd::Tape;
using autograd::Tensor;
using autograd::Value;

Options OptionsFor(const Problem& problem, const Row& row, DType dtype, DeviceKind kind) {
  const auto w = static_cast<std::uint64_t>(problem.count()) * ElementBytes(dtype);
  const std::uint64_t map = w * static_cast<std::uint64_t>(problem.clusters());
  const auto t = static_cast<std::uint64_t>(problem.iterations);
  Options options;
  options.mode = row.mode;
  options.devices[0].kind = kind;
  // In memory that the host reaches too, for kernels of the host.
  if (kind == DeviceKind::kCuda && !row.has_device_kernels()) options.devices[0].backing = DeviceBacking::kManaged;
  const std::uint64_t maps = row.mode == OffloadMode::kOff ? 3 * t + 12 : 10;  // what is saved stays there
  options.devices[0].capacity = maps * map + 16 * w + MiB(256);
  options.devices[0].spare_bytes = 0;  // learners share the memory of one machine
  options.pinned_limit = row.share ? (2 * t + 1) * map + MiB(64) : (5 * t + 1) * map + 2 * (t + 2) * w + MiB(64);
  return options;
}

StatusOr<Tensor> MakeTensor(autograd::Context& context, DType dtype, const Dims& sizes,
                            const std::vector<std::uint16_t>& bits, Holds holds, const char* label) {
  if (dtype == DType::kBF16) return Tensor::FromHost(context, dtype, sizes, bits.data(), holds, label);
  std::vector<std::uint32_t> wide(bits.begin(), bits.end());
  for (std::uint32_t& value : wide) value <<= 16;
  return Tensor::FromHost(context, dtype, sizes, wide.data(), holds, label);
}

// dL/dW as float32; given back on the device.
StatusOr<std::vector<float>> TakeGradient(Parameter& w) {
  std::vector<float> values(static_cast<std::size_t>(w.gradient.elements()));
  if (w.gradient.dtype() == DType::kF32) {
    TIERLIB_RETURN_IF_ERROR(w.gradient.CopyToHost(values.data(), values.size() * sizeof(float)));
  } else {
    std::vector<std::uint16_t> bits(values.size());
    TIERLIB_RETURN_IF_ERROR(w.gradient.CopyToHost(bits.data(), bits.size() * sizeof(std::uint16_t)));
    for (std::size_t i = 0; i < bits.size(); ++i) values[i] = std::bit_cast<float>(std::uint32_t{bits[i]} << 16);
  }
  w.gradient = Tensor();
  return values;
}

class Learner {
 public:
  Learner(const Problem& problem, const Row& row, DType dtype, const Device& device, Turns& turns, TurnTaker* me)
      : problem_(problem),
        row_(row),
        dtype_(row.exact ? DType::kF32 : dtype),
        device_(device),
        turns_(turns),
        me_(me) {}

  Status Run(LearnerResult& result) {
    TIERLIB_RETURN_IF_ERROR(Prepare());
    const int rounds = me_ == nullptr ? device_.rounds : 1;
    for (int round = 0; round < rounds; ++round) {
      LearnerResult once;
      TIERLIB_RETURN_IF_ERROR(RunRound(/*last=*/round + 1 == rounds, once));
      if (round > 0) once.seconds = std::min(once.seconds, result.seconds);
      result = std::move(once);
    }
    return runtime_->health();
  }

 private:
  // Both passes.
  Status RunRound(bool last, LearnerResult& result) {
    Tape tape(*context_);
    std::int64_t worked_ns = 0;
    Value output;
    const Status forward = Timed(worked_ns, [&]() -> Status {
      TIERLIB_ASSIGN_OR_RETURN(output, Cluster(tape));
      TIERLIB_RETURN_IF_ERROR(runtime_->Synchronize(context_->stream()));
      return runtime_->Drain();
    });
    TIERLIB_RETURN_IF_ERROR(forward);
    const Statistics statistics = runtime_->statistics();
    result.host_bytes = statistics.pinned.live + statistics.pageable.live + statistics.file.live;
    // Whoever is done with its forward pass leaves the device's memory to the others. Rounds keep it, as steps do.
    if (me_ != nullptr || device_.rounds == 1) {
      TIERLIB_RETURN_IF_ERROR(runtime_->Trim(Tier::kDevice, std::numeric_limits<std::uint64_t>::max()).status());
    }
    const Status backward = Timed(worked_ns, [&]() -> Status {
      if (me_ != nullptr) TIERLIB_RETURN_IF_ERROR(me_->Barrier());
      // The loss behind the chain is sum(W~ G): what that saves is counted by no row.
      const Value loss = Sum(Mul(Reshape(output, {-1}), tape.Constant(gradient_)));
      output = Value();
      TIERLIB_RETURN_IF_ERROR(tape.Backward(loss));
      return runtime_->Synchronize(context_->stream());
    });
    TIERLIB_RETURN_IF_ERROR(backward);
    result.seconds = static_cast<double>(worked_ns) / 1e9;
    result.device_peak_bytes = runtime_->statistics().device.live_peak;
    if (last) {
      TIERLIB_ASSIGN_OR_RETURN(result.gradient, TakeGradient(w_));
    }
    w_.gradient = Tensor();
    return OkStatus();
  }

  Status Prepare() {
    TIERLIB_ASSIGN_OR_RETURN(runtime_, Runtime::Create(OptionsFor(problem_, row_, dtype_, device_.kind)));
    TIERLIB_ASSIGN_OR_RETURN(context_, autograd::Context::Create(*runtime_));
    w_.name = "w";
    TIERLIB_ASSIGN_OR_RETURN(w_.value, MakeTensor(*context_, dtype_, {problem_.count(), 1}, problem_.weights,
                                                  row_.parameter ? Holds::kPersistent : Holds::kTransient, "w"));
    TIERLIB_ASSIGN_OR_RETURN(gradient_, MakeTensor(*context_, dtype_, {problem_.count()}, problem_.gradient,
                                                   Holds::kPersistent, "gradient"));
    if (row_.exact) TIERLIB_RETURN_IF_ERROR(PrepareExact());
    return OkStatus();
  }

  StatusOr<Value> Cluster(Tape& tape) {
    if (row_.exact) return ClusterExactly(tape);
    std::vector<std::uint16_t> start;
    for (const float c : problem_.start)
      start.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(c) >> 16));
    TIERLIB_ASSIGN_OR_RETURN(
        const Tensor c, MakeTensor(*context_, dtype_, {problem_.clusters(), 1}, start, Holds::kTransient, "start"));
    dkm::ChainOptions options{problem_.tau, problem_.iterations};
    options.uniquify = row_.uniquify;
    options.sharding.learners = me_;
    const auto chain = row_.reference ? dkm::ReferenceChain : dkm::PaperChain;
    const dkm::ChainResult result = chain(tape.Leaf(w_), tape.Constant(c), options);
    TIERLIB_RETURN_IF_ERROR(tape.status());
    return result.output;
  }

  Status PrepareExact() {
    dkm::Options options;
    options.bits = problem_.bits;
    options.tau = problem_.tau;
    options.iterations = problem_.iterations;
    options.form = dkm::Form::kExact;
    options.round_to = DType::kBF16;
    clustering_.emplace("w", options);
    return clustering_->Restore(*context_, problem_.start, problem_.tau);
  }

  StatusOr<Value> ClusterExactly(Tape& tape) {
    HalfCodec as_half(w_.value);
    const autograd::SavedCodecScope keep_by(tape, row_.parameter ? nullptr : &as_half);
    Value output = clustering_->Apply(tape, tape.Leaf(w_));
    TIERLIB_RETURN_IF_ERROR(tape.status());
    return output;
  }

  // Runs `pass` in this learner's turn and adds what counts of its time.
  template <typename Pass>
  Status Timed(std::int64_t& worked_ns, const Pass& pass) {
    turns_.Take();
    const std::int64_t begin_ns = NowNs() - Counted();
    const Status status = pass();
    worked_ns += NowNs() - begin_ns - Counted();
    turns_.Give();
    return status;
  }

  // By how much wall time differs from what counts.
  std::int64_t Counted() const { return me_ == nullptr ? 0 : me_->away_ns() - me_->collective_ns(); }

  const Problem& problem_;
  const Row& row_;
  const DType dtype_;
  const Device& device_;
  Turns& turns_;
  TurnTaker* const me_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<autograd::Context> context_;
  Parameter w_;
  Tensor gradient_;
  std::optional<dkm::Clustering> clustering_;  // of an exact row
};

}  // namespace

LearnerResult RunLearner(const Problem& problem, const Row& row, DType dtype, const Device& device, Turns& turns,
                         TurnTaker* me) {
  LearnerResult result;
  const Status status = Learner(problem, row, dtype, device, turns, me).Run(result);
  result.status = status;
  return result;
}

}  // namespace tierlib::bench
