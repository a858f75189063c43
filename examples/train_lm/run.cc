#include "train_lm/run.h"

#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "train_lm/job_run.h"
#include "train_lm/memory_plan.h"

namespace train_lm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kStepsBetweenChecks = 50;  // of what learners hold

double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

}  // namespace

using tierlib::Status;
using tierlib::StatusCode;
using tierlib::StatusOr;

Status Run::Start() {
  TIERLIB_RETURN_IF_ERROR(OpenDevice());
  TIERLIB_ASSIGN_OR_RETURN(trainer_, Trainer::Create(job_, *runtime_, learner_));
  results_.first_step = trainer_->step();
  results_.val_windows = job_.text.windows(options_.context);
  results_.parameters = ParameterCount(job_.shape);
  results_.device_bytes_without_offload = job_.bytes_without_offload;
  if (!learner_.leads()) return tierlib::OkStatus();
  progress_ = std::make_unique<Progress>(*runtime_);
  progress_->Note(results_.device + ", " + std::to_string(results_.parameters) + " parameters, " +
                  std::to_string(job_.text.vocabulary) + (options_.tokenizer.empty() ? " characters" : " tokens") +
                  (learner_.count() == 1 ? "" : ", " + std::to_string(learner_.count()) + " learners") + ", offload " +
                  OffloadName(options_.offload) + " (without it " +
                  tierlib::FormatBytes(results_.device_bytes_without_offload) + " would be needed)");
  return tierlib::OkStatus();
}

Status Run::OpenDevice() {
  tierlib::Options runtime = RuntimeOptions(options_);
  runtime.devices[0].target_peak = job_.target_peak;
  runtime.rank = learner_.rank();
  // The others write traces of their own where the name tells them apart.
  if (!learner_.leads() && runtime.trace.find("%r") == std::string::npos) runtime.trace.clear();
  TIERLIB_ASSIGN_OR_RETURN(runtime_, tierlib::Runtime::Create(std::move(runtime)));
  results_.device = std::string(options_.device == DeviceChoice::kCuda ? "cuda:0 (" : "emulated:0 (") +
                    tierlib::FormatBytes(options_.device_memory) + ")";
  return tierlib::OkStatus();
}

Status Run::Train() {
  if (options_.eval_only) return tierlib::OkStatus();
  if (job_.checkpoint != nullptr) {
    results_.val_loss_start = job_.checkpoint->val_loss_start;
  } else {
    TIERLIB_ASSIGN_OR_RETURN(results_.val_loss_start, Evaluate(Trainer::Weights::kPlain));
  }
  const auto end = static_cast<std::uint64_t>(options_.stop_at > 0 ? options_.stop_at : options_.steps);
  const tierlib::Ledger before = runtime_->statistics().total;
  const double tokens = static_cast<double>(options_.batch * options_.context);
  Clock::time_point begin = Clock::now();
  while (trainer_->step() < end) {
    TIERLIB_ASSIGN_OR_RETURN(const bool stopped, Stopped());
    if (stopped) break;
    const Clock::time_point step_begin = Clock::now();
    TIERLIB_ASSIGN_OR_RETURN(const float loss, trainer_->Step());
    results_.step_ms.push_back(MillisecondsSince(step_begin));
    results_.losses.push_back(loss);
    if (!std::isfinite(loss)) {
      return tierlib::FailedPreconditionError("step " + std::to_string(trainer_->step()) + ": the loss is " +
                                              (std::isnan(loss) ? "NaN" : "infinite") + "; a lower --lr may help");
    }
    if (trainer_->step() % kStepsBetweenChecks == 0) TIERLIB_RETURN_IF_ERROR(trainer_->CheckLearnersEqual());
    if (progress_ != nullptr) {
      progress_->Stepped(static_cast<std::int64_t>(trainer_->step()), options_.steps, static_cast<double>(loss),
                         tokens * static_cast<double>(results_.losses.size()) / MillisecondsSince(begin) * 1e3);
    }
    const Clock::time_point evaluation_begin = Clock::now();
    TIERLIB_RETURN_IF_ERROR(EvaluateBetween());
    begin += Clock::now() - evaluation_begin;  // the rate is that of steps
  }
  results_.traffic = LedgerSince(before, runtime_->statistics().total);
  return tierlib::OkStatus();
}

StatusOr<double> Run::Evaluate(Trainer::Weights weights) {
  const auto evaluated = [this](std::int64_t windows) {
    if (progress_ != nullptr) progress_->Evaluated(windows, results_.val_windows);
    return stop_signal == 0;
  };
  return trainer_->Evaluate(weights, Trainer::Extent::kAll, evaluated);
}

Status Run::EvaluateBetween() {
  if (options_.eval_every == 0 || trainer_->step() % static_cast<std::uint64_t>(options_.eval_every) != 0) {
    return tierlib::OkStatus();
  }
  Evaluation evaluation{trainer_->step(), 0, std::nullopt, 0};
  const Clock::time_point begin = Clock::now();
  StatusOr<double> loss = Evaluate(Trainer::Weights::kCoarse);
  if (loss.ok()) {
    evaluation.val_loss = *loss;
    if (options_.eval_batches > 0) {
      loss = trainer_->Estimate(Trainer::Weights::kCoarse, options_.eval_batches,
                                [](std::int64_t) { return stop_signal == 0; });
      if (loss.ok()) evaluation.estimate = *loss;
    }
  }
  if (loss.status().code() == StatusCode::kCancelled) return tierlib::OkStatus();  // the loop asks for signals itself
  TIERLIB_RETURN_IF_ERROR(loss.status());
  evaluation.ms = MillisecondsSince(begin);
  results_.evaluations.push_back(evaluation);
  if (progress_ == nullptr) return tierlib::OkStatus();
  std::string line = "step " + std::to_string(evaluation.step) + ": val_loss " + std::to_string(evaluation.val_loss);
  if (evaluation.estimate) line += ", estimate " + std::to_string(*evaluation.estimate);
  progress_->Note(line);
  return tierlib::OkStatus();
}

Status Run::Save() {
  TIERLIB_RETURN_IF_ERROR(trainer_->CheckLearnersEqual());
  if (options_.save.empty() || !learner_.leads()) return tierlib::OkStatus();
  TIERLIB_ASSIGN_OR_RETURN(Checkpoint checkpoint, trainer_->Snapshot());
  checkpoint.val_loss_start = results_.val_loss_start.value_or(0);
  return WriteCheckpoint(options_.save, checkpoint, options_, job_.text);
}

Status Run::Finish() {
  TIERLIB_RETURN_IF_ERROR(Save());  // first: whatever ends the evaluation does not end the weights
  const std::string kept = options_.save.empty() ? "" : "; go on with --resume " + options_.save;
  if (options_.eval_only || Complete()) {
    StatusOr<double> loss = Evaluate(Trainer::Weights::kCoarse);
    if (loss.status().code() == StatusCode::kCancelled) {
      return Status(StatusCode::kCancelled, std::string(loss.status().message()) + kept);
    }
    TIERLIB_ASSIGN_OR_RETURN(results_.val_loss, std::move(loss));
  }
  results_.weight_bits_per_weight = trainer_->matrices().BitsPerWeight();
  results_.dkm_forms = trainer_->matrices().Forms();
  results_.statistics = runtime_->statistics();
  TIERLIB_ASSIGN_OR_RETURN(results_.parameters_fingerprint, trainer_->ParametersFingerprint());
  TIERLIB_RETURN_IF_ERROR(GatherPeaks());
  progress_.reset();  // ends its line
  if (learner_.leads()) {
    if (!options_.report.empty()) TIERLIB_RETURN_IF_ERROR(WriteReport(options_.report, options_, results_));
    TIERLIB_RETURN_IF_ERROR(PrintResults(options_, results_));
  }
  TIERLIB_ASSIGN_OR_RETURN(const bool stopped, Stopped());
  if (options_.eval_only || !stopped || Complete()) return tierlib::OkStatus();
  return Status(StatusCode::kCancelled, "stopped at step " + std::to_string(trainer_->step()) + kept);
}

Status Run::GatherPeaks() {
  const tierlib::Statistics& statistics = results_.statistics;
  TIERLIB_ASSIGN_OR_RETURN(results_.device_peak_by_learner, learner_.Gather(statistics.device.live_peak));
  TIERLIB_ASSIGN_OR_RETURN(results_.host_peak_by_learner,
                           learner_.Gather(statistics.pinned.live_peak + statistics.pageable.live_peak));
  return tierlib::OkStatus();
}

StatusOr<bool> Run::Stopped() { return learner_.Any(stop_signal != 0); }

}  // namespace train_lm
