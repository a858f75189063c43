#include "train_lm/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "train_lm/batches.h"

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

std::vector<AdamW::Group> Groups(Model& model, double weight_decay) {
  AdamW::Group matrices{{}, weight_decay};
  AdamW::Group vectors{{}, 0};
  for (Parameter& parameter : model.parameters()) {
    (parameter.value.sizes().rank() >= 2 ? matrices : vectors).parameters.push_back(&parameter);
  }
  return {matrices, vectors};
}

}  // namespace

StatusOr<std::unique_ptr<Trainer>> Trainer::Create(const Job& job, tierlib::Runtime& runtime) {
  std::unique_ptr<Trainer> trainer(new Trainer(job, runtime));
  TIERLIB_ASSIGN_OR_RETURN(trainer->context_, Context::Create(runtime));
  TIERLIB_ASSIGN_OR_RETURN(trainer->model_, Model::Create(*trainer->context_, job.shape, job.weights));
  trainer->matrices_ = std::make_unique<BlockMatrices>(*trainer->model_, job.options);
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
    TIERLIB_RETURN_IF_ERROR(each.clustering.Restore(*context_, centroids->second, tau->second));
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
  TIERLIB_ASSIGN_OR_RETURN(const DeviceBatch batch,
                           ToDevice(*context_, TrainingBatch(job_.text, o.context, o.batch, o.seed, step_)));
  float loss_value = 0;
  {
    Tape tape(*context_);
    const Value loss = model_->Loss(tape, *matrices_, batch.tokens, batch.targets, {o.dropout, o.seed, step_});
    TIERLIB_RETURN_IF_ERROR(tape.status());
    runtime_.BeginBackward();
    TIERLIB_RETURN_IF_ERROR(tape.Backward(loss));
    TIERLIB_RETURN_IF_ERROR(Update());
    TIERLIB_ASSIGN_OR_RETURN(loss_value, ReadLoss(loss));
  }
  ++step_;
  runtime_.EndStep();
  TIERLIB_RETURN_IF_ERROR(runtime_.health());
  return loss_value;
}

Status Trainer::Update() {
  const Options& o = job_.options;
  const std::vector<Parameter*> parameters = model_->parameter_pointers();
  if (o.clip > 0) TIERLIB_RETURN_IF_ERROR(tierlib::autograd::ClipGradientNorm(*context_, parameters, o.clip));
  const double rate = tierlib::autograd::CosineLearningRate(step_, o.lr, o.min_lr, static_cast<std::uint64_t>(o.warmup),
                                                            static_cast<std::uint64_t>(o.steps));
  TIERLIB_RETURN_IF_ERROR(optimizer_->Step(rate));
  tierlib::autograd::ClearGradients(parameters);
  matrices_->Advance();
  return tierlib::OkStatus();
}

StatusOr<double> Trainer::Evaluate(Weights weights, Extent extent, const std::function<bool(std::int64_t)>& progress) {
  std::unique_ptr<MatrixSource> matrices = StoredMatrices(*model_);
  if (weights == Weights::kCoarse) {
    TIERLIB_ASSIGN_OR_RETURN(matrices, matrices_->ForEvaluation(*context_));
  }
  const std::int64_t context = job_.options.context;
  const std::int64_t windows = job_.text.windows(context);
  double sum = 0;
  std::int64_t counted = 0;
  for (std::int64_t first = 0; first < windows; first += job_.options.batch) {
    const std::int64_t count = std::min(job_.options.batch, windows - first);
    const bool last = first + count == windows;
    if (extent == Extent::kSample && first > 0 && !last) continue;
    TIERLIB_ASSIGN_OR_RETURN(const DeviceBatch batch,
                             ToDevice(*context_, ValidationBatch(job_.text, context, first, count)));
    Tape tape(*context_);
    tape.set_recording(false);
    const Value loss = model_->Loss(tape, *matrices, batch.tokens, batch.targets, Dropout{});
    TIERLIB_RETURN_IF_ERROR(tape.status());
    TIERLIB_ASSIGN_OR_RETURN(const float mean, ReadLoss(loss));
    sum += static_cast<double>(mean) * static_cast<double>(count);
    counted += count;
    if (progress && !progress(counted)) return Status(StatusCode::kCancelled, "stopped in the evaluation");
  }
  if (!std::isfinite(sum)) {
    return tierlib::FailedPreconditionError("the loss over the validation part is not a number; a lower --lr may help");
  }
  return sum / static_cast<double>(counted);
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
  }
  return checkpoint;
}

StatusOr<std::uint64_t> Trainer::ParametersFingerprint() {
  std::uint64_t fingerprint = 0xcbf29ce484222325;
  for (const Parameter& parameter : model_->parameters()) {
    TIERLIB_ASSIGN_OR_RETURN(const Checkpoint::Entry entry, ReadEntry(parameter.name, parameter.value));
    for (const char c : entry.bytes) fingerprint = (fingerprint ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return fingerprint;
}

}  // namespace train_lm
