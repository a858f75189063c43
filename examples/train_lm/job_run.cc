#include "train_lm/job_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "llama/decoder_model.h"
#include "tierlib/io/atomic_file.h"
#include "tierlib/tierlib.h"
#include "train_lm/memory_plan.h"
#include "train_lm/progress.h"
#include "train_lm/report.h"
#include "train_lm/trainer.h"

namespace train_lm {

volatile std::sig_atomic_t stop_signal = 0;

namespace {

using tierlib::Status;
using tierlib::StatusCode;
using tierlib::StatusOr;
using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// A path is good for writing where an AtomicFile can be begun there; dropping it leaves no trace.
Status CheckWritable(const std::string& path) {
  return path.empty() ? tierlib::OkStatus() : tierlib::io::AtomicFile::Create(path).status();
}

StatusOr<HostWeights> StartingWeights(const Options& options, const ModelShape& shape) {
  const std::string& file = options.resume.empty() ? options.init : options.resume;
  if (file.empty()) return DrawWeights(shape, options.dtype, options.seed);
  if (shape.llama && options.resume.empty()) return LoadLlamaWeights(file, options.dtype);
  return LoadWeights(file, shape, options.dtype);
}

StatusOr<ModelShape> ShapeOf(const Options& options, const Text& text) {
  ModelShape shape{text.vocabulary, options.context, options.layers, options.heads, options.width, std::nullopt};
  if (options.architecture != Architecture::kLlama) return shape;
  shape.llama =
      LlamaNumbers{options.kv_heads, options.hidden, !options.untied, options.norm_epsilon, options.rope_theta};
  if (options.init.empty()) return shape;
  TIERLIB_ASSIGN_OR_RETURN(const llama::Shape model, llama::ReadModelShape(options.init));
  if (model.vocabulary == text.vocabulary) return shape;
  return tierlib::InvalidArgumentError(
      options.init + ": the model has " + std::to_string(model.vocabulary) + " tokens, the text " +
      std::to_string(text.vocabulary) +
      (options.tokenizer.empty() ? " characters; --tokenizer names its tokens" : " of " + options.tokenizer));
}

// Reads and checks everything that the run needs.
StatusOr<Job> MakeJob(const Options& options, const Text& text) {
  TIERLIB_ASSIGN_OR_RETURN(const ModelShape shape, ShapeOf(options, text));
  TIERLIB_RETURN_IF_ERROR(CheckParameterCount(shape));
  TIERLIB_RETURN_IF_ERROR(CheckAddressSpace(options));
  TIERLIB_RETURN_IF_ERROR(CheckLeastMemory(options, shape));
  Job job{options, text, shape, {}, nullptr, 0, 0};
  if (!options.resume.empty()) {
    TIERLIB_ASSIGN_OR_RETURN(Checkpoint checkpoint, ReadCheckpoint(options.resume, options, text));
    if (options.stop_at > 0 && static_cast<std::uint64_t>(options.stop_at) <= checkpoint.step && !options.eval_only) {
      return tierlib::InvalidArgumentError("--stop-at " + std::to_string(options.stop_at) + ": the checkpoint " +
                                           options.resume + " is at step " + std::to_string(checkpoint.step));
    }
    job.checkpoint = std::make_unique<Checkpoint>(std::move(checkpoint));
  }
  TIERLIB_ASSIGN_OR_RETURN(job.weights, StartingWeights(options, shape));
  TIERLIB_RETURN_IF_ERROR(CheckWritable(options.save));
  TIERLIB_RETURN_IF_ERROR(CheckWritable(options.report));
  TIERLIB_ASSIGN_OR_RETURN(job.bytes_without_offload, DeviceBytesWithoutOffload(job));
  TIERLIB_RETURN_IF_ERROR(CheckMemory(job));
  TIERLIB_ASSIGN_OR_RETURN(job.target_peak, ChooseTargetPeak(job));
  return job;
}

// One run of a job on its device.
class Run {
 public:
  explicit Run(const Job& job) : job_(job), options_(job.options) {}

  Status Start() {
    TIERLIB_RETURN_IF_ERROR(OpenDevice());
    TIERLIB_ASSIGN_OR_RETURN(trainer_, Trainer::Create(job_, *runtime_));
    progress_ = std::make_unique<Progress>(*runtime_);
    results_.first_step = trainer_->step();
    results_.val_windows = job_.text.windows(options_.context);
    results_.parameters = ParameterCount(job_.shape);
    results_.device_bytes_without_offload = job_.bytes_without_offload;
    progress_->Note(results_.device + ", " + std::to_string(results_.parameters) + " parameters, " +
                    std::to_string(job_.text.vocabulary) + (options_.tokenizer.empty() ? " characters" : " tokens") +
                    ", offload " + OffloadName(options_.offload) + " (without it " +
                    tierlib::FormatBytes(results_.device_bytes_without_offload) + " would be needed)");
    return tierlib::OkStatus();
  }

  Status Train();
  Status Finish();

 private:
  Status OpenDevice();
  // Cancelled where a signal came meanwhile.
  StatusOr<double> Evaluate(Trainer::Weights weights);
  Status Save();
  bool Complete() const { return trainer_->step() == static_cast<std::uint64_t>(options_.steps); }

  const Job& job_;
  const Options& options_;
  std::unique_ptr<tierlib::Runtime> runtime_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Progress> progress_;
  Results results_;
};

Status Run::OpenDevice() {
  tierlib::Options runtime = RuntimeOptions(options_);
  runtime.devices[0].target_peak = job_.target_peak;
  TIERLIB_ASSIGN_OR_RETURN(runtime_, tierlib::Runtime::Create(std::move(runtime)));
  results_.device = "emulated:0 (" + tierlib::FormatBytes(options_.device_memory) + ")";
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
  const Clock::time_point begin = Clock::now();
  while (trainer_->step() < end && stop_signal == 0) {
    const Clock::time_point step_begin = Clock::now();
    TIERLIB_ASSIGN_OR_RETURN(const float loss, trainer_->Step());
    results_.step_ms.push_back(MillisecondsSince(step_begin));
    results_.losses.push_back(loss);
    if (!std::isfinite(loss)) {
      return tierlib::FailedPreconditionError("step " + std::to_string(trainer_->step()) + ": the loss is " +
                                              (std::isnan(loss) ? "NaN" : "infinite") + "; a lower --lr may help");
    }
    progress_->Stepped(static_cast<std::int64_t>(trainer_->step()), options_.steps, static_cast<double>(loss),
                       tokens * static_cast<double>(results_.losses.size()) / MillisecondsSince(begin) * 1e3);
  }
  results_.traffic = LedgerSince(before, runtime_->statistics().total);
  return tierlib::OkStatus();
}

StatusOr<double> Run::Evaluate(Trainer::Weights weights) {
  const auto evaluated = [this](std::int64_t windows) {
    progress_->Evaluated(windows, results_.val_windows);
    return stop_signal == 0;
  };
  return trainer_->Evaluate(weights, Trainer::Extent::kAll, evaluated);
}

Status Run::Save() {
  if (options_.save.empty()) return tierlib::OkStatus();
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
  results_.statistics = runtime_->statistics();
  TIERLIB_ASSIGN_OR_RETURN(results_.parameters_fingerprint, trainer_->ParametersFingerprint());
  if (!options_.report.empty()) TIERLIB_RETURN_IF_ERROR(WriteReport(options_.report, options_, results_));
  progress_.reset();  // ends its line
  TIERLIB_RETURN_IF_ERROR(PrintResults(options_, results_));
  if (options_.eval_only || stop_signal == 0 || Complete()) return tierlib::OkStatus();
  return Status(StatusCode::kCancelled, "stopped at step " + std::to_string(trainer_->step()) + kept);
}

}  // namespace

Status RunJob(const Options& options) {
  if (options.device == DeviceChoice::kCuda) {
    return tierlib::UnimplementedError(
        "--device cuda: the autograd of this version has kernels for the emulated device only");
  }
  TIERLIB_ASSIGN_OR_RETURN(const Text text, LoadText(options.data, options.context, options.tokenizer));
  TIERLIB_ASSIGN_OR_RETURN(const Job job, MakeJob(options, text));
  Run run(job);
  TIERLIB_RETURN_IF_ERROR(run.Start());
  TIERLIB_RETURN_IF_ERROR(run.Train());
  return run.Finish();
}

}  // namespace train_lm
