// Trainer: a model, its optimizer and its clusterings on one Runtime, and the two things done with them: a step and an
// evaluation. The memory plan runs the same code on a device without bytes, so nothing here that allocates may depend
// on a number read from the device.
#ifndef TRAIN_LM_TRAINER_H_
#define TRAIN_LM_TRAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "tierlib/autograd/optimizer.h"
#include "tierlib/tierlib.h"
#include "train_lm/batches.h"
#include "train_lm/block_matrices.h"
#include "train_lm/checkpoint.h"
#include "train_lm/learner.h"
#include "train_lm/model.h"
#include "train_lm/options.h"
#include "train_lm/text.h"

namespace train_lm {

// What to train, on whatever device. All of it outlives the trainers made from it.
struct Job {
  const Options& options;
  const Text& text;
  ModelShape shape;
  HostWeights weights;
  std::unique_ptr<Checkpoint> checkpoint;   // null: from the first step
  std::uint64_t bytes_without_offload = 0;  // of the device, that it needs with --offload off
  std::uint64_t target_peak = 0;            // DeviceOptions::target_peak
};

// Learners make the same calls in the same order. Thread-safety: one thread at a time.
class Trainer {
 public:
  // REQUIRES: job, runtime and the learner's group outlive it.
  static tierlib::StatusOr<std::unique_ptr<Trainer>> Create(const Job& job, tierlib::Runtime& runtime, Learner learner);

  // One optimizer step on this learner's share of the batch and the others'; the loss of the whole batch, before the
  // update.
  tierlib::StatusOr<float> Step();
  // Steps taken, over all runs.
  std::uint64_t step() const { return step_; }

  enum class Weights {
    kPlain,   // as they are stored
    kCoarse,  // as --bits makes them for inference
  };
  enum class Extent {
    kAll,     // every window
    kSample,  // the first batch and the last: every size of batch that kAll meets
  };
  // The mean loss over windows of the validation part, which learners share. `progress` is told the windows done; where
  // it gives false to one of them the evaluation ends as Cancelled for all. FailedPrecondition where the loss is not a
  // number.
  tierlib::StatusOr<double> Evaluate(Weights weights, Extent extent,
                                     const std::function<bool(std::int64_t)>& progress = {});
  // The mean loss over `batches` batches of the size of a step's, at random places of the validation part: as nanoGPT
  // estimates it. The step and the seed decide the places. Otherwise as Evaluate; `progress` is told the batches done.
  tierlib::StatusOr<double> Estimate(Weights weights, std::int64_t batches,
                                     const std::function<bool(std::int64_t)>& progress = {});

  // Bytes of all that decides how training goes on. Waits for the device.
  tierlib::StatusOr<Checkpoint> Snapshot();
  // FNV-1a of all parameters' bytes.
  tierlib::StatusOr<std::uint64_t> ParametersFingerprint();
  // Compares parameters and centroids with the other learners': DataLoss, on all, names one that differs.
  tierlib::Status CheckLearnersEqual();

  BlockMatrices& matrices() { return *matrices_; }

 private:
  Trainer(const Job& job, tierlib::Runtime& runtime, Learner learner)
      : job_(job), runtime_(runtime), learner_(learner), share_(learner.ShareOf(job.options.batch)) {}
  tierlib::Status Restore(const Checkpoint& checkpoint);
  tierlib::Status Update();
  tierlib::StatusOr<std::unique_ptr<MatrixSource>> MatricesFor(Weights weights);
  // What one learner adds to an evaluation.
  struct Evaluated {
    double sum = 0;  // of the sequences' mean losses
    std::int64_t sequences = 0;
    bool stopped = false;  // by `progress`
  };
  tierlib::StatusOr<Evaluated> EvaluateShare(MatrixSource& matrices, Extent extent,
                                             const std::function<bool(std::int64_t)>& progress);
  // Adds the losses of one batch, without dropout and without recording.
  tierlib::Status AddLosses(MatrixSource& matrices, const Batch& batch, Evaluated& evaluated);
  // Of all learners.
  tierlib::StatusOr<double> MeanOf(const Evaluated& mine);

  const Job& job_;
  tierlib::Runtime& runtime_;
  Learner learner_;
  const Learner::Share share_;
  std::unique_ptr<tierlib::autograd::Context> context_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<tierlib::autograd::AdamW> optimizer_;
  std::unique_ptr<BlockMatrices> matrices_;
  std::uint64_t step_ = 0;
};

}  // namespace train_lm

#endif  // TRAIN_LM_TRAINER_H_
