// What is told of the learners of one run where some failed.
#ifndef TRAIN_LM_LEARNER_FAILURES_H_
#define TRAIN_LM_LEARNER_FAILURES_H_

#include <functional>
#include <string>
#include <vector>

#include "tierlib/comm/communicator.h"
#include "tierlib/status.h"
#include "train_lm/learner.h"

namespace train_lm {

// Learners on few processors differ in time by up to all of a step's work: far more than any of them should need.
inline constexpr std::uint64_t kLearnerDeadlineNs = 3'600'000'000'000;

// The body's status; ResourceExhausted where the machine's memory ends.
tierlib::Status RunBody(const std::function<tierlib::Status(Learner)>& body, tierlib::comm::Communicator* me);

std::string TextOf(const tierlib::Status& status);

// The failure of learner `first`, or the one that it was told of, with its learner's name where others do not fail the
// same way. OK where `first` is negative.
tierlib::Status StatusOfAll(const std::vector<tierlib::Status>& statuses, int first);

}  // namespace train_lm

#endif  // TRAIN_LM_LEARNER_FAILURES_H_
