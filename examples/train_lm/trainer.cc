#include "train_lm/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace train_lm {
namespace {

using tierlib::DType;
using tierlib::Status;
using tierlib::StatusCode;
using tierlib::StatusOr;
using tierlib::autograd::AdamW;
using tierlib::autograd::AdamWOptions;
using tierlib::autograd::Context;
using tierlib::autograd::Parameter;
using tierlib::autograd::Tape;
using tierlib::autograd::Tensor;
using tierlib::autograd::Value;

struct DeviceBatch {
  Tensor tokens;   // i32 [B, T]
  Tensor targets;  // i32 [B * T]
};

StatusOr<DeviceBatch> ToDevice(Context& context, const Batch& batch) {
  const auto count = static_cast<std::int64_t>(batch.tokens.size());
  DeviceBatch device;
  TIERLIB_ASSIGN_OR_RETURN(device.tokens,
                           Tensor::FromHost(context, DType::kI32, {batch.sequences, count / batch.sequences},
                                            batch.tokens.data(), tierlib::Holds::kTransient, "tokens"));
  TIERLIB_ASSIGN_OR_RETURN(device.targets, Tensor::FromHost(context, DType::kI32, {count}, batch.targets.data(),
                                                            tierlib::Holds::kTransient, "targets"));
  return device;
}

// Waits for the device.
StatusOr<float> ReadLoss(const Value& loss) {
  float value = 0;
  TIERLIB_RETURN_IF_ERROR(loss.tensor().CopyToHost(&value, sizeof value));
  return value;
}

StatusOr<Checkpoint::Entry> ReadEntry(std::string name, const Tensor& tensor) {
  Checkpoint::Entry entry{std::move(name), tensor.dtype(), {tensor.sizes().begin(), tensor.sizes().end()}, {}};
  entry.bytes.resize(static_cast<std::size_t>(tensor.layout().logical_bytes()));
  TIERLIB_RETURN_IF_ERROR(tensor.CopyToHost(entry.bytes.data(), entry.bytes.size()));
  return entry;
}

constexpr std::uint64_t kFingerprintOfNothing = 0xcbf29ce484222325;

// FNV-1a: `fingerprint` with these bytes behind what it is of.
std::uint64_t AddBytes(std::uint64_t fingerprint, const void* data, std::size_t bytes) {
  const auto* const begin = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i) fingerprint = (fingerprint ^ begin[i]) * 0x100000001b3;
  return fingerprint;
}

// Sequences of one batch are not to share a mask. Learner 0's is that of one learner alone.
std::uint64_t DropoutSeed(std::uint64_t seed, const Learner& learner) {
  return seed + static_cast<std::uint64_t>(learner.rank()) * 0x9E3779B97F4A7C15;
}

std::vector<AdamW::Group> Groups(Model& model, double weight_decay) {
  AdamW::Group matrices{{}, weight_decay};
  AdamW::Group vectors{{}, 0};
  for (Parameter& parameter : model.parameters()) {
    (parameter.value.sizes().rank() >= 2 ? matrices : vectors).parameters.push_back(&parameter);
  }
  return {matrices, vectors};
}

}  // namespace

StatusOr<std::unique_ptr<Trainer>> Trainer::Create(const Job& job, tierlib::Runtime& runtime, Learner learner) {
  std::unique_ptr<Trainer> trainer(new Trainer(job, runtime, learner));
  TIERLIB_ASSIGN_OR_RETURN(trainer->context_, Context::Create(runtime));
  TIERLIB_ASSIGN_OR_RETURN(trainer->model_, Model::Create(*trainer->context_, job.shape, job.weights));
  trainer->matrices_ =
      std::make_unique<BlockMatrices>(*trainer->model_, job.options, job.options.shard ? learner.group() : nullptr);
  if (!job.options.eval_only) {
    TIERLIB_ASSIGN_OR_RETURN(
        trainer->optimizer_,
        AdamW::Create(*trainer->context_, Groups(*trainer->model_, job.options.weight_decay), AdamWOptions{}));
  }
  if (job.checkpoint != nullptr) TIERLIB_RETURN_IF_ERROR(trainer->Restore(*job.checkpoint));
  return trainer;
}

Status Trainer::Restore(const Checkpoint& checkpoint) {
  const std::string& path = job_.options.resume;
  std::size_t restored = 0;
  for (auto& [parameter, each] : matrices_->clustered()) {
    const auto centroids = checkpoint.centroids.find(each.name);
    const auto tau = checkpoint.tau.find(each.name);
    if (checkpoint.step == 0) continue;  // nothing was clustered yet
    if (centroids == checkpoint.centroids.end() || tau == checkpoint.tau.end()) {
      return tierlib::DataLossError(path + ": the centroids or tau of " + each.name + " are missing");
    }
    const auto scales = checkpoint.channel_scales.find(each.name);
    const bool scaled = scales != checkpoint.channel_scales.end();
    if (scaled != (job_.options.per_channel_scale != tierlib::dkm::ChannelScale::kNone)) {
      return tierlib::DataLossError(path + ": the scales of " + each.name + " should " + (scaled ? "not " : "") +
                                    "be there");
    }
    TIERLIB_RETURN_IF_ERROR(each.clustering.Restore(*context_, centroids->second, tau->second,
                                                    scaled ? scales->second : std::vector<float>()));
    ++restored;
  }
  if (checkpoint.step > 0 && (restored != checkpoint.centroids.size() || restored != checkpoint.tau.size())) {
    return tierlib::DataLossError(path + ": has centroids or tau of weights that are not clustered");
  }
  step_ = checkpoint.step;
  if (optimizer_ == nullptr) return tierlib::OkStatus();
  optimizer_->set_steps(checkpoint.step);
  std::vector<AdamW::NamedTensor> state = optimizer_->state_tensors();
  if (state.size() != checkpoint.optimizer.size()) {
    return tierlib::DataLossError(path + ": the optimizer's state has " + std::to_string(checkpoint.optimizer.size()) +
                                  " tensors, the model needs " + std::to_string(state.size()));
  }
  for (std::size_t i = 0; i < state.size(); ++i) {
    Tensor& tensor = state[i].tensor;
    const auto saved = std::find_if(checkpoint.optimizer.begin(), checkpoint.optimizer.end(),
                                    [&](const auto& entry) { return entry.name == "optimizer." + state[i].name; });
    const std::vector<std::int64_t> sizes(tensor.sizes().begin(), tensor.sizes().end());
    if (saved == checkpoint.optimizer.end() || saved->sizes != sizes || saved->dtype != tensor.dtype()) {
      return tierlib::DataLossError(path + ": tensor optimizer." + state[i].name + " must be there as " +
                                    tierlib::DTypeName(tensor.dtype()) + " " + SizesText(sizes));
    }
    TIERLIB_RETURN_IF_ERROR(tensor.CopyFromHost(saved->bytes.data(), saved->bytes.size()));
  }
  return tierlib::OkStatus();
}

StatusOr<float> Trainer::Step() {
  const Options& o = job_.options;
  runtime_.BeginStep(step_);
  TIERLIB_ASSIGN_OR_RETURN(
      const DeviceBatch batch,
      ToDevice(*context_, TrainingBatch(job_.text, o.context, share_.first, share_.sequences, o.seed, step_)));
  std::vector<double> mean_loss(1);
  {
    Tape tape(*context_);
    const Value loss =
        model_->Loss(tape, *matrices_, batch.tokens, batch.targets, {o.dropout, DropoutSeed(o.seed, learner_), step_});
    TIERLIB_RETURN_IF_ERROR(tape.status());
    runtime_.BeginBackward();
    TIERLIB_RETURN_IF_ERROR(tape.Backward(loss));
    TIERLIB_RETURN_IF_ERROR(Update());
    TIERLIB_ASSIGN_OR_RETURN(const float mine, ReadLoss(loss));
    mean_loss[0] = static_cast<double>(mine) * share_.weight;
  }
  TIERLIB_RETURN_IF_ERROR(learner_.Sum(mean_loss));
  ++step_;
  runtime_.EndStep();
  TIERLIB_RETURN_IF_ERROR(runtime_.health());
  return static_cast<float>(mean_loss[0]);
}

Status Trainer::Update() {
  const Options& o = job_.options;
  const std::vector<Parameter*> parameters = model_->parameter_pointers();
  TIERLIB_RETURN_IF_ERROR(learner_.ReduceGradients(*context_, parameters, share_));
  if (o.clip > 0) TIERLIB_RETURN_IF_ERROR(tierlib::autograd::ClipGradientNorm(*context_, parameters, o.clip));
  const double rate = tierlib::autograd::CosineLearningRate(step_, o.lr, o.min_lr, static_cast<std::uint64_t>(o.warmup),
                                                            static_cast<std::uint64_t>(o.steps));
  TIERLIB_RETURN_IF_ERROR(optimizer_->Step(rate));
  tierlib::autograd::ClearGradients(parameters);
  matrices_->Advance();
  return tierlib::OkStatus();
}

StatusOr<double> Trainer::Evaluate(Weights weights, Extent extent, const std::function<bool(std::int64_t)>& progress) {
  TIERLIB_ASSIGN_OR_RETURN(const std::unique_ptr<MatrixSource> matrices, MatricesFor(weights));
  TIERLIB_ASSIGN_OR_RETURN(const Evaluated mine, EvaluateShare(*matrices, extent, progress));
  return MeanOf(mine);
}

StatusOr<double> Trainer::Estimate(Weights weights, std::int64_t batches,
                                   const std::function<bool(std::int64_t)>& progress) {
  const Options& o = job_.options;
  TIERLIB_ASSIGN_OR_RETURN(const std::unique_ptr<MatrixSource> matrices, MatricesFor(weights));
  Evaluated mine;
  for (std::int64_t batch = 0; batch < batches && !mine.stopped; ++batch) {
    const std::uint64_t draw = step_ * static_cast<std::uint64_t>(batches) + static_cast<std::uint64_t>(batch);
    TIERLIB_RETURN_IF_ERROR(
        AddLosses(*matrices, EstimateBatch(job_.text, o.context, share_.first, share_.sequences, o.seed, draw), mine));
    mine.stopped = progress && !progress(batch + 1);
  }
  return MeanOf(mine);
}

StatusOr<std::unique_ptr<MatrixSource>> Trainer::MatricesFor(Weights weights) {
  if (weights == Weights::kCoarse) return matrices_->ForEvaluation(*context_);
  return StoredMatrices(*model_);
}

StatusOr<double> Trainer::MeanOf(const Evaluated& mine) {
  std::vector<double> all = {mine.sum, static_cast<double>(mine.sequences), mine.stopped ? 1.0 : 0.0};
  TIERLIB_RETURN_IF_ERROR(learner_.Sum(all));
  if (all[2] > 0) return Status(StatusCode::kCancelled, "stopped in the evaluation");
  if (!std::isfinite(all[0])) {
    return tierlib::FailedPreconditionError("the loss over the validation part is not a number; a lower --lr may help");
  }
  return all[0] / all[1];
}

StatusOr<Trainer::Evaluated> Trainer::EvaluateShare(MatrixSource& matrices, Extent extent,
                                                    const std::function<bool(std::int64_t)>& progress) {
  const std::int64_t context = job_.options.context;
  const std::int64_t windows = job_.text.windows(context);
  const std::int64_t most = job_.options.LargestShare();  // as a step, so that this needs no more memory
  Evaluated evaluated;
  for (std::int64_t first = 0; first < windows && !evaluated.stopped; first += most) {
    const std::int64_t count = std::min(most, windows - first);
    const bool last = first + count == windows;
    // Batches go to the learners in turn. A sample is for the memory plan, where one learner stands for all.
    const bool mine = first / most % learner_.count() == learner_.rank();
    if (extent == Extent::kSample ? first > 0 && !last : !mine) continue;
    TIERLIB_RETURN_IF_ERROR(AddLosses(matrices, ValidationBatch(job_.text, context, first, count), evaluated));
    evaluated.stopped = progress && !progress(first + count);
  }
  return evaluated;
}

Status Trainer::AddLosses(MatrixSource& matrices, const Batch& batch, Evaluated& evaluated) {
  TIERLIB_ASSIGN_OR_RETURN(const DeviceBatch on_device, ToDevice(*context_, batch));
  Tape tape(*context_);
  tape.set_recording(false);
  const Value loss = model_->Loss(tape, matrices, on_device.tokens, on_device.targets, Dropout{});
  TIERLIB_RETURN_IF_ERROR(tape.status());
  TIERLIB_ASSIGN_OR_RETURN(const float mean, ReadLoss(loss));
  evaluated.sum += static_cast<double>(mean) * static_cast<double>(batch.sequences);
  evaluated.sequences += batch.sequences;
  return tierlib::OkStatus();
}

StatusOr<Checkpoint> Trainer::Snapshot() {
  Checkpoint checkpoint;
  checkpoint.step = step_;
  for (const Parameter& parameter : model_->parameters()) {
    TIERLIB_ASSIGN_OR_RETURN(Checkpoint::Entry entry, ReadEntry(parameter.name, parameter.value));
    checkpoint.weights.push_back(std::move(entry));
  }
  if (optimizer_ != nullptr) {
    for (const AdamW::NamedTensor& state : optimizer_->state_tensors()) {
      TIERLIB_ASSIGN_OR_RETURN(Checkpoint::Entry entry, ReadEntry("optimizer." + state.name, state.tensor));
      checkpoint.optimizer.push_back(std::move(entry));
    }
  }
  for (auto& [parameter, each] : matrices_->clustered()) {
    TIERLIB_ASSIGN_OR_RETURN(std::vector<float> centroids, each.clustering.Centroids());
    if (centroids.empty()) continue;
    checkpoint.centroids[each.name] = std::move(centroids);
    checkpoint.tau[each.name] = each.clustering.tau();
    TIERLIB_ASSIGN_OR_RETURN(std::vector<float> scales, each.clustering.ChannelScales());
    if (!scales.empty()) checkpoint.channel_scales[each.name] = std::move(scales);
  }
  return checkpoint;
}

StatusOr<std::uint64_t> Trainer::ParametersFingerprint() {
  std::uint64_t fingerprint = kFingerprintOfNothing;
  for (const Parameter& parameter : model_->parameters()) {
    TIERLIB_ASSIGN_OR_RETURN(const Checkpoint::Entry entry, ReadEntry(parameter.name, parameter.value));
    fingerprint = AddBytes(fingerprint, entry.bytes.data(), entry.bytes.size());
  }
  return fingerprint;
}

Status Trainer::CheckLearnersEqual() {
  if (learner_.count() == 1) return tierlib::OkStatus();
  TIERLIB_ASSIGN_OR_RETURN(std::uint64_t fingerprint, ParametersFingerprint());
  for (auto& [parameter, each] : matrices_->clustered()) {
    TIERLIB_ASSIGN_OR_RETURN(const std::vector<float> centroids, each.clustering.Centroids());
    fingerprint = AddBytes(fingerprint, centroids.data(), centroids.size() * sizeof(float));
  }
  return learner_.CheckEqual(fingerprint, step_);
}

}  // namespace train_lm
