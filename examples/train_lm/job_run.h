// A job from its files to its results: what main does with the options.
#ifndef TRAIN_LM_JOB_RUN_H_
#define TRAIN_LM_JOB_RUN_H_

#include <atomic>

#include "tierlib/status.h"
#include "train_lm/learner.h"
#include "train_lm/options.h"

namespace train_lm {

// Set by the handler of SIGINT and SIGTERM: the run ends after the step it is in, as with --stop-at.
extern std::atomic<int> stop_signal;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler writes to it");

// Does what the options ask for. Everything that can be refused is refused before training starts and before an
// existing file is touched. Cancelled where a signal stopped the run, after the checkpoint was written.
tierlib::Status RunJob(const Options& options);
// The same in one of several processes, as `learner` of them. Learner 0's process alone writes the report and the
// checkpoint.
tierlib::Status RunJobAs(const Options& options, Learner learner);

}  // namespace train_lm

#endif  // TRAIN_LM_JOB_RUN_H_
