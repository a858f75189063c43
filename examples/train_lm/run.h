// Run: a job on one learner's device, from its first evaluation to its results.
#ifndef TRAIN_LM_RUN_H_
#define TRAIN_LM_RUN_H_

#include <memory>

#include "tierlib/tierlib.h"
#include "train_lm/learner.h"
#include "train_lm/progress.h"
#include "train_lm/report.h"
#include "train_lm/trainer.h"

namespace train_lm {

// Learners make the same calls in the same order and end at the same step. Learner 0 alone writes files and prints.
// Thread-safety: one thread at a time.
class Run {
 public:
  // REQUIRES: the job and the learner's group outlive it.
  Run(const Job& job, Learner learner) : job_(job), options_(job.options), learner_(learner) {}

  tierlib::Status Start();
  // DataLoss where learners do not hold the same weights any more, FailedPrecondition where a loss is not finite.
  tierlib::Status Train();
  // Writes the checkpoint, evaluates, and writes and prints the results. Cancelled where a signal stopped the run.
  tierlib::Status Finish();

 private:
  tierlib::Status OpenDevice();
  // Cancelled where a signal came meanwhile.
  tierlib::StatusOr<double> Evaluate(Trainer::Weights weights);
  // Where --eval-every asks for it after this step. A signal that comes meanwhile leaves it out.
  tierlib::Status EvaluateBetween();
  tierlib::Status Save();
  tierlib::Status GatherPeaks();
  // One answer for all learners.
  tierlib::StatusOr<bool> Stopped();
  bool Complete() const { return trainer_->step() == static_cast<std::uint64_t>(options_.steps); }

  const Job& job_;
  const Options& options_;
  Learner learner_;
  std::unique_ptr<tierlib::Runtime> runtime_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Progress> progress_;  // learner 0's; null for the others
  Results results_;
};

}  // namespace train_lm

#endif  // TRAIN_LM_RUN_H_
