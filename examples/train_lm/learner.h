// Learner: one of the learners that train on one global batch together. Each has a device, weights and an optimizer of
// its own and computes its share of the batch; what this class does keeps their weights equal to the bit.
#ifndef TRAIN_LM_LEARNER_H_
#define TRAIN_LM_LEARNER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "tierlib/autograd/tape.h"
#include "tierlib/comm/communicator.h"
#include "tierlib/status.h"

namespace train_lm {

// One learner alone does without a communicator, and nothing below changes or waits for anything then. Errors are the
// communicator's, which name a learner. Thread-safety: as a communicator's.
class Learner {
 public:
  // `group` outlives it; null: alone.
  explicit Learner(tierlib::comm::Communicator* group = nullptr) : group_(group) {}

  int rank() const { return group_ == nullptr ? 0 : group_->rank(); }
  int count() const { return group_ == nullptr ? 1 : group_->size(); }
  bool leads() const { return rank() == 0; }
  tierlib::comm::Communicator* group() const { return group_; }

  // The sequences of the global batch that this learner computes.
  struct Share {
    std::int64_t first = 0;
    std::int64_t sequences = 0;
    // What its mean counts for in the mean over the global batch.
    double weight = 1;
  };
  // Shares differ by one at most. REQUIRES: sequences >= count().
  Share ShareOf(std::int64_t sequences) const;

  // Replaces the gradients, each the mean over this learner's share, with the mean over the global batch, the same bits
  // for all: shares weighted and summed in float32 in the order of ranks, and rounded to the gradient's dtype once.
  tierlib::Status ReduceGradients(tierlib::autograd::Context& context,
                                  const std::vector<tierlib::autograd::Parameter*>& parameters, const Share& share);
  // Element by element over the learners.
  tierlib::Status Sum(std::vector<double>& values);
  // True on all where it is true on one.
  tierlib::StatusOr<bool> Any(bool mine);
  // What each learner gives, by rank.
  tierlib::StatusOr<std::vector<std::uint64_t>> Gather(std::uint64_t mine);
  // DataLoss, on all, naming the first learner whose fingerprint is not learner 0's.
  tierlib::Status CheckEqual(std::uint64_t fingerprint, std::uint64_t step);

 private:
  tierlib::Status ReduceGradient(tierlib::autograd::Context& context, tierlib::autograd::Parameter& parameter,
                                 float weight);

  tierlib::comm::Communicator* group_;
};

// Runs `body` once per learner, each on a thread of its own, and waits for all; alone, on this thread. Where one fails
// the others, which would wait for it, fail as well: the status is the first one's, and names it where the others have
// a different one.
tierlib::Status RunLearners(int count, const std::function<tierlib::Status(Learner)>& body);

}  // namespace train_lm

#endif  // TRAIN_LM_LEARNER_H_
