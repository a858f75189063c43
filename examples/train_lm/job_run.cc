#include "train_lm/job_run.h"

#include <memory>
#include <string>
#include <utility>

#include "llama/decoder_model.h"
#include "tierlib/io/atomic_file.h"
#include "tierlib/tierlib.h"
#include "train_lm/learner.h"
#include "train_lm/memory_plan.h"
#include "train_lm/run.h"
#include "train_lm/trainer.h"

namespace train_lm {

std::atomic<int> stop_signal{0};

namespace {

using tierlib::Status;
using tierlib::StatusOr;

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

// Reads and checks everything that the run needs. `writes`: it is this process that writes what the options name.
StatusOr<Job> MakeJob(const Options& options, const Text& text, bool writes) {
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
  if (writes) {
    TIERLIB_RETURN_IF_ERROR(CheckWritable(options.save));
    TIERLIB_RETURN_IF_ERROR(CheckWritable(options.report));
  }
  TIERLIB_ASSIGN_OR_RETURN(job.bytes_without_offload, DeviceBytesWithoutOffload(job));
  TIERLIB_RETURN_IF_ERROR(CheckMemory(job));
  TIERLIB_ASSIGN_OR_RETURN(job.target_peak, ChooseTargetPeak(job));
  return job;
}

StatusOr<Text> LoadTextFor(const Options& options) {
  TIERLIB_RETURN_IF_ERROR(CheckDevice(options));
  return LoadText(options.data, options.context, options.tokenizer);
}

Status TrainAs(const Job& job, Learner learner) {
  Run run(job, learner);
  TIERLIB_RETURN_IF_ERROR(run.Start());
  TIERLIB_RETURN_IF_ERROR(run.Train());
  return run.Finish();
}

}  // namespace

Status RunJob(const Options& options) {
  TIERLIB_ASSIGN_OR_RETURN(const Text text, LoadTextFor(options));
  TIERLIB_ASSIGN_OR_RETURN(const Job job, MakeJob(options, text, /*writes=*/true));
  return RunLearners(options.learners, [&job](Learner learner) { return TrainAs(job, learner); });
}

Status RunJobAs(const Options& options, Learner learner) {
  // All have the same options, and so say the same where they stop.
  TIERLIB_ASSIGN_OR_RETURN(const Text text, LoadTextFor(options));
  TIERLIB_ASSIGN_OR_RETURN(const Job job, MakeJob(options, text, learner.leads()));
  return TrainAs(job, learner);
}

}  // namespace train_lm
